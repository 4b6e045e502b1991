"""Which pieces of timelines a training reads, and which requests each of them answers for.

Letters: W windows, M loss positions.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Windows(NamedTuple):
    """Pieces of timelines, each read as one training sequence.

    Attributes:
        begin_W: [W] int64, first flat token of the window.
        end_W: [W] int64, one after its last flat token.
        user_token_W: [W] int64, flat index of the U token put in front, -1 for none.
        loss_begin_W: [W] int64, first of its loss positions in `loss_M`.
        loss_end_W: [W] int64, one after the last.
        loss_M: [M] int64, flat index of the E token of each loss position, ascending.
    """

    begin_W: Ints
    end_W: Ints
    user_token_W: Ints
    loss_begin_W: Ints
    loss_end_W: Ints
    loss_M: Ints

    def lengths(self) -> Ints:
        """Count the tokens of each window, the U token in front included.

        Returns:
            [W] int64.
        """
        return self.end_W - self.begin_W + (self.user_token_W >= 0)
