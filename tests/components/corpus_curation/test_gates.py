import numpy as np
import pyarrow as pa
import pytest

from components.corpus_curation.gates import measure_gates
from gpr_core.data.as_of import Window
from gpr_core.data.config import CurationConfig
from gpr_core.data.fusion import FusionStats
from gpr_core.data.item_sample import TOKENIZER_SAMPLE_SCHEMA, ItemSample
from tests.lake_rows import make_small_lake

WINDOW = Window(0, 100)
STATS = FusionStats(mean_D=np.zeros(1), text_dim=1, image_dim=0, encoder_version="v1")


def make_timelines(*tokens):
    """Tokens from (user, ts, kind, order key)."""
    names = ("user_key", "ts", "kind", "order_key")
    columns = dict(zip(names, map(list, zip(*tokens, strict=True)), strict=True))
    return pa.table({**columns, "ingest_ts": columns["ts"]})


def make_items(*, weights=(1.0, 1.0, 2.0), categories=(0, 0, 1), cosine=0.5):
    """Canonical training items with the given weights."""
    size = len(weights)
    columns = [[1] * size, list(range(1, size + 1)), list(range(size)), [0] * size]
    sample = pa.table([*columns, list(weights), [True] * size], TOKENIZER_SAMPLE_SCHEMA)
    return ItemSample(
        vectors=pa.table({}),
        sample=sample,
        stats=STATS,
        category_N=np.array(categories),
        max_cross_cosine=cosine,
    )


GOOD = make_timelines((1, 5, 0, 0), (1, 5, 1, 3), (1, 6, 2, 2), (2, 1, 0, 0))


def measure(*, timelines=GOOD, decision_ts=(5,), items=None):
    """Measure all gates; return name -> result."""
    lake = make_small_lake()
    names = ("users", "user_stats_daily", "ads", "ad_versions", "content")
    tables = {name: lake[name].slice(0, 0) for name in names}
    tables |= {"timelines": timelines, "decisions": pa.table({"ts": pa.array(decision_ts)})}
    results = measure_gates(tables, WINDOW, items or make_items(), CurationConfig())
    return {result.name: result for result in results}


def test_a_good_corpus_passes():
    assert all(result.passed for result in measure().values())


@pytest.mark.parametrize(
    ("tokens", "value"),
    [
        ([(1, 5, 0, 0), (1, 6, 2, 2), (1, 5, 1, 3)], 2),
        ([(2, 1, 0, 0), (1, 5, 0, 0)], 2),
        ([(1, 5, 0, 0), (1, 6, 2, 2), (1, 6, 1, 3)], 2),
        ([(1, 5, 1, 3), (1, 6, 2, 2), (2, 5, 0, 0)], 1),
    ],
    ids=["times", "users", "kinds at one time", "no leading U token"],
)
def test_disorder_fails(tokens, value):
    gate = measure(timelines=make_timelines(*tokens))["time_order"]
    assert (gate.passed, gate.value) == (False, value)


def test_a_row_at_the_cutoff_fails():
    gate = measure(decision_ts=(5, 100))["nothing_after_cutoff"]
    assert (gate.passed, gate.value) == (False, 1)
    assert "decisions.ts" in gate.message
    late = make_timelines((1, 5, 0, 0), (1, 100, 1, 3))
    gate = measure(timelines=late)["nothing_after_cutoff"]
    assert (gate.passed, gate.value) == (False, 2)


def test_similar_items_across_the_split_fail():
    gate = measure(items=make_items(cosine=0.97))["near_duplicates_stay_together"]
    assert (gate.passed, gate.value, gate.bound) == (False, 0.97, 0.97)


def test_weights_beyond_the_cap_fail():
    gate = measure(items=make_items(weights=(1.0, 1.0, 11.0)))["category_balance"]
    assert (gate.passed, gate.value) == (False, 11.0)
    assert measure(items=make_items(weights=(1.0, 1.0, 10.0)))["category_balance"].passed


def test_weights_that_favor_the_largest_category_fail():
    gate = measure(items=make_items(weights=(2.0, 2.0, 1.0)))["category_balance"]
    assert (gate.passed, gate.value) == (False, 2.0)


def test_an_empty_corpus_fails():
    empty = pa.table({name: pa.array([], pa.int64()) for name in GOOD.column_names})
    gates = measure(timelines=empty, decision_ts=np.array([], dtype=np.int64))
    assert not gates["enough_decisions"].passed
    assert not measure(decision_ts=np.array([], dtype=np.int64))["enough_decisions"].passed
