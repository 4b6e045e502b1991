import numpy as np
import pytest

from gpr_core.embeddings.attributes import AttributeFeatures
from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.support.progress import Progress
from tests.gpr_core.embeddings.small_catalog import make_items

PROGRESS = Progress("test")
NUMBER = ColumnRoles(numeric=("price",))
NOTHING = ColumnRoles()


def items_of(columns, roles):
    """Make items from columns."""
    size = len(next(iter(columns.values())))
    rows = [
        {"item_id": n, "title": "a", **{name: column[n] for name, column in columns.items()}}
        for n in range(size)
    ]
    return make_items(rows, roles)


def angles(x_NF):
    """Read the angle of the first number in half turns: -0.5 .. 0.5."""
    dense = x_NF.toarray()
    return np.arctan2(dense[:, 0], dense[:, 1]) / np.pi


def test_numbers_lie_on_a_half_circle_by_rank_and_outliers_stay_inside():
    prices = [1.0, 2.0, 3.0, 4.0, 1e9]
    features, x_NF = AttributeFeatures.fit(items_of({"price": prices}, NUMBER), PROGRESS)
    assert angles(x_NF) == pytest.approx([-0.5, -0.25, 0.0, 0.25, 0.5], abs=1e-6)
    new = features.rows(items_of({"price": [-7.0, 2.5, 1e12]}, NUMBER), PROGRESS)
    assert angles(new) == pytest.approx([-0.5, -0.125, 0.5], abs=1e-6)


def test_equal_numbers_share_the_middle_of_their_ranks():
    prices = [5.0] * 6 + [1.0, 9.0, 8.0]
    _, x_NF = AttributeFeatures.fit(items_of({"price": prices}, NUMBER), PROGRESS)
    # 5.0 takes quantiles 1/8 .. 6/8 of 64 steps, 8 .. 48 (between the ranks 1 and 6).
    assert angles(x_NF)[0] == pytest.approx((8 + 48) / 128 - 0.5, abs=0.01)
    assert angles(x_NF)[6] == pytest.approx(-0.5, abs=0.01)


def test_a_missing_number_is_its_own_point():
    items = items_of({"price": [1.0, None, 2.0]}, NUMBER)
    _, x_NF = AttributeFeatures.fit(items, PROGRESS)
    assert x_NF.toarray()[1, :3].tolist() == [0.0, 0.0, 1.0]
    assert x_NF.toarray()[[0, 2], 2].tolist() == [0.0, 0.0]


def test_a_number_that_was_never_filled_is_left_out():
    roles = ColumnRoles(numeric=("price", "weight"))
    items = items_of({"price": [1.0, 2.0], "weight": [np.nan, np.nan]}, roles)
    features, x_NF = AttributeFeatures.fit(items, PROGRESS)
    assert list(features.scales) == ["price"]
    assert x_NF.shape == (2, 3 + 64)


def test_equal_values_have_equal_signs_and_others_hardly_agree():
    brands = ["A", "A", *(f"B{n}" for n in range(50))]
    _, x_NF = AttributeFeatures.fit(items_of({"brand": brands}, NOTHING), PROGRESS)
    dense = x_NF.toarray()
    assert np.array_equal(dense[0], dense[1])
    unit = dense / np.linalg.norm(dense, axis=1, keepdims=True)
    # 64 fair coins: a standard deviation of 1 / 8.
    assert np.abs(unit[0] @ unit[2:].T).max() < 0.5
    assert np.abs(unit).max() == pytest.approx(1 / 8)


def test_common_values_are_damped():
    brands = ["A", "A", "A", "B"]
    features, x_NF = AttributeFeatures.fit(items_of({"brand": brands}, NOTHING), PROGRESS)
    lengths = np.linalg.norm(x_NF.toarray(), axis=1)
    # 1 - log(1 + n) / log(1 + 4), for n of 3 and 1; a value that nobody has seen has length 1.
    assert lengths[[0, 3]] == pytest.approx(1 - np.log([4, 2]) / np.log(5), abs=1e-6)
    new = features.rows(items_of({"brand": ["C"]}, NOTHING), PROGRESS)
    assert np.linalg.norm(new.toarray()) == pytest.approx(1.0)


def test_the_same_word_in_two_columns_is_two_values():
    roles = ColumnRoles(categorical=("color",))
    _, x_NF = AttributeFeatures.fit(
        items_of({"brand": ["Red", ""], "color": [None, "Red"]}, roles), PROGRESS
    )
    assert not np.array_equal(*x_NF.toarray())


def test_items_of_one_branch_are_closer_than_items_of_two():
    paths = ["Home > Desks", "Home > Beds", "Food > Tea", "Food > Rice"]
    _, x_NF = AttributeFeatures.fit(items_of({"category": paths}, NOTHING), PROGRESS)
    dense = x_NF.toarray()
    unit = dense / np.linalg.norm(dense, axis=1, keepdims=True)
    cosine = unit @ unit.T
    assert cosine[0, 1] > max(cosine[0, 2], cosine[0, 3])
    assert cosine[2, 3] > max(cosine[0, 2], cosine[1, 3])
