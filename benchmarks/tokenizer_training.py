"""A training step of RQ-KMeans+ against the same step written with torch.cdist.

    python -m benchmarks.tokenizer_training

Width 64, hidden width 128, three levels of 256 codes. Both contenders have the same network, losses
and optimizer; they differ in how nearest centers are found and losses are put together, and in the
route of matrix products. Writes docs/benchmarks/tokenizer_training.json.

Letters: M items of a batch, V codes, D width.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.record import write_result
from benchmarks.tokenizer_workload import DATA, SEED, WIDTH, compare, make_vectors
from gpr_core.support.matmul import fast_float32_matmul, one_torch_thread
from gpr_core.support.seeding import torch_stream
from gpr_core.tokenizer.kmeans import weighted_kmeans
from gpr_core.tokenizer.vq_network import Mlp, VqNetwork

_NUM_VECTORS, _HIDDEN, _CODES, _LEVELS = 50_000, 128, 256, 3
_COMMIT_WEIGHT, _LEARNING_RATE, _GRADIENT_CLIP = 0.25, 1e-3, 1.0
_BATCH_SIZES = (512, 4096)
_STEPS, _REPEATS = 20, 15
_LossOf = Callable[[VqNetwork, Tensor, Tensor], Tensor]


def our_loss(network: VqNetwork, x_MD: Tensor, weight_M: Tensor) -> Tensor:
    """Compute the total loss as training does.

    Args:
        network: The network.
        x_MD: [M, D] float32.
        weight_M: [M] float32.

    Returns:
        [] float32.
    """
    return network.losses(x_MD, weight_M, _COMMIT_WEIGHT).total


def cdist_loss(network: VqNetwork, x_MD: Tensor, weight_M: Tensor) -> Tensor:
    """Compute the total loss as it is usually written down.

    Args:
        network: The network.
        x_MD: [M, D] float32.
        weight_M: [M] float32.

    Returns:
        [] float32.
    """
    z_MD = network.encoder(x_MD)
    share_M = weight_M / weight_M.sum()
    left_MD, sum_MD = z_MD, torch.zeros_like(z_MD)
    loss = z_MD.new_zeros(())
    for centers_VD in network.codebooks:
        with torch.no_grad():
            code_M = torch.cdist(left_MD, centers_VD).argmin(1)
        center_MD = centers_VD[code_M]
        codebook_M = (left_MD.detach() - center_MD).square().sum(1)
        commit_M = (left_MD - center_MD.detach()).square().sum(1)
        loss = loss + (share_M * (codebook_M + _COMMIT_WEIGHT * commit_M)).sum()
        left_MD = left_MD - center_MD.detach()
        sum_MD = sum_MD + center_MD
    rebuilt_MD = network.decoder(z_MD + (sum_MD - z_MD).detach())
    return loss + (share_M * (x_MD - rebuilt_MD).square().sum(1)).sum()


class Trainer:
    """A network in training.

    Args:
        x_MD: [M, D] float32 vectors, to cluster and to draw batches from.
        batch_size: Items per update.
        loss_of: Computes the loss.
    """

    def __init__(self, x_MD: Tensor, batch_size: int, loss_of: _LossOf) -> None:
        generator = torch_stream(SEED, "benchmark", "training")
        widths = (WIDTH, _HIDDEN, WIDTH)
        encoder = Mlp(widths, is_residual=True, generator=generator)
        decoder = Mlp(widths, is_residual=True, generator=generator)
        self._network = VqNetwork(encoder, _codebooks(x_MD), decoder)
        self._optimizer = torch.optim.Adam(
            self._network.parameters(), lr=_LEARNING_RATE, fused=True
        )
        self._loss_of = loss_of
        self._batches = self._endless_batches(x_MD, batch_size)
        self.losses: list[float] = []

    def run(self) -> None:
        """Do some updates."""
        for _ in range(_STEPS):
            x_MD = next(self._batches)
            loss = self._loss_of(self._network, x_MD, torch.ones(len(x_MD)))
            self._optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self._network.parameters(), _GRADIENT_CLIP)
            self._optimizer.step()
            self.losses.append(float(loss.detach()))

    @staticmethod
    def _endless_batches(x_MD: Tensor, batch_size: int) -> Iterator[Tensor]:
        while True:
            yield from x_MD.split(batch_size)[:-1]


def measure(x_MD: Tensor, batch_size: int) -> dict[str, Any]:
    """Compare at one batch size, in one thread.

    Args:
        x_MD: [M, D] float32.
        batch_size: Items per update.

    Returns:
        Speeds, ratio, and the largest relative difference of the losses of the first updates.
    """
    ours, theirs = (Trainer(x_MD, batch_size, loss_of) for loss_of in (our_loss, cdist_loss))
    run_ours = fast_float32_matmul()(ours.run)
    row = compare(run_ours, theirs.run, threads=1, repeats=_REPEATS)
    for name in ("ours", "baseline"):
        row[f"{name}_kvec_s"] = round(_STEPS * batch_size / row.pop(f"{name}_s") / 1e3, 1)
    pairs = list(zip(ours.losses, theirs.losses, strict=True))[:_STEPS]
    difference = max(abs(mine - other) / other for mine, other in pairs)
    return {"batch_size": batch_size, **row, "largest_loss_difference": difference}


def _codebooks(x_MD: Tensor) -> list[Any]:
    """Cluster the residuals of every level, roughly."""
    left_MD = x_MD.numpy().copy()
    codebooks = []
    for level in range(_LEVELS):
        found = weighted_kmeans(
            left_MD, torch.ones(len(x_MD)).numpy(), _CODES, iterations=4, seed=level, threads=1
        )
        left_MD -= found.centers_VD[found.code_M]
        codebooks.append(found.centers_VD)
    return codebooks


if __name__ == "__main__":
    vectors = torch.from_numpy(make_vectors(_NUM_VECTORS))
    with one_torch_thread():
        runs = [measure(vectors, batch_size) for batch_size in _BATCH_SIZES]
    result = {
        "seeds": [SEED],
        "data": f"{_NUM_VECTORS} vectors, {DATA}",
        "levels": _LEVELS,
        "codebook_size": _CODES,
        "hidden_width": _HIDDEN,
        "target": 1.7,
        "runs": runs,
    }
    print(write_result("tokenizer_training", result))  # noqa: T201
