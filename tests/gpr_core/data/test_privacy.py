import numpy as np
import pytest

from gpr_core.data.privacy import bucket_age, keyed_ids, merge_small_cells
from gpr_core.support.errors import ConfigError

SECRET = b"0123456789abcdef"


def sizes_of(cells):
    names = list(zip(cells.age_bucket, cells.gender, cells.geo_l2, strict=True))
    return sorted(names.count(name) for name in set(names))


def test_ids_fit_in_int64_and_are_never_zero():
    keys = keyed_ids([str(number) for number in range(2000)], SECRET, space="user")
    assert keys.dtype == np.uint64
    assert keys.min() >= 1
    assert keys.max() < 2**63
    assert len(np.unique(keys)) == 2000


def test_another_secret_gives_other_ids():
    first = keyed_ids(["7", "8"], SECRET, space="user")
    second = keyed_ids(["7", "8"], SECRET + b"!", space="user")
    assert not np.isin(first, second).any()


def test_one_raw_id_differs_between_spaces():
    assert keyed_ids(["7"], SECRET, space="user")[0] != keyed_ids(["7"], SECRET, space="movie")[0]


def test_a_short_secret_is_refused():
    with pytest.raises(ConfigError, match="the secret has 3 bytes, expected at least 16"):
        keyed_ids(["7"], b"abc", space="user")


def test_age_edges_open_the_next_bucket():
    ages = [-1, 0, 1, 17, 18, 24, 25, 34, 35, 44, 45, 54, 55, 99]
    assert bucket_age(ages).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]


def test_large_cells_are_left_alone():
    column = np.array([1, 1, 1, 2, 2, 2])
    cells = merge_small_cells(column, column, column, column, min_users=3)
    np.testing.assert_array_equal(cells.geo_l2, column)


def test_a_small_cell_loses_its_city_first():
    age, gender, region = np.ones(6, int), np.ones(6, int), np.ones(6, int)
    city = np.array([1, 1, 1, 2, 3, 4])
    cells = merge_small_cells(age, gender, region, city, min_users=3)
    assert cells.geo_l2.tolist() == [1, 1, 1, 0, 0, 0]
    assert cells.age_bucket.tolist() == [1] * 6
    assert cells.geo_l1.tolist() == [1] * 6


def test_then_the_age_and_the_region():
    age = np.array([1, 1, 1, 2, 3, 4])
    ones = np.ones(6, int)
    cells = merge_small_cells(age, ones, ones, ones, min_users=3)
    assert cells.age_bucket.tolist() == [1, 1, 1, 0, 0, 0]
    assert cells.gender.tolist() == [1] * 6
    assert cells.geo_l1.tolist() == [1, 1, 1, 0, 0, 0]


def test_a_lonely_rest_pulls_the_smallest_cell_in():
    ones = np.ones(8, int)
    age, gender = np.array([1, 1, 1, 1, 2, 2, 2, 3]), np.array([1, 1, 1, 1, 1, 1, 1, 2])
    cells = merge_small_cells(age, gender, ones, ones, min_users=3)
    assert sizes_of(cells) == [4, 4]
    assert cells.gender.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_no_cell_stays_small(seed):
    stream = np.random.default_rng(seed)
    columns = [stream.integers(0, high, 300) for high in (7, 3, 4, 40)]
    assert sizes_of(merge_small_cells(*columns, min_users=20))[0] >= 20


def test_too_few_people_are_refused():
    one = np.ones(2, int)
    with pytest.raises(ConfigError, match="2 people cannot form a cell of 3"):
        merge_small_cells(one, one, one, one, min_users=3)
