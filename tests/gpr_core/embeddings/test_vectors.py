import numpy as np
import pytest

from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.embeddings.vectors import VectorFeatures
from gpr_core.support.errors import ShapeError
from gpr_core.support.progress import Progress
from tests.gpr_core.embeddings.small_catalog import make_items

ROLES = ColumnRoles(image_vectors=("v",))
FEATURES = VectorFeatures(column="v", width=2)


def rows_of(*vectors):
    """Encode vectors."""
    rows = [{"item_id": n, "title": "a", "v": vector} for n, vector in enumerate(vectors)]
    return FEATURES.rows(make_items(rows, ROLES), Progress("test")).toarray()


def test_vectors_have_length_one_and_missing_ones_a_mark():
    expected = np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(rows_of([3.0, 4.0], None), expected, atol=1e-7)


def test_another_length_than_the_fitted_one_is_refused():
    with pytest.raises(ShapeError, match="vectors of v has shape"):
        rows_of([1.0, 2.0, 3.0])


def test_new_items_without_any_vector_are_all_missing():
    assert rows_of(None, None).tolist() == [[0.0, 0.0, 1.0]] * 2
