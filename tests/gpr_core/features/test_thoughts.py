"""Tests of the join of thoughts to requests."""

import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.parquet import write_parquet
from gpr_core.data.tables import DAY_MS
from gpr_core.features.thoughts import ThoughtIndex, read_thoughts
from gpr_core.features.timeline_store import TimelineStore
from gpr_core.knowledge.cache import ThoughtCache
from gpr_core.knowledge.template import TemplateProvider
from gpr_core.knowledge.words import thought_words
from gpr_core.support.errors import LeakageError
from tests.gpr_core.knowledge.histories import asked, make_history, timelines, user, viewed
from tests.thoughts import make_thoughts


def test_a_request_gets_the_thought_of_its_own_day():
    index = ThoughtIndex.from_table(make_thoughts((2, 5, [9]), (1, 5, [3, 4]), (1, 4, [7])))
    users = np.array([1, 1, 1, 2, 3])
    days = np.array([5.0, 4.9, 6.0, 5.5, 5.0])
    found = index.at(users, (days * DAY_MS).astype(np.int64))
    assert found.tolist() == [[3, 4], [7, 0], [0, 0], [9, 0], [0, 0]]


def test_no_thoughts_are_no_words_but_differ_from_not_asking():
    index = ThoughtIndex.from_table(make_thoughts())
    assert index.at(np.array([1, 2]), np.array([0, DAY_MS])).tolist() == [[0], [0]]


def test_thoughts_of_an_artifact_are_read_where_there_are_any(tmp_path):
    assert read_thoughts(tmp_path) is None
    table = make_thoughts((1, 5, [3, 4]))
    write_parquet(tmp_path / "thoughts.parquet", table)
    assert read_thoughts(tmp_path).equals(table)


def test_a_thought_that_knows_its_own_day_is_refused():
    table = make_thoughts((1, 5, [3]), (2, 5, [4]))
    late = pa.array([5 * DAY_MS - 1, 5 * DAY_MS])
    table = table.set_column(table.schema.get_field_index("source_max_ts"), "source_max_ts", late)
    with pytest.raises(LeakageError, match="1 of 2 thoughts were made from events at or after"):
        ThoughtIndex.from_table(table)


def make_store(*, with_thoughts):
    """A store of one user with two requests on two days, and one without events before."""
    rows = [user(1), viewed(1, 1.0, 3), asked(1, 2.5), asked(1, 3.5), user(2), asked(2, 0.5)]
    for number, row in enumerate(rows):
        row["request_key"] = 100 + number if row["kind"] == 2 else 0
        row["item_key"] = int(row["item_kind"] > 0)
    table = timelines(*rows)
    history = make_history(*rows)
    thoughts = ThoughtCache().thoughts(history, *history.request_days(), TemplateProvider())
    columns = {"item_kind": [2], "item_key": [1], "c1": [0]}
    types = {"item_kind": pa.int8(), "item_key": pa.uint64(), "c1": pa.int16()}
    sid_map = pa.table({name: pa.array(column, types[name]) for name, column in columns.items()})
    chosen = thoughts if with_thoughts else None
    return TimelineStore.from_tables(table, sid_map, 1, thoughts=chosen), thoughts


def test_batches_carry_the_thought_of_each_readout():
    store, thoughts = make_store(with_thoughts=True)
    batch = store.prefix_batch([102, 103, 105], 16)
    texts = thoughts["text"].to_pylist()
    assert thoughts.num_rows == 2
    longest = max(len(thought_words(text)) for text in texts)
    assert batch.thought_BRP.shape == (3, 1, longest)
    for row, text in enumerate(texts):
        words = batch.thought_BRP[row, 0]
        assert words[words > 0].tolist() == thought_words(text)
    assert not batch.thought_BRP[2].any()


def test_batches_without_thoughts_have_no_words():
    store, _ = make_store(with_thoughts=False)
    assert store.prefix_batch([102, 103], 16).thought_BRP.shape == (2, 1, 0)


def test_empty_readout_slots_have_no_words():
    store, _ = make_store(with_thoughts=True)
    positions = np.array([store.positions_of([102, 103]), [-1, -1]]).T
    found = store._thoughts_at(positions)
    assert found[:, 0].any(axis=1).all()
    assert not found[:, 1].any()
