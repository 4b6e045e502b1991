"""Budgets that concurrent decodes share and never oversell.

Letters: A ads by rank, M flat rows.
"""

import threading
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_shape


class BudgetView(NamedTuple):
    """What was left at one moment.

    Attributes:
        version: Number of changes before this moment.
        remaining_A: [A] int64 micros left per ad.
    """

    version: int
    remaining_A: npt.NDArray[np.int64]


class BudgetLedger:
    """Compare-and-reserve per ad.

    A decode reads one view and plans with it; the view may be stale by the time it emits, so
    every emission reserves, and a reservation compares with what is left now.

    Args:
        remaining_A: [A] int64 micros left per ad, >= 0.

    Raises:
        ConfigError: If a budget is negative.
    """

    def __init__(self, remaining_A: npt.NDArray[np.int64]) -> None:
        self._remaining_A = np.array(remaining_A, dtype=np.int64)
        if (self._remaining_A < 0).any():
            raise ConfigError(
                f"{int((self._remaining_A < 0).sum())} budgets are negative",
                where="remaining_A",
                fix="start from max(budget - spent, 0)",
            )
        self._version = 0
        self._lock = threading.Lock()

    def view(self) -> BudgetView:
        """Read all budgets at one moment.

        Returns:
            A copy with its version; later reservations do not change it.
        """
        with self._lock:
            return BudgetView(self._version, self._remaining_A.copy())

    def reserve(
        self, ranks_M: npt.NDArray[np.int64], price_micros_M: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Reserve prices in order, each only if the ad still has that much.

        Within one call the requests of an ad are served in order; after the first refusal of an
        ad, its later ones in the same call are refused as well.

        Args:
            ranks_M: [M] int64 ads.
            price_micros_M: [M] int64 micros, >= 0.

        Returns:
            [M] bool, True where the price is reserved.

        Raises:
            ConfigError: If a price is negative.
        """
        ranks_M, price_M = self._checked(ranks_M, price_micros_M)
        granted_M = np.zeros(ranks_M.size, dtype=bool)
        if not ranks_M.size:
            return granted_M
        order_M = np.argsort(ranks_M, kind="stable")
        asked_M = _running_total_per_ad(ranks_M[order_M], price_M[order_M])
        with self._lock:
            granted_M[order_M] = asked_M <= self._remaining_A[ranks_M[order_M]]
            np.subtract.at(self._remaining_A, ranks_M[granted_M], price_M[granted_M])
            self._version += int(granted_M.any())
        return granted_M

    def release(
        self, ranks_M: npt.NDArray[np.int64], price_micros_M: npt.NDArray[np.int64]
    ) -> None:
        """Give back reservations that were not used.

        Args:
            ranks_M: [M] int64 ads.
            price_micros_M: [M] int64 micros, as reserved before.

        Raises:
            ConfigError: If a price is negative.
        """
        ranks_M, price_M = self._checked(ranks_M, price_micros_M)
        with self._lock:
            np.add.at(self._remaining_A, ranks_M, price_M)
            self._version += int(ranks_M.size > 0)

    @staticmethod
    def _checked(
        ranks_M: npt.NDArray[np.int64], price_micros_M: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Bring both arrays to int64 and refuse negative prices."""
        ranks_M = np.asarray(ranks_M, dtype=np.int64)
        price_M = np.asarray(price_micros_M, dtype=np.int64)
        check_shape("price_micros_M", price_M, (ranks_M.size,))
        if (price_M < 0).any():
            raise ConfigError(
                f"price {int(price_M.min())} is negative",
                where="price_micros_M",
                fix="reserve prices >= 0; use release to give back",
            )
        return ranks_M, price_M


def _running_total_per_ad(
    ranks_M: npt.NDArray[np.int64], price_M: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Sum prices up to each row within runs of equal ranks."""
    total_M = np.cumsum(price_M)
    starts = np.flatnonzero(np.append(True, ranks_M[1:] != ranks_M[:-1]))
    length = np.diff(np.append(starts, ranks_M.size))
    before_run = total_M[starts] - price_M[starts]
    return np.asarray(total_M - np.repeat(before_run, length), dtype=np.int64)
