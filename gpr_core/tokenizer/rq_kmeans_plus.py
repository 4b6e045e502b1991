"""RQ-KMeans+: RQ-KMeans whose input space is then trained, starting from the identity.

The encoder adds a residual that is zero at the start and the codebooks start as those of
RQ-KMeans, so that before the first update every code equals the one of RQ-KMeans. Training keeps
the parameters with the lowest collision on the validation items, the start included.

Letters: M items, L levels, V codes, D width, H hidden width.

Source: GPR, RQ-KMeans+; losses of RQ-VAE; specification 2.1.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gpr_core.support.seeding import numpy_stream, torch_stream
from gpr_core.support.shapes import check_shape
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import Epoch, FitReport, ItemSample, not_fitted
from gpr_core.tokenizer.quality import code_usage, collision_rate, path_ids
from gpr_core.tokenizer.residual import (
    Floats,
    check_finite,
    residual_pass,
    sum_of_centers,
)
from gpr_core.tokenizer.rq_kmeans import RQKMeans

_MODULES = ("encoder", "decoder")
_TENSORS = ("in_weight_HD", "in_bias_H", "out_weight_DH", "out_bias_D")


class _Losses(NamedTuple):
    """Weighted means over a batch."""

    total: Tensor
    reconstruction: Tensor
    codebook: Tensor
    commit: Tensor


class _ResidualMlp(nn.Module):
    """x + MLP(x) whose last layer is zero at the start."""

    def __init__(self, width: int, hidden_width: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = width**-0.5
        start_HD = torch.rand((hidden_width, width), generator=generator)
        self.in_weight_HD = nn.Parameter((start_HD * 2 - 1) * bound)
        self.in_bias_H = nn.Parameter(torch.zeros(hidden_width))
        self.out_weight_DH = nn.Parameter(torch.zeros(width, hidden_width))
        self.out_bias_D = nn.Parameter(torch.zeros(width))

    def forward(self, x_MD: Tensor) -> Tensor:
        """Add the learned residual."""
        hidden_MH = torch.relu(x_MD @ self.in_weight_HD.T + self.in_bias_H)
        return x_MD + hidden_MH @ self.out_weight_DH.T + self.out_bias_D


class _Network(nn.Module):
    """Encoder, codebooks and decoder."""

    def __init__(
        self, codebooks: tuple[Floats, ...], hidden_width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        width = codebooks[0].shape[1]
        self.encoder = _ResidualMlp(width, hidden_width, generator)
        self.decoder = _ResidualMlp(width, hidden_width, generator)
        self.codebooks = nn.ParameterList(
            [nn.Parameter(torch.from_numpy(centers_VD.copy())) for centers_VD in codebooks]
        )

    def losses(self, x_MD: Tensor, weight_M: Tensor, commit_weight: float) -> _Losses:
        """Reconstruction, codebook and commitment loss, each a weighted mean of squared norms."""
        z_MD = self.encoder(x_MD)
        code_ML = residual_pass(z_MD.detach().numpy(), self.centers()).code_ML
        share_M = weight_M / weight_M.sum()
        left_MD, sum_MD = z_MD, torch.zeros_like(z_MD)
        codebook, commit = z_MD.new_zeros(()), z_MD.new_zeros(())
        for level, centers_VD in enumerate(self.codebooks):
            center_MD = centers_VD[torch.from_numpy(code_ML[:, level].astype(np.int64))]
            codebook = codebook + share_M @ (left_MD.detach() - center_MD).square().sum(1)
            commit = commit + share_M @ (left_MD - center_MD.detach()).square().sum(1)
            left_MD = left_MD - center_MD.detach()
            sum_MD = sum_MD + center_MD
        # Straight-through: the decoder sees the centers, the encoder gets the gradient.
        rebuilt_MD = self.decoder(z_MD + (sum_MD - z_MD).detach())
        reconstruction = share_M @ (x_MD - rebuilt_MD).square().sum(1)
        total = reconstruction + codebook + commit_weight * commit
        return _Losses(total, reconstruction, codebook, commit)

    def centers(self) -> tuple[Floats, ...]:
        """Current codebooks, sharing memory."""
        return tuple(centers_VD.detach().numpy() for centers_VD in self.codebooks)

    def snapshot(self) -> tuple[tuple[Floats, ...], dict[str, Floats]]:
        """Copy codebooks and encoder tensors."""
        tensors = {
            f"{module}.{name}": getattr(getattr(self, module), name).detach().numpy().copy()
            for module in _MODULES
            for name in _TENSORS
        }
        return tuple(centers_VD.copy() for centers_VD in self.centers()), tensors


class RQKMeansPlus:
    """RQ-KMeans with a trained residual encoder.

    Args:
        config: Sizes and training parameters.
    """

    kind = "rq_kmeans_plus"

    def __init__(self, config: TokenizationConfig) -> None:
        self._config = config
        self._codebooks: tuple[Floats, ...] = ()
        self._encoder: Mapping[str, Floats] = {}

    @property
    def codebooks(self) -> tuple[Floats, ...]:
        """Centers of each level in the encoder's space, [V, D] float32."""
        if not self._codebooks:
            raise not_fitted(self.kind)
        return self._codebooks

    @property
    def encoder(self) -> Mapping[str, Floats]:
        """Weights of encoder and decoder."""
        return self._encoder

    def fit(
        self, train: ItemSample, validation: ItemSample, *, seed: int, threads: int
    ) -> FitReport:
        """Fit RQ-KMeans, then train encoder, codebooks and decoder.

        Args:
            train: Items to learn from.
            validation: Items whose collision decides which epoch is kept and when to stop.
            seed: Run seed.
            threads: Threads of faiss.

        Returns:
            The training curve and the epoch that was kept.

        Raises:
            ConfigError: If there are fewer training items than codes.
            ContractError: If a vector is not finite.
        """
        start = RQKMeans(self._config)
        start.fit(train, validation, seed=seed, threads=threads)
        generator = torch_stream(seed, "rq_kmeans_plus", "init")
        network = _Network(start.codebooks, self._config.hidden_width, generator)
        self._keep(network)
        curve = [self._measure(train, validation, epoch=0, losses=np.zeros(4))]
        best, best_tensors = curve[0], network.snapshot()
        optimizer = torch.optim.Adam(network.parameters(), lr=self._config.learning_rate)
        for epoch in range(1, self._config.epochs + 1):
            losses = self._train_epoch(network, optimizer, train, seed=seed, epoch=epoch)
            self._keep(network)
            curve.append(self._measure(train, validation, epoch=epoch, losses=losses))
            if self._is_better(curve[-1], best, curve[0]):
                best, best_tensors = curve[-1], network.snapshot()
            if epoch - best.epoch >= self._config.patience:
                break
        self.restore(*best_tensors)
        return FitReport(curve=tuple(curve), best_epoch=best.epoch)

    def encode(self, x_MD: Floats) -> npt.NDArray[np.int16]:
        """Give the codes of vectors.

        Args:
            x_MD: [M, D] float32; M may be 0.

        Returns:
            [M, L] int16.

        Raises:
            NotFittedError: Before `fit`.
        """
        codebooks = self.codebooks
        return residual_pass(_apply(self._encoder, "encoder", x_MD), codebooks).code_ML

    def decode(self, code_ML: npt.NDArray[np.int16]) -> Floats:
        """Reconstruct vectors from sums of centers.

        Args:
            code_ML: [M, L] int16.

        Returns:
            [M, D] float32.

        Raises:
            NotFittedError: Before `fit`.
        """
        return _apply(self._encoder, "decoder", sum_of_centers(code_ML, self.codebooks))

    def restore(self, codebooks: tuple[Floats, ...], encoder: Mapping[str, Floats]) -> None:
        """Take over stored tensors instead of fitting.

        Args:
            codebooks: Centers of each level.
            encoder: Weights of encoder and decoder.
        """
        self._codebooks, self._encoder = codebooks, dict(encoder)

    def _keep(self, network: _Network) -> None:
        """Use the network's current parameters."""
        self.restore(*network.snapshot())

    def _train_epoch(
        self,
        network: _Network,
        optimizer: torch.optim.Optimizer,
        train: ItemSample,
        *,
        seed: int,
        epoch: int,
    ) -> npt.NDArray[np.float64]:
        """Pass once over the training items; returns the mean of the four losses."""
        order = numpy_stream(seed, "rq_kmeans_plus", "order", epoch).permutation(len(train.x_MD))
        sums = np.zeros(4)
        for begin in range(0, order.size, self._config.batch_size):
            rows = order[begin : begin + self._config.batch_size]
            x_MD, weight_M = (torch.from_numpy(np.asarray(part)[rows]) for part in train)
            losses = network.losses(x_MD, weight_M, self._config.commit_weight)
            optimizer.zero_grad()
            torch.autograd.backward(losses.total)
            nn.utils.clip_grad_norm_(network.parameters(), self._config.gradient_clip)
            optimizer.step()
            sums += rows.size * np.array([float(loss.detach()) for loss in losses])
        return sums / order.size

    def _measure(
        self,
        train: ItemSample,
        validation: ItemSample,
        *,
        epoch: int,
        losses: npt.NDArray[np.float64],
    ) -> Epoch:
        """Encode training and validation items and compare their paths."""
        sizes = tuple(len(centers_VD) for centers_VD in self.codebooks)
        code_ML = self.encode(np.concatenate([validation.x_MD, train.x_MD]))
        path_M = path_ids(code_ML)
        num_validation = len(validation.x_MD)
        is_shared_M = np.bincount(path_M)[path_M] > 1
        return Epoch(
            epoch=epoch,
            loss=float(losses[0]),
            reconstruction_loss=float(losses[1]),
            codebook_loss=float(losses[2]),
            commit_loss=float(losses[3]),
            validation_collision=float(is_shared_M[:num_validation].sum() / max(num_validation, 1)),
            collision=collision_rate(path_M),
            usage=code_usage(code_ML[num_validation:, 0], sizes[0]),
        )

    def _is_better(self, epoch: Epoch, best: Epoch, start: Epoch) -> bool:
        """Say whether an epoch lowers the validation collision at no other cost.

        The few validation items alone would let chance choose an epoch that is worse on the
        whole catalog, which the gate against RQ-KMeans would then refuse.
        """
        return (
            epoch.validation_collision < best.validation_collision
            and epoch.collision <= start.collision
            and epoch.usage >= min(self._config.min_usage, start.usage)
        )


def _apply(tensors: Mapping[str, Floats], module: str, x_MD: Floats) -> Floats:
    """Run a residual MLP without torch, in float32."""
    in_weight_HD, in_bias_H, out_weight_DH, out_bias_D = (
        tensors[f"{module}.{name}"] for name in _TENSORS
    )
    check_shape("x_MD", x_MD, (None, in_weight_HD.shape[1]))
    check_finite(x_MD, "item vectors")
    x_MD = np.ascontiguousarray(x_MD, dtype=np.float32)
    hidden_MH = np.maximum(x_MD @ in_weight_HD.T + in_bias_H, np.float32(0))
    rebuilt_MD: Floats = x_MD + hidden_MH @ out_weight_DH.T + out_bias_D
    return rebuilt_MD
