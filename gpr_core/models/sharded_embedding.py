"""An embedding table that is too large for one process: each process holds some of its rows.

Row v lives in process v % count. A lookup asks the owners for the distinct rows of a batch and gets
them back; the backward pass sends the gradients the same way, so that each owner has the sum over
all processes. No model of ours has such a table; docs/training.md says where one plugs in.

Letters: V rows of the table, D width, N looked-up rows, U distinct ones among them, M rows that all
processes ask this one for, R processes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.data.keyed_sampling import keyed_normal
from gpr_core.support.distributed import ALONE, Processes
from gpr_core.support.errors import ContractError
from gpr_core.support.shapes import check_range


class ShardedEmbedding(nn.Module):
    """Embedding table, split by rows.

    The first weights of a row depend on seed and row only, so that the number of processes changes
    nothing. The gradient of the shard is sparse: `torch.optim.SparseAdam` or SGD steps the rows
    that were looked up and leaves the others alone.

    Args:
        num_rows: Rows V of the whole table.
        width: D.
        seed: Of the first weights, which have about unit norm.
        processes: Who holds a part of the table.

    Raises:
        ConfigError: If a size is below 1.

    Source:
        Own, decision 0019.
    """

    def __init__(
        self, num_rows: int, width: int, *, seed: int, processes: Processes = ALONE
    ) -> None:
        super().__init__()
        check_range("num_rows", num_rows, 1, 1 << 40)
        check_range("width", width, 1, 1 << 20)
        self.num_rows = num_rows
        self._processes = processes
        row_V1 = np.arange(processes.rank, num_rows, processes.count)[:, None]
        drawn_VD = keyed_normal(seed, "sharded embedding", row_V1, np.arange(width))
        self.shard_VD = nn.Parameter(torch.from_numpy(drawn_VD).float() * width**-0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """Look rows up; every process has to call this, and the backward pass, equally often.

        Args:
            ids: [...] int64 rows of the table; may be empty in a process that has no work.

        Returns:
            [..., D] float.

        Raises:
            ContractError: If a row is not in the table.
        """
        self._check(ids)
        count = self._processes.count
        id_U, place_N = torch.unique(ids, return_inverse=True)
        order_U = torch.argsort(id_U % count, stable=True)
        asked_U = id_U[order_U]
        sent_R = torch.bincount(asked_U % count, minlength=count)
        received_R = self._processes.exchange(sent_R, [1] * count, [1] * count)
        sent, received = sent_R.tolist(), received_R.tolist()
        id_M = self._processes.exchange(asked_U, sent, received)
        found_MD = F.embedding(id_M // count, self.shard_VD, sparse=True)
        found_UD: Tensor = _Exchange.apply(  # type: ignore[no-untyped-call]
            found_MD, self._processes, received, sent
        )
        return F.embedding(torch.argsort(order_U)[place_N], found_UD)

    @torch.no_grad()
    def full_table(self) -> Tensor:
        """Put the table together, for a checkpoint; every process has to call this.

        Returns:
            [V, D] float, the same in every process.
        """
        table_VD = self.shard_VD.new_zeros(self.num_rows, self.shard_VD.shape[1])
        table_VD[self._processes.rank :: self._processes.count] = self.shard_VD
        return self._processes.sum(table_VD)

    def _check(self, ids: Tensor) -> None:
        """Refuse rows outside the table; an owner would fail far from the cause."""
        bad = (ids < 0) | (ids >= self.num_rows)
        if bool(bad.any()):
            raise ContractError(
                f"{int(bad.sum())} ids are outside 0..{self.num_rows - 1}, "
                f"first {int(ids[bad][0])}",
                where="ShardedEmbedding",
                fix="make the table larger, or map unknown ids to a row kept for them",
            )


class _Exchange(torch.autograd.Function):
    """Sends rows forward, and their gradients back."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, processes: Processes, sent: Sequence[int], received: Sequence[int]
    ) -> Tensor:
        """Exchange rows."""
        ctx.processes, ctx.sent, ctx.received = processes, sent, received
        return processes.exchange(rows, sent, received)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Exchange gradients the other way."""
        [rows] = gradients
        return ctx.processes.exchange(rows, ctx.received, ctx.sent), None, None, None
