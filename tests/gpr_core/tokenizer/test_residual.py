"""The residual pass against a brute-force search, and what the codes may depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.support.errors import ContractError, ShapeError
from gpr_core.tokenizer import residual
from gpr_core.tokenizer.residual import (
    check_finite,
    residual_codes,
    residual_pass,
    sum_of_centers,
)

CODEBOOKS = [
    np.array([[0, 0], [4, 0]], np.float32),
    np.array([[0, 1], [1, 0], [0, -1]], np.float32),
]


def make_case(seed, num_items, sizes, width):
    """Items and codebooks of residual scale, with some equal centers."""
    rng = np.random.Generator(np.random.PCG64(seed))
    x = rng.normal(size=(num_items, width)).astype(np.float32)
    codebooks = [
        (rng.normal(size=(size, width)) / (level + 1)).astype(np.float32)
        for level, size in enumerate(sizes)
    ]
    for centers in codebooks:
        centers[rng.integers(len(centers), size=2)] = centers[0]
    return x, codebooks


def test_each_level_takes_the_center_nearest_to_what_is_left():
    found = residual_pass(np.array([[4.2, 0.9], [0.8, 0.1], [3.0, -0.9]], np.float32), CODEBOOKS)
    # The third is nearest to (4, 0); of the rest (-1, -0.9) the center (0, -1) is nearest.
    assert found.code_ML.tolist() == [[1, 0], [0, 1], [1, 2]]
    assert found.sum_MD.tolist() == [[4, 1], [1, 0], [4, -1]]


def test_a_tie_goes_to_the_lowest_code():
    found = residual_pass(np.array([[2, 0]], np.float32), [CODEBOOKS[0][::-1], CODEBOOKS[0][:1]])
    assert found.code_ML.tolist() == [[0, 0]]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_items=st.integers(1, 1500),
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=3),
    width=st.integers(1, 70),
)
def test_codes_are_those_of_brute_force_except_at_ties(seed, num_items, sizes, width):
    x, codebooks = make_case(seed, num_items, sizes, width)
    code_ML = residual_codes(x, codebooks, threads=1)
    left = x
    for level, centers in enumerate(codebooks):
        exact = centers.astype(np.float64)
        score = left.astype(np.float64) @ exact.T - np.square(exact).sum(1) / 2
        chosen = score[np.arange(num_items), code_ML[:, level]]
        # The error bound of a float32 product: one rounding for each of its width + 1 terms.
        size = np.linalg.norm(left, axis=1) * np.linalg.norm(exact, axis=1).max()
        size += np.square(exact).sum(1).max() / 2
        tie = 2 * (width + 6) * 2.0**-24 * size
        assert (chosen >= score.max(1) - tie).all()
        left = left - centers[code_ML[:, level]]


@pytest.mark.parametrize(
    ("sizes", "width"), [((7, 300), 5), ((1500,), 16), ((32, 32, 32), 64), ((256,), 33)]
)
def test_a_vector_has_the_same_codes_in_any_company(sizes, width):
    x, codebooks = make_case(3, 2500, sizes, width)
    # Midpoints of two centers: the least difference in rounding would show.
    centers = codebooks[0]
    x[:500] = (centers[np.arange(500) % len(centers)] + centers[::-1][np.arange(500) % 7 % 2]) / 2
    code_ML = residual_codes(x, codebooks, threads=1)
    alone = np.concatenate([residual_codes(row[None], codebooks) for row in x[:60]])
    assert alone.tolist() == code_ML[:60].tolist()
    order = np.random.Generator(np.random.PCG64(5)).permutation(2500)
    assert residual_codes(x[order], codebooks).tolist() == code_ML[order].tolist()
    assert residual_codes(x[1:1030], codebooks).tolist() == code_ML[1:1030].tolist()


def test_equal_centers_share_their_lowest_code():
    x, codebooks = make_case(4, 700, (1100,), 9)
    centers = codebooks[0]
    twice = np.concatenate([centers, centers])
    assert residual_codes(x, [twice]).tolist() == residual_codes(x, [centers]).tolist()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(threads):
    x, codebooks = make_case(6, 9000, (40, 50), 12)
    found = residual_codes(x, codebooks, threads=threads)
    assert found.dtype == np.int16
    assert found.tolist() == residual_codes(x, codebooks, threads=1).tolist()


def test_a_memory_map_is_read_and_left_alone(tmp_path):
    x, codebooks = make_case(7, 3000, (40,), 12)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert residual_codes(mapped, codebooks).tolist() == residual_codes(x, codebooks).tolist()
    assert np.load(tmp_path / "x.npy").tobytes() == x.tobytes()


def test_other_layouts_and_widths_of_float_are_converted_by_the_chunk():
    x, codebooks = make_case(8, 1100, (40,), 12)
    expected = residual_codes(x, codebooks).tolist()
    assert residual_codes(np.asfortranarray(x), codebooks).tolist() == expected
    assert residual_codes(x.astype(np.float64), codebooks).tolist() == expected


def test_decoding_adds_the_centers(monkeypatch):
    monkeypatch.setattr(residual, "_SLICE_VALUES", 4)
    codes = np.array([[1, 2], [0, 0], [1, 1]], np.int16)
    assert sum_of_centers(codes, CODEBOOKS).tolist() == [[4, -1], [0, 1], [5, 0]]


def test_bad_input_is_refused():
    with pytest.raises(ShapeError, match="x_MD has shape"):
        residual_pass(np.zeros((1, 3), np.float32), CODEBOOKS)
    with pytest.raises(ContractError, match="item vectors are not finite"):
        residual_pass(np.full((1, 2), np.nan, np.float32), CODEBOOKS)
    with pytest.raises(ShapeError, match="code_ML has shape"):
        sum_of_centers(np.zeros((1, 3), np.int16), CODEBOOKS)
    with pytest.raises(ContractError, match="codes range from 0 to 3"):
        sum_of_centers(np.array([[0, 3]], np.int16), CODEBOOKS)


def test_the_rows_that_are_not_finite_are_named(monkeypatch):
    things = np.array([[0.0, 0.0], [np.nan, np.inf], [0.0, -np.inf]])
    for values in (1, 4, 1 << 18):
        monkeypatch.setattr(residual, "_SLICE_VALUES", values)
        with pytest.raises(
            ContractError, match=r"2 rows of things are not finite, first rows \[1, 2\]"
        ):
            check_finite(things, "things")


def test_a_bad_row_is_found_in_any_chunk():
    x, codebooks = make_case(9, 5000, (4,), 3)
    x[[1500, 4999], 1] = np.inf
    with pytest.raises(ContractError, match=r"2 rows .* first rows \[1500, 4999\]"):
        residual_codes(x, codebooks, threads=2)
