"""Tests of training windows."""

import numpy as np

from gpr_core.features.windows import Windows


def test_the_user_token_in_front_counts():
    windows = Windows(
        begin_W=np.array([4, 10]),
        end_W=np.array([7, 12]),
        user_token_W=np.array([-1, 2]),
        loss_begin_W=np.array([0, 1]),
        loss_end_W=np.array([1, 2]),
        loss_M=np.array([6, 11]),
    )
    assert windows.lengths().tolist() == [3, 3]
