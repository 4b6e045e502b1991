"""Processes that work on one result together; a process on its own is the simplest case.

`torchrun` starts the processes and tells each its place by RANK, WORLD_SIZE and LOCAL_RANK, which
are read here and nowhere else. Sums have the same bits in every process, so that weights which
start equal stay equal.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gpr_core.support.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Processes:
    """The place of this process among those that work together.

    Attributes:
        rank: Place of this process, 0-based; the first one writes results.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes checkpoints and reports progress."""
        return self.rank == 0

    def own(self, num_shares: int) -> range:
        """Tell which shares of the work fall to this process.

        Args:
            num_shares: Shares in all, a multiple of `count`.

        Returns:
            Their numbers.

        Example:
            >>> Processes(rank=1, count=2).own(6)
            range(3, 6)
        """
        each = num_shares // self.count
        return range(self.rank * each, (self.rank + 1) * each)

    def sum(self, values: Tensor) -> Tensor:
        """Add up a tensor over all processes.

        Args:
            values: Tensor of any shape, the same in every process; may be overwritten.

        Returns:
            The sum, with the same bits in every process.
        """
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Tensor:
        """Send rows to every process and receive theirs.

        Args:
            rows: [N, ...] rows, those for process 0 first.
            sent: Rows for each process, N in all.
            received: Rows that come from each process, M in all.

        Returns:
            [M, ...] rows, those from process 0 first.
        """
        if self.count == 1:
            return rows
        found = rows.new_empty(sum(received), *rows.shape[1:])
        dist.all_to_all_single(found, rows.contiguous(), list(received), list(sent))
        return found

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their sums over all processes.

        Args:
            parameters: The same in every process. One that has a gradient in no process keeps
                none, as in a single process: an optimizer passes it by.
        """
        if self.count == 1:
            return
        parameters = list(parameters)
        has_grad = torch.tensor([float(one.grad is not None) for one in parameters])
        flat = torch.cat([_flat_gradient(one) for one in parameters])
        # One collective of everything: a call for each parameter would cost its latency each time.
        flat = self.sum(torch.cat([flat, has_grad.to(flat)]))
        sizes = [one.numel() for one in parameters]
        *sums, uses = torch.split(flat, [*sizes, len(parameters)])
        for parameter, part, is_used in zip(parameters, sums, uses.tolist(), strict=True):
            parameter.grad = part.view_as(parameter) if is_used else None

    def check_equal(self, what: str, values: Tensor) -> None:
        """Refuse to go on from states that differ, and wait until every process is here.

        Args:
            what: What the values describe, for the message.
            values: [N] float64, expected to be the same in every process.

        Raises:
            ArtifactError: If they differ.
        """
        mean = self.sum(values.clone()) / self.count
        worst = self.sum(((mean - values).abs() > 1e-12 * mean.abs()).to(torch.float64))
        if bool(worst.any()):
            raise ArtifactError(
                f"{what} of process {self.rank} is {values.tolist()}, the mean of {self.count} "
                f"processes is {mean.tolist()}",
                where="torchrun",
                fix="give all processes the same workspace on a shared disk, code and parameters",
            )


ALONE = Processes()


def place_of_process() -> Processes:
    """Tell the place of this process, without waiting for the others.

    Returns:
        What `torchrun` said; alone if it did not start this process.
    """
    return Processes(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join the processes that `torchrun` started; alone, there is nothing to join.

    Args:
        device: "cpu" (collectives by gloo) or "cuda" (by nccl, one GPU per process).

    Yields:
        Processes: the place of this process.
    """
    place = place_of_process()
    if place.count == 1:
        yield place
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield place
    finally:
        dist.destroy_process_group()


def _flat_gradient(parameter: nn.Parameter) -> Tensor:
    """Give the gradient as a vector, zeros where there is none."""
    grad = parameter.grad
    return parameter.new_zeros(parameter.numel()) if grad is None else grad.flatten()
