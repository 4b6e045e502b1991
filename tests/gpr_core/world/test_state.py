from dataclasses import fields, replace

import numpy as np
import pytest

from gpr_core.support.errors import ArtifactError
from gpr_core.world.state import (
    load_state,
    new_windows,
    no_ad_events,
    no_organic,
    read_arrays,
    save_state,
    write_arrays,
)


def assert_same(first, second):
    if isinstance(first, np.ndarray):
        np.testing.assert_array_equal(first, second)
        assert first.dtype == second.dtype
    elif isinstance(first, tuple):
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif hasattr(first, "__dataclass_fields__"):
        for field in fields(first):
            assert_same(getattr(first, field.name), getattr(second, field.name))
    else:
        assert first == second


def test_a_state_survives_its_file_bit_for_bit(beginning, tmp_path):
    path = tmp_path / "state.npz"
    save_state(path, beginning.state)
    assert_same(beginning.state, load_state(path))


def test_the_comparison_above_can_fail(beginning):
    other = replace(beginning.state, device_U=beginning.state.device_U + 1)
    with pytest.raises(AssertionError):
        assert_same(beginning.state, other)


def test_equal_states_are_equal_bytes(beginning, tmp_path):
    for name in ("a.npz", "b.npz"):
        save_state(tmp_path / name, beginning.state)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_lost_file_says_what_to_do(tmp_path):
    with pytest.raises(ArtifactError, match="the lake cannot be continued without it"):
        load_state(tmp_path / "day=2026-01-01.npz")


def test_named_arrays_come_back(tmp_path):
    write_arrays(tmp_path / "x.npz", {"a": np.arange(3), "b": np.zeros((0, 2))})
    arrays = read_arrays(tmp_path / "x.npz")
    assert arrays["a"].tolist() == [0, 1, 2]
    assert arrays["b"].shape == (0, 2)


def test_empty_parts_have_no_rows(config):
    assert {len(column) for column in (*no_ad_events(), *no_organic())} == {0}
    requests, organic = new_windows(config)
    assert requests.shape == (28, 60)
    assert organic.shape == (28, 60, 6)
    assert requests.sum() == organic.sum() == 0
