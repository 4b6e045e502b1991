import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from gpr_core.embeddings.projection import fit_projection, project
from gpr_core.support.errors import ShapeError
from gpr_core.support.seeding import numpy_stream


def make_rows(num_rows, num_features, rank):
    """Make sparse rows around one mean, of a falling spectrum."""
    draw = numpy_stream(5, "rows")
    left = draw.normal(size=(num_rows, rank)) * 0.5 ** np.arange(rank)
    right = draw.normal(size=(rank, num_features))
    dense = left @ right * (draw.random(num_features) < 0.3) + 0.1
    return csr_array(dense.astype(np.float32))


def exact_directions(x_NF, dim):
    """Compute the directions the long way: center, decompose all of it, fix the signs."""
    dense = x_NF.toarray().astype(np.float64)
    _, _, right = np.linalg.svd(dense - dense.mean(axis=0), full_matrices=False)
    sign = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    return (right * sign[:, None])[:dim].T


def test_directions_are_those_of_the_full_decomposition():
    x_NF = make_rows(200, 120, 12)
    projection = fit_projection(x_NF, 6)
    np.testing.assert_allclose(projection.basis_FD, exact_directions(x_NF, 6), atol=2e-5)


def test_projections_are_centered_rows_of_length_one():
    x_NF = make_rows(50, 30, 8)
    projection = fit_projection(x_NF, 5)
    dense = x_NF.toarray().astype(np.float64)
    expected = (dense - dense.mean(axis=0)) @ exact_directions(x_NF, 5)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = project(x_NF, projection)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.dtype == np.float32


def test_there_are_no_more_directions_than_the_rows_have():
    x_NF = make_rows(50, 30, 3)
    assert fit_projection(x_NF, 10).dim == 3
    assert fit_projection(csr_array(np.ones((9, 4), dtype=np.float32)), 10).dim == 0
    assert fit_projection(x_NF[:1], 10).dim == 0


def test_no_training_column_is_constant():
    draw = numpy_stream(6, "two values")
    one_of_two = np.eye(2, dtype=np.float32)[(draw.random(40) < 0.5).astype(int)]
    x_ND = project(csr_array(one_of_two), fit_projection(csr_array(one_of_two), 8))
    assert x_ND.shape == (40, 1)
    assert sorted(set(x_ND.ravel().tolist())) == [-1.0, 1.0]


def test_a_row_does_not_depend_on_the_rows_beside_it():
    x_NF = make_rows(60, 40, 10)
    projection = fit_projection(x_NF, 7)
    alone = np.concatenate([project(x_NF[[row]], projection) for row in range(60)])
    assert np.array_equal(alone, project(x_NF, projection))


def test_fitting_twice_gives_equal_bits():
    x_NF = make_rows(80, 50, 10)
    first, second = fit_projection(x_NF, 7), fit_projection(x_NF, 7)
    assert np.array_equal(first.basis_FD, second.basis_FD)
    assert np.array_equal(first.offset_D, second.offset_D)


def test_a_row_at_the_mean_gets_the_diagonal():
    x_NF = csr_array(np.array([[1, 0], [-1, 0], [0, 2], [0, -2]], dtype=np.float32))
    mean = csr_array(np.zeros((1, 2), dtype=np.float32))
    assert project(mean, fit_projection(x_NF, 2)) == pytest.approx(np.full((1, 2), 0.5**0.5))


def test_the_matrix_is_never_made_dense(monkeypatch):
    # 2,000 x 200,000 would be 3.2 GB of doubles; the sparse entries are 100,000.
    x_NF = csr_array(
        random_array((2000, 200_000), density=2.5e-4, rng=numpy_stream(1, "wide"), format="csr")
    )

    def refuse(self, *args, **kwargs):
        raise AssertionError("made dense")

    monkeypatch.setattr(csr_array, "toarray", refuse)
    monkeypatch.setattr(csr_array, "todense", refuse)
    assert fit_projection(x_NF, 4).basis_FD.shape == (200_000, 4)


def test_another_number_of_features_is_refused():
    x_NF = make_rows(20, 10, 3)
    with pytest.raises(ShapeError, match="x_NF has shape"):
        project(x_NF[:, :5], fit_projection(x_NF, 2))
