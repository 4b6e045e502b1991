"""What RQ-VAE and RQ-KMeans+ have in common: training, encoding, decoding, storage.

They differ in where they start and in which epochs they keep. Every kind has the same budget, the
updates of `epochs` passes over the training items.

Letters: M items, L levels, V codes, D width of item vectors, E width of the latent space.

Source: specification 2.1.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gpr_core.support.matmul import fast_float32_matmul, one_torch_thread
from gpr_core.support.seeding import numpy_stream
from gpr_core.support.shapes import check_shape
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import (
    Epoch,
    FitReport,
    ItemSample,
    check_sample,
    check_tensor_names,
    not_fitted,
    row_chunks,
)
from gpr_core.tokenizer.quality import code_usage, collision_rate, path_ids
from gpr_core.tokenizer.residual import Floats, check_finite, residual_codes, sum_of_centers
from gpr_core.tokenizer.vq_network import VqNetwork, apply_mlp, tensor_names


def updates_per_epoch(config: TokenizationConfig, num_items: int) -> int:
    """Count the updates of one pass; `config.epochs` times as many are the budget of a fit.

    Args:
        config: Batch size.
        num_items: Training items.

    Returns:
        Updates, the same for every learned kind.

    Example:
        >>> updates_per_epoch(TokenizationConfig(batch_size=100), 250)
        3
    """
    return -(-num_items // config.batch_size)


class LearnedQuantizer(ABC):
    """A quantizer whose encoder, codebooks and decoder are trained together.

    Args:
        config: Sizes and training parameters.
    """

    kind: str
    num_layers: int
    """Layers of the encoder and of the decoder."""
    is_residual: bool
    """Whether encoder and decoder add their input."""

    def __init__(self, config: TokenizationConfig) -> None:
        self._config = config
        self._codebooks: tuple[Floats, ...] = ()
        self._encoder: Mapping[str, Floats] = {}

    @abstractmethod
    def _start(
        self, train: ItemSample, validation: ItemSample, *, seed: int, threads: int
    ) -> VqNetwork:
        """Make the network as it is before the first update."""

    def _is_kept(self, epoch: Epoch, best: Epoch, start: Epoch) -> bool:
        """Say whether an epoch replaces the best one so far; here each does, up to the last.

        `patience` counts the epochs that do not, so nothing ends before the budget is spent.
        """
        del epoch, best, start
        return True

    @property
    def codebooks(self) -> tuple[Floats, ...]:
        """Centers of each level in the latent space, [V, E] float32."""
        if not self._codebooks:
            raise not_fitted(self.kind)
        return self._codebooks

    @property
    def encoder(self) -> Mapping[str, Floats]:
        """Weights of encoder and decoder, named as in `tensor_names`."""
        return self._encoder

    def fit(
        self, train: ItemSample, validation: ItemSample, *, seed: int, threads: int
    ) -> FitReport:
        """Train encoder, codebooks and decoder from their start.

        Args:
            train: Items to learn from.
            validation: Items whose collision is measured after every epoch.
            seed: Run seed.
            threads: Threads of k-means.

        Returns:
            The training curve and the epoch that was kept.

        Raises:
            ConfigError: If there are fewer training items than codes.
            ContractError: If a vector is not finite.
        """
        check_sample(train, self._config.codebook_size)
        # With several threads torch adds up in another order, and the version would be another.
        with one_torch_thread(), fast_float32_matmul():
            network = self._start(train, validation, seed=seed, threads=threads)
            return self._train(network, train, validation, seed=seed)

    def encode(self, x_MD: Floats) -> npt.NDArray[np.int16]:
        """Give the codes of vectors.

        Args:
            x_MD: [M, D] float32; M may be 0.

        Returns:
            [M, L] int16.

        Raises:
            NotFittedError: Before `fit`.
            ShapeError: If the width is another one than in `fit`.
            ContractError: If a value is not finite.
        """
        codebooks = self.codebooks
        check_shape("x_MD", x_MD, (None, self._encoder["encoder.weight0_HD"].shape[1]))
        check_finite(x_MD, "item vectors")
        code_ML = np.empty((len(x_MD), len(codebooks)), dtype=np.int16)
        for rows in row_chunks(len(x_MD)):
            code_ML[rows] = residual_codes(self._apply("encoder", x_MD[rows]), codebooks)
        return code_ML

    def decode(self, code_ML: npt.NDArray[np.int16]) -> Floats:
        """Reconstruct vectors from sums of centers.

        Args:
            code_ML: [M, L] int16.

        Returns:
            [M, D] float32.

        Raises:
            NotFittedError: Before `fit`.
            ContractError: If a code is outside its codebook.
        """
        codebooks = self.codebooks
        width = self._encoder["encoder.weight0_HD"].shape[1]
        rebuilt_MD = np.empty((len(code_ML), width), dtype=np.float32)
        for rows in row_chunks(len(code_ML)):
            sum_ME = sum_of_centers(code_ML[rows], codebooks)
            rebuilt_MD[rows] = self._apply("decoder", sum_ME)
        return rebuilt_MD

    def restore(self, codebooks: tuple[Floats, ...], encoder: Mapping[str, Floats]) -> None:
        """Take over stored tensors instead of fitting.

        Args:
            codebooks: Centers of each level.
            encoder: Weights of encoder and decoder.

        Raises:
            ArtifactError: If the weights are those of another kind.
        """
        check_tensor_names(self.kind, encoder, tensor_names(self.num_layers))
        self._codebooks, self._encoder = codebooks, dict(encoder)

    def _take_over(self, network: VqNetwork) -> None:
        """Use a copy of the network's current parameters."""
        centers = tuple(centers_VE.copy() for centers_VE in network.centers())
        self.restore(centers, network.tensors())

    def _apply(self, part: str, x_MD: Floats) -> Floats:
        """Run encoder or decoder."""
        return apply_mlp(
            self._encoder, part, x_MD, num_layers=self.num_layers, is_residual=self.is_residual
        )

    def _train(
        self, network: VqNetwork, train: ItemSample, validation: ItemSample, *, seed: int
    ) -> FitReport:
        """Train epoch after epoch and keep what `_is_kept` says."""
        self._take_over(network)
        curve = [self._measure(train, validation, epoch=0, losses=np.zeros(4))]
        best, kept = curve[0], (self._codebooks, self._encoder)
        rate = self._config.learning_rate
        optimizer = torch.optim.Adam(network.parameters(), lr=rate, fused=True)
        for epoch in range(1, self._config.epochs + 1):
            order_M = numpy_stream(seed, self.kind, "order", epoch).permutation(len(train.x_MD))
            losses = self._train_epoch(network, optimizer, train, order_M)
            self._take_over(network)
            curve.append(self._measure(train, validation, epoch=epoch, losses=losses))
            if self._is_kept(curve[-1], best, curve[0]):
                best, kept = curve[-1], (self._codebooks, self._encoder)
            if epoch - best.epoch >= self._config.patience:
                break
        self.restore(*kept)
        return FitReport(curve=tuple(curve), best_epoch=best.epoch)

    def _train_epoch(
        self,
        network: VqNetwork,
        optimizer: torch.optim.Optimizer,
        train: ItemSample,
        order_M: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Pass once over the training items; returns the mean of the four losses."""
        sums = np.zeros(4)
        for begin in range(0, order_M.size, self._config.batch_size):
            rows = order_M[begin : begin + self._config.batch_size]
            x_MD, weight_M = (torch.from_numpy(np.asarray(part)[rows]) for part in train)
            losses = network.losses(x_MD, weight_M, self._config.commit_weight)
            optimizer.zero_grad()
            torch.autograd.backward(losses.total)
            nn.utils.clip_grad_norm_(network.parameters(), self._config.gradient_clip)
            optimizer.step()
            sums += rows.size * np.array([float(loss.detach()) for loss in losses])
        return sums / order_M.size

    def _measure(
        self,
        train: ItemSample,
        validation: ItemSample,
        *,
        epoch: int,
        losses: npt.NDArray[np.float64],
    ) -> Epoch:
        """Encode training and validation items and compare their paths."""
        code_ML = self.encode(np.concatenate([validation.x_MD, train.x_MD]))
        path_M = path_ids(code_ML)
        num_validation = len(validation.x_MD)
        is_shared_M = np.bincount(path_M)[path_M] > 1
        return Epoch(
            epoch=epoch,
            num_updates=epoch * updates_per_epoch(self._config, len(train.x_MD)),
            loss=float(losses[0]),
            reconstruction_loss=float(losses[1]),
            codebook_loss=float(losses[2]),
            commit_loss=float(losses[3]),
            validation_collision=float(is_shared_M[:num_validation].sum() / max(num_validation, 1)),
            collision=collision_rate(path_M),
            usage=code_usage(code_ML[num_validation:, 0], len(self.codebooks[0])),
        )
