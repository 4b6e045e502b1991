"""Shape and range checks."""

import numpy as np
import pytest

from gpr_core.support.errors import ConfigError, ShapeError
from gpr_core.support.shapes import check_range, check_shape


def test_a_fitting_shape_passes():
    check_shape("x_BD", np.zeros((2, 3)), (None, 3))


@pytest.mark.parametrize("expected", [(2, 4), (2, 3, 1), (2,)])
def test_another_shape_is_refused(expected):
    with pytest.raises(ShapeError, match=r"x_BD has shape \[2, 3\], expected \["):
        check_shape("x_BD", np.zeros((2, 3)), expected)


def test_ends_of_a_range_are_inside():
    check_range("rate", 0.0, 0.0, 1.0)
    check_range("rate", 1.0, 0.0, 1.0)
    with pytest.raises(ConfigError, match=r"rate is 1.5, expected a value in \[0.0, 1.0\]"):
        check_range("rate", 1.5, 0.0, 1.0)
