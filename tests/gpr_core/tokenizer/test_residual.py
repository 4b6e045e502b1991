"""The residual pass against a brute-force search."""

import numpy as np
import pytest

from gpr_core.support.errors import ContractError, ShapeError
from gpr_core.tokenizer import residual
from gpr_core.tokenizer.residual import check_finite, residual_pass, sum_of_centers

CODEBOOKS = [
    np.array([[0, 0], [4, 0]], np.float32),
    np.array([[0, 1], [1, 0], [0, -1]], np.float32),
]


def test_each_level_takes_the_center_nearest_to_what_is_left():
    found = residual_pass(np.array([[4.2, 0.9], [0.8, 0.1], [3.0, -0.9]], np.float32), CODEBOOKS)
    # The third is nearest to (4, 0); of the rest (-1, -0.9) the center (0, -1) is nearest.
    assert found.code_ML.tolist() == [[1, 0], [0, 1], [1, 2]]
    assert found.sum_MD.tolist() == [[4, 1], [1, 0], [4, -1]]


def test_a_tie_goes_to_the_lowest_code():
    found = residual_pass(np.array([[2, 0]], np.float32), [CODEBOOKS[0][::-1], CODEBOOKS[0][:1]])
    assert found.code_ML.tolist() == [[0, 0]]


def test_codes_are_those_of_brute_force(monkeypatch):
    monkeypatch.setattr(residual, "_CHUNK_SCORES", 64)
    rng = np.random.Generator(np.random.PCG64(2))
    x = rng.normal(size=(301, 5)).astype(np.float32)
    codebooks = [rng.normal(size=(size, 5)).astype(np.float32) for size in (16, 7)]
    left = x.astype(np.float64)
    for level, centers in enumerate(codebooks):
        distance = np.square(left[:, None] - centers).sum(2)
        codes = residual_pass(x, codebooks).code_ML[:, level]
        chosen = distance[np.arange(301), codes]
        assert (chosen <= distance.min(1) + 1e-6).all()
        left -= centers[codes]
    assert np.allclose(residual_pass(x, codebooks).sum_MD, x - left, atol=1e-5)


def test_decoding_adds_the_centers():
    codes = np.array([[1, 2], [0, 0]], np.int16)
    assert sum_of_centers(codes, CODEBOOKS).tolist() == [[4, -1], [0, 1]]


def test_bad_input_is_refused():
    with pytest.raises(ShapeError, match="x_MD has shape"):
        residual_pass(np.zeros((1, 3), np.float32), CODEBOOKS)
    with pytest.raises(ContractError, match="item vectors are not finite"):
        residual_pass(np.full((1, 2), np.nan, np.float32), CODEBOOKS)
    with pytest.raises(ShapeError, match="code_ML has shape"):
        sum_of_centers(np.zeros((1, 3), np.int16), CODEBOOKS)
    with pytest.raises(ContractError, match="codes range from 0 to 3"):
        sum_of_centers(np.array([[0, 3]], np.int16), CODEBOOKS)


def test_the_rows_that_are_not_finite_are_named():
    with pytest.raises(
        ContractError, match=r"2 rows of things are not finite, first rows \[1, 2\]"
    ):
        check_finite(np.array([[0.0], [np.nan], [np.inf]]), "things")
