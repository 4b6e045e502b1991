from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.world.columns import join, take


class Two(NamedTuple):
    number: npt.NDArray[np.int64]
    share: npt.NDArray[np.float64]


ROWS = Two(np.array([1, 2, 3]), np.array([0.1, 0.2, 0.3]))


def test_a_mask_and_positions_choose_rows():
    assert take(ROWS, np.array([True, False, True])).number.tolist() == [1, 3]
    assert take(ROWS, np.array([2, 0])).share.tolist() == [0.3, 0.1]


def test_the_kind_of_rows_is_kept():
    assert isinstance(take(ROWS, np.array([0])), Two)
    assert isinstance(join(ROWS, ROWS), Two)


def test_joining_appends_every_column():
    joined = join(ROWS, take(ROWS, np.array([1])))
    assert joined.number.tolist() == [1, 2, 3, 2]
    assert joined.share.tolist() == [0.1, 0.2, 0.3, 0.2]
