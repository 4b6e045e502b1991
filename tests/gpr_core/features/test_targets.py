import numpy as np
import pytest

from gpr_core.features.targets import (
    Exposures,
    count_shared_codes,
    next_distinct_targets,
    offset_targets,
)
from gpr_core.support.errors import ConfigError


def make_exposures(rows: list[tuple[int, int, int]], usable: list[bool] | None = None) -> Exposures:
    """Exposures from (user, ts, level-1 code)."""
    user, ts, code = (np.array(column) for column in zip(*rows, strict=True))
    path = np.stack([code, np.zeros_like(code)], axis=1).astype(np.int16)
    is_usable = np.ones(len(rows), bool) if usable is None else np.array(usable)
    return Exposures(user, np.arange(len(rows)) + 50, ts, path, is_usable)


def targets(
    exposures: Exposures, *, heads: int = 3, is_eligible=None, choose=next_distinct_targets
) -> list[list[int]]:
    everything = is_eligible or (lambda rows, later: np.ones(rows.size, dtype=bool))
    return choose(
        exposures, num_heads=heads, horizon_ms=100, cutoff_ts=1000, is_eligible=everything
    ).tolist()


def test_later_heads_take_the_first_exposure_with_a_new_level_1_code() -> None:
    exposures = make_exposures([(1, 10, 4), (1, 20, 4), (1, 30, 7), (1, 40, 4), (1, 50, 9)])
    assert targets(exposures) == [
        [0, 2, 4],
        [1, 2, 4],
        [2, 3, 4],
        [3, 4, -1],
        [4, -1, -1],
    ]


def test_rows_may_come_in_any_order_and_users_do_not_mix() -> None:
    exposures = make_exposures([(2, 15, 8), (1, 30, 7), (1, 10, 4)])
    assert targets(exposures) == [[0, -1, -1], [1, -1, -1], [2, 1, -1]]


def test_the_horizon_and_the_cutoff_bound_the_look_ahead() -> None:
    exposures = make_exposures([(1, 10, 1), (1, 110, 2), (1, 111, 3), (2, 990, 1), (2, 1000, 2)])
    # 110 is within 100 ms of 10, 111 is not; 1000 is the cutoff itself.
    assert targets(exposures) == [[0, 1, -1], [1, 2, -1], [2, -1, -1], [3, -1, -1], [4, -1, -1]]


def test_an_exposure_at_the_same_millisecond_is_not_later() -> None:
    exposures = make_exposures([(1, 10, 1), (1, 10, 2), (1, 11, 3)])
    assert targets(exposures) == [[0, 2, -1], [1, 2, -1], [2, -1, -1]]


def test_an_ineligible_exposure_is_skipped_for_the_next_one() -> None:
    exposures = make_exposures([(1, 10, 1), (1, 20, 2), (1, 30, 3), (1, 40, 2)])

    def not_row_1(rows: np.ndarray, later: np.ndarray) -> np.ndarray:
        return later != 1

    assert targets(exposures, is_eligible=not_row_1)[0] == [0, 2, 3]


def test_a_held_out_exposure_is_nobodys_later_target() -> None:
    exposures = make_exposures([(1, 10, 1), (1, 20, 2), (1, 30, 3)], usable=[True, False, True])
    assert targets(exposures) == [[0, 2, -1], [1, 2, -1], [2, -1, -1]]


def test_offset_targets_are_the_next_exposures_of_any_interest() -> None:
    exposures = make_exposures([(1, 10, 4), (1, 20, 4), (1, 30, 7), (2, 35, 1), (1, 111, 9)])
    assert targets(exposures, choose=offset_targets) == [
        [0, 1, 2],
        [1, 2, 4],
        [2, 4, -1],
        [3, -1, -1],
        [4, -1, -1],
    ]


def test_offset_targets_skip_what_may_not_serve_or_is_held_out() -> None:
    exposures = make_exposures(
        [(1, 10, 1), (1, 20, 1), (1, 30, 1), (1, 40, 1)], usable=[True, True, False, True]
    )

    def not_row_1(rows: np.ndarray, later: np.ndarray) -> np.ndarray:
        return later != 1

    found = targets(exposures, is_eligible=not_row_1, choose=offset_targets)
    assert found == [[0, 3, -1], [1, 3, -1], [2, 3, -1], [3, -1, -1]]


def test_one_head_predicts_the_exposed_ad_only() -> None:
    exposures = make_exposures([(1, 10, 1), (1, 20, 2)])
    assert targets(exposures, heads=1) == [[0], [1]]


def test_a_head_is_required() -> None:
    with pytest.raises(ConfigError, match="num_heads is 0"):
        targets(make_exposures([(1, 10, 1)]), heads=0)


def test_vectorized_rule_equals_the_loop() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    rows = [
        (int(rng.integers(3)), int(ts), int(rng.integers(4))) for ts in rng.integers(0, 900, 80)
    ]
    usable = list(rng.uniform(size=80) < 0.8)
    allowed = rng.uniform(size=(80, 80)) < 0.7
    exposures = make_exposures(rows, usable)
    found = targets(exposures, heads=4, is_eligible=lambda now, later: allowed[now, later])
    order = sorted(range(80), key=lambda row: (rows[row][0], rows[row][1], row))
    for place, row in enumerate(order):
        user, ts, code = rows[row]
        expected, codes = [row], [code]
        for later in order[place + 1 :]:
            later_user, later_ts, later_code = rows[later]
            if later_user != user or later_ts - ts > 100 or len(expected) == 4:
                break
            fits = usable[later] and allowed[row, later] and later_ts > ts
            if fits and later_code not in codes:
                expected.append(later)
                codes.append(later_code)
        assert found[row] == expected + [-1] * (4 - len(expected))


def test_shared_codes_are_counted_per_request() -> None:
    path = np.array([[1, 0], [1, 5], [2, 0]], dtype=np.int16)
    target = np.array([[0, 1, -1], [1, 2, -1], [2, -1, -1]])
    assert count_shared_codes(target, path) == 1
