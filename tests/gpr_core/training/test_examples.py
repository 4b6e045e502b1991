import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.tables import DAY_MS, HOUR_MS
from gpr_core.objectives.final_value import final_value
from gpr_core.support.errors import ContractError
from gpr_core.training.config import SequenceConfig
from gpr_core.training.examples import Examples, build_examples, recent_examples
from tests.gpr_core.training.small_corpus import CUTOFF_TS, SmallCorpus, make_small_corpus
from tests.thoughts import make_thoughts

SEQUENCE = SequenceConfig(max_tokens=32, new_tokens=16, gate_user_share=0.4)


def build(corpus: SmallCorpus, config: SequenceConfig = SEQUENCE) -> Examples:
    return build_examples(
        corpus.tables, corpus.catalog, config, num_heads=3, cutoff_ts=CUTOFF_TS, seed=0
    )


def with_decisions(corpus: SmallCorpus, **columns: pa.Array) -> SmallCorpus:
    decisions = corpus.tables.decisions
    for name, values in columns.items():
        decisions = decisions.set_column(decisions.column_names.index(name), name, values)
    return corpus._replace(tables=corpus.tables._replace(decisions=decisions))


def test_thoughts_reach_the_readouts_of_their_day() -> None:
    corpus = make_small_corpus()
    decisions = corpus.tables.decisions
    user, ts = decisions["user_key"].to_pylist()[0], decisions["ts"].to_pylist()[0]
    day_ts = ts // DAY_MS * DAY_MS
    thoughts = make_thoughts((user, day_ts // DAY_MS, [5, 9]))
    examples = build(corpus._replace(tables=corpus.tables._replace(thoughts=thoughts)))
    batch = examples.store.prefix_batch(decisions["request_key"].to_numpy(), 8)
    is_told_X = batch.thought_BRP[:, 0].any(dim=1).numpy()
    is_of_day_X = (examples.context.ts // DAY_MS == day_ts // DAY_MS) & (
        examples.context.user_key == user
    )
    assert (is_told_X == is_of_day_X).all()
    assert build(corpus).store.thoughts is None


def test_gate_requests_are_last_day_requests_of_whole_users_and_enter_nothing() -> None:
    examples = build(make_small_corpus())
    context, is_gate_X = examples.context, examples.is_gate_X
    last_day_X = context.ts >= CUTOFF_TS - DAY_MS
    gate_users = np.unique(context.user_key[is_gate_X])
    assert 0 < gate_users.size < 12
    assert (is_gate_X == (last_day_X & np.isin(context.user_key, gate_users))).all()
    assert not (examples.is_loss_X & is_gate_X).any()
    later = examples.target_XJ[examples.is_loss_X]
    assert not is_gate_X[later[later >= 0]].any()
    assert not np.isin(examples.loss_row_M, np.flatnonzero(is_gate_X)).any()
    # No training window reaches a token at or after a held-out request of its user.
    store, windows = examples.store, examples.windows
    user_W = store.user_keys_U[np.searchsorted(store.offset_U, windows.begin_W, "right") - 1]
    last_ts_W = store.ts_M[windows.end_W - 1]
    for user in gate_users:
        first_gate = context.ts[is_gate_X & (context.user_key == user)].min()
        assert last_ts_W[user_W == user].max() < first_gate


def test_loss_positions_and_decisions_are_the_same_requests() -> None:
    examples = build(make_small_corpus())
    wanted = examples.context.request_key[examples.loss_row_M]
    assert examples.store.positions_of(wanted).tolist() == examples.windows.loss_M.tolist()
    assert sorted(examples.loss_row_M) == np.flatnonzero(examples.is_loss_X).tolist()


def test_synthetic_requests_are_neither_loss_nor_gate_nor_target() -> None:
    corpus = make_small_corpus()
    is_synthetic = np.arange(corpus.tables.decisions.num_rows) % 3 == 0
    examples = build(with_decisions(corpus, is_synthetic=pa.array(is_synthetic)))
    assert not (is_synthetic & (examples.is_loss_X | examples.is_gate_X)).any()
    later = examples.target_XJ[:, 1:]
    assert not is_synthetic[later[later >= 0]].any()


def test_labels_count_only_once_they_had_time_to_happen() -> None:
    corpus = make_small_corpus()
    num = corpus.tables.decisions.num_rows
    action = np.arange(num) % 3
    examples = build(
        with_decisions(
            corpus,
            action=pa.array(action.astype(np.int8)),
            is_hide=pa.array(np.arange(num) % 2 == 0),
        )
    )
    assert examples.label_X3[:6].tolist() == [
        [0, 0, 1],
        [1, 0, 0],
        [1, 1, 1],
        [0, 0, 0],
        [1, 0, 1],
        [1, 1, 0],
    ]
    age_X = CUTOFF_TS - examples.context.ts
    assert (examples.is_mature_X3[:, 0] == (age_X >= 2 * HOUR_MS)).all()
    assert (examples.is_mature_X3[:, 1] == (age_X >= 5 * DAY_MS)).all()
    assert (examples.is_mature_X3[:, 2] == (age_X >= 2 * HOUR_MS)).all()
    assert 0 < examples.is_mature_X3[:, 1].mean() < 1


def test_values_come_from_logged_rankers_and_earlier_impressions() -> None:
    examples = build(make_small_corpus())
    decisions = make_small_corpus().tables.decisions.to_pydict()
    seen: dict[tuple[int, int], int] = {}
    for row in range(40):
        pair = (decisions["user_key"][row], decisions["ad_key"][row])
        expected = final_value(
            *(decisions[name][row] for name in ("ecpm", "p_ctr", "p_cvr", "p_neg")),
            seen.get(pair, 0) / 10,
        )
        assert examples.value_X[row] == pytest.approx(float(expected))
        seen[pair] = seen.get(pair, 0) + 1
    assert max(seen.values()) > 1


def test_value_weights_are_joined_by_request() -> None:
    corpus = make_small_corpus()
    weights = corpus.tables.value_weights
    reversed_rows = weights.take(np.arange(weights.num_rows)[::-1])
    examples = build(corpus._replace(tables=corpus.tables._replace(value_weights=reversed_rows)))
    assert examples.omega_X.tolist() == weights["omega"].to_pylist()


def test_a_decision_without_value_weight_is_refused() -> None:
    corpus = make_small_corpus()
    weights = corpus.tables.value_weights.slice(2)
    with pytest.raises(ContractError, match="2 of 360 decisions have no value weight"):
        build(corpus._replace(tables=corpus.tables._replace(value_weights=weights)))


def test_an_exposed_ad_outside_the_catalog_is_refused() -> None:
    corpus = make_small_corpus()
    ads = corpus.tables.decisions["ad_key"].to_numpy().copy()
    ads[5] = 999
    with pytest.raises(ContractError, match="1 of 360 exposed ads are not in the catalog"):
        build(with_decisions(corpus, ad_key=pa.array(ads)))


def test_a_corpus_without_loss_is_refused() -> None:
    corpus = make_small_corpus()
    everything = pa.array(np.ones(corpus.tables.decisions.num_rows, bool))
    with pytest.raises(ContractError, match="none of 360 decisions can enter the loss"):
        build(with_decisions(corpus, is_synthetic=everything))


def test_recent_examples_are_the_windows_that_end_late() -> None:
    examples = build(make_small_corpus())
    since = CUTOFF_TS - 3 * DAY_MS
    recent = recent_examples(examples, since)
    last_W = examples.loss_row_M[examples.windows.loss_end_W - 1]
    kept = np.flatnonzero(examples.context.ts[last_W] >= since)
    assert 0 < kept.size < last_W.size
    assert recent.windows.begin_W.tolist() == examples.windows.begin_W[kept].tolist()
    for new, old in enumerate(kept):
        before, after = examples.windows, recent.windows
        expected = examples.loss_row_M[before.loss_begin_W[old] : before.loss_end_W[old]]
        found = recent.loss_row_M[after.loss_begin_W[new] : after.loss_end_W[new]]
        assert found.tolist() == expected.tolist()
    position = recent.store.positions_of(recent.context.request_key[recent.loss_row_M])
    assert recent.windows.loss_M.tolist() == position.tolist()


def test_no_recent_window_is_refused() -> None:
    with pytest.raises(ContractError, match=r"none of .* training windows ends at or after"):
        recent_examples(build(make_small_corpus()), CUTOFF_TS + 1)
