"""What every tokenizer can do.

Letters: M items, L levels, V codes, D width of item vectors, E width of the space of the centers.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ArtifactError, ConfigError, NotFittedError
from gpr_core.support.shapes import check_shape
from gpr_core.tokenizer.residual import Floats, check_finite

_CHUNK_ROWS = 1 << 14


class ItemSample(NamedTuple):
    """Items that a tokenizer learns from or is judged on.

    Attributes:
        x_MD: [M, D] float32 item vectors.
        weight_M: [M] float32 > 0, for the balance of categories.
    """

    x_MD: Floats
    weight_M: Floats


class Epoch(NamedTuple):
    """One row of a training curve.

    Attributes:
        epoch: Passes over the training items so far; 0 is the start.
        num_updates: Updates so far.
        loss: Mean total loss of the epoch.
        reconstruction_loss: Its part for the reconstruction.
        codebook_loss: Its part that moves centers to items.
        commit_loss: Its part that moves items to centers, unweighted.
        validation_collision: Share of validation items that share their path with another
            validation or training item.
        collision: Share of training and validation items that share their path.
        usage: Share of first-level codes that training items use.
    """

    epoch: int
    num_updates: int
    loss: float
    reconstruction_loss: float
    codebook_loss: float
    commit_loss: float
    validation_collision: float
    collision: float
    usage: float


class FitReport(NamedTuple):
    """How a fit went.

    Attributes:
        curve: One row per epoch; empty for a tokenizer without gradients.
        best_epoch: The epoch whose parameters were kept.
    """

    curve: tuple[Epoch, ...]
    best_epoch: int


class Tokenizer(Protocol):
    """Turns item vectors into semantic ids and back."""

    kind: str

    @property
    def codebooks(self) -> tuple[Floats, ...]:
        """Centers of each level, [V_l, E] float32; NotFittedError before `fit`."""

    @property
    def encoder(self) -> Mapping[str, Floats]:
        """Named tensors beside the codebooks; empty if there are none."""

    def fit(
        self, train: ItemSample, validation: ItemSample, *, seed: int, threads: int
    ) -> FitReport:
        """Learn from scratch, forgetting an earlier fit.

        Args:
            train: Items to learn from.
            validation: Items that only decide when to stop; may be empty.
            seed: Run seed.
            threads: Threads to use.

        Returns:
            How it went.

        Raises:
            ConfigError: If there are fewer training items than codes.
            ContractError: If a vector is not finite.
        """

    def encode(self, x_MD: Floats) -> npt.NDArray[np.int16]:
        """Give the codes of vectors.

        Args:
            x_MD: [M, D] float32; M may be 0.

        Returns:
            [M, L] int16.

        Raises:
            NotFittedError: Before `fit`.
        """

    def decode(self, code_ML: npt.NDArray[np.int16]) -> Floats:
        """Reconstruct vectors from codes.

        Args:
            code_ML: [M, L] int16.

        Returns:
            [M, D] float32, in the space of the item vectors.

        Raises:
            NotFittedError: Before `fit`.
        """

    def restore(self, codebooks: tuple[Floats, ...], encoder: Mapping[str, Floats]) -> None:
        """Take over stored tensors instead of fitting.

        Args:
            codebooks: As the property of that name.
            encoder: As the property of that name.
        """


def check_sample(train: ItemSample, codebook_size: int) -> None:
    """Refuse training items that cannot fill the codebooks.

    Args:
        train: The training items.
        codebook_size: Codes per level.

    Raises:
        ConfigError: If there are fewer items than codes, or a weight is not positive.
        ContractError: If a vector is not finite.
        ShapeError: If the weights do not match the vectors.
    """
    check_shape("x_MD", train.x_MD, (None, None))
    check_shape("weight_M", train.weight_M, (len(train.x_MD),))
    if codebook_size > len(train.x_MD):
        raise ConfigError(
            f"codebook_size is {codebook_size} but only {len(train.x_MD)} training items exist",
            where="params.yaml tokenization.codebook_size",
            fix=f"use <= {len(train.x_MD)}, or more data",
        )
    if not (train.weight_M > 0).all():
        raise ConfigError(
            f"{int((~(train.weight_M > 0)).sum())} training weights are not positive",
            where="weight_M",
            fix="give each training item a weight > 0",
        )
    check_finite(train.x_MD, "training item vectors")


def check_tensor_names(kind: str, found: Iterable[str], expected: Iterable[str]) -> None:
    """Refuse the tensors of another kind of tokenizer.

    Args:
        kind: Name of the tokenizer.
        found: Names of the stored tensors beside the codebooks.
        expected: Names that this kind stores.

    Raises:
        ArtifactError: If a tensor is missing or there is one too many.
    """
    missing, surplus = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or surplus:
        raise ArtifactError(
            f"the stored tensors are not those of {kind}: missing {missing}, unknown {surplus}",
            where=kind,
            fix="load the bundle with the kind that tokenizer.json names, or fit again",
        )


def row_chunks(num_rows: int) -> list[slice]:
    """Split rows, so that what is computed on the way to a result stays small.

    Args:
        num_rows: How many there are.

    Returns:
        Consecutive slices; none for no rows.
    """
    starts = range(0, num_rows, _CHUNK_ROWS)
    return [slice(begin, begin + _CHUNK_ROWS) for begin in starts]


def not_fitted(kind: str) -> NotFittedError:
    """Make the error for a tokenizer used too early.

    Args:
        kind: Name of the tokenizer.

    Returns:
        The error, to be raised.
    """
    return NotFittedError(
        f"tokenizer {kind} has no codebooks yet", where=kind, fix="call fit, or load a bundle"
    )
