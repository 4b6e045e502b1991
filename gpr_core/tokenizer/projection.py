"""A linear map in front of any quantizer, for wide item vectors.

Either the main axes of the weighted training items (PCA) or random orthogonal ones. The axes have
unit length and are at right angles, so that their transpose leads back: what is lost is what lies
outside of them, and the reconstruction error is measured where the item vectors are.

Letters: M items, L levels, D width of item vectors, E width after the projection.

Source: specification 2.1, "a fixed PCA/linear map".
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ConfigError
from gpr_core.support.seeding import numpy_stream
from gpr_core.support.shapes import check_shape
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import (
    FitReport,
    ItemSample,
    Tokenizer,
    check_sample,
    check_tensor_names,
    not_fitted,
    row_chunks,
)
from gpr_core.tokenizer.residual import Floats, check_finite

_MEAN, _AXES = "projection.mean_D", "projection.axes_DE"

Doubles = npt.NDArray[np.float64]


class ProjectedTokenizer:
    """A tokenizer that sees projected vectors only.

    Args:
        inner: The quantizer.
        config: Kind and width of the projection, which must not be `none`.
    """

    def __init__(self, inner: Tokenizer, config: TokenizationConfig) -> None:
        self.kind = inner.kind
        self.projection = config.projection
        self._inner = inner
        self._config = config
        self._tensors: Mapping[str, Floats] = {}

    @property
    def projection_dim(self) -> int:
        """Width after the projection."""
        return int(self._tensor(_AXES).shape[1])

    @property
    def codebooks(self) -> tuple[Floats, ...]:
        """Centers of the quantizer."""
        return self._inner.codebooks

    @property
    def encoder(self) -> Mapping[str, Floats]:
        """Tensors of the quantizer and of the projection."""
        return {**self._inner.encoder, **self._tensors}

    def fit(
        self, train: ItemSample, validation: ItemSample, *, seed: int, threads: int
    ) -> FitReport:
        """Fit the projection, then the quantizer on projected vectors.

        Args:
            train: Items that both learn from.
            validation: Items for the quantizer.
            seed: Run seed.
            threads: Threads of the quantizer.

        Returns:
            The report of the quantizer; its losses are those of projected vectors.

        Raises:
            ConfigError: If the projection would not make the vectors narrower, or there are fewer
                training items than codes.
            ContractError: If a vector is not finite.
        """
        check_sample(train, self._config.codebook_size)
        width, narrow = train.x_MD.shape[1], self._config.projection_dim
        if narrow >= width:
            raise ConfigError(
                f"projection_dim is {narrow} but the item vectors have only width {width}",
                where="params.yaml tokenization.projection_dim",
                fix=f"use projection: none, or projection_dim < {width}",
            )
        mean_D = _weighted_mean(train)
        if self.projection == "pca":
            axes_DE = _main_axes(train, mean_D, narrow)
        else:
            axes_DE = _random_axes(width, narrow, numpy_stream(seed, "projection"))
        self._tensors = {_MEAN: mean_D.astype(np.float32), _AXES: axes_DE.astype(np.float32)}
        projected = (part._replace(x_MD=self._project(part.x_MD)) for part in (train, validation))
        return self._inner.fit(*projected, seed=seed, threads=threads)

    def encode(self, x_MD: Floats) -> npt.NDArray[np.int16]:
        """Give the codes of projected vectors.

        Args:
            x_MD: [M, D] float32; M may be 0.

        Returns:
            [M, L] int16.

        Raises:
            NotFittedError: Before `fit`.
            ShapeError: If the width is another one than in `fit`.
            ContractError: If a value is not finite.
        """
        num_levels = len(self.codebooks)
        check_shape("x_MD", x_MD, (None, self._tensor(_MEAN).size))
        check_finite(x_MD, "item vectors")
        code_ML = np.empty((len(x_MD), num_levels), dtype=np.int16)
        for rows in row_chunks(len(x_MD)):
            code_ML[rows] = self._inner.encode(self._project(x_MD[rows]))
        return code_ML

    def decode(self, code_ML: npt.NDArray[np.int16]) -> Floats:
        """Reconstruct vectors and lead them back to the space of the item vectors.

        Args:
            code_ML: [M, L] int16.

        Returns:
            [M, D] float32.

        Raises:
            NotFittedError: Before `fit`.
            ContractError: If a code is outside its codebook.
        """
        narrow_ME = self._inner.decode(code_ML)
        rebuilt_MD: Floats = narrow_ME @ self._tensor(_AXES).T + self._tensor(_MEAN)
        return rebuilt_MD

    def restore(self, codebooks: tuple[Floats, ...], encoder: Mapping[str, Floats]) -> None:
        """Take over stored tensors instead of fitting.

        Args:
            codebooks: Centers of the quantizer.
            encoder: Tensors of quantizer and projection.

        Raises:
            ArtifactError: If they are those of another kind.
        """
        mine = {name: encoder[name] for name in (_MEAN, _AXES) if name in encoder}
        check_tensor_names(f"projection {self.projection}", mine, (_MEAN, _AXES))
        inner = {name: array for name, array in encoder.items() if name not in mine}
        self._inner.restore(codebooks, inner)
        self._tensors = mine

    def _project(self, x_MD: Floats) -> Floats:
        """Map vectors onto the axes; in float64, so that batches do not differ."""
        mean_D, axes_DE = (self._tensor(name).astype(np.float64) for name in (_MEAN, _AXES))
        narrow_ME: Floats = ((x_MD - mean_D) @ axes_DE).astype(np.float32)
        return narrow_ME

    def _tensor(self, name: str) -> Floats:
        """Give a tensor of the projection."""
        if not self._tensors:
            raise not_fitted(self.kind)
        return self._tensors[name]


def _weighted_mean(sample: ItemSample) -> Doubles:
    """Weighted mean of item vectors."""
    share_M = sample.weight_M.astype(np.float64) / sample.weight_M.sum(dtype=np.float64)
    mean_D = np.zeros(sample.x_MD.shape[1])
    for rows in row_chunks(len(sample.x_MD)):
        mean_D += share_M[rows] @ sample.x_MD[rows].astype(np.float64)
    return mean_D


def _main_axes(sample: ItemSample, mean_D: Doubles, num_axes: int) -> Doubles:
    """Find the axes of largest weighted variance, the largest first."""
    scatter_DD = np.zeros((mean_D.size, mean_D.size))
    for rows in row_chunks(len(sample.x_MD)):
        centered_MD = sample.x_MD[rows].astype(np.float64) - mean_D
        scatter_DD += (centered_MD.T * sample.weight_M[rows]) @ centered_MD
    _, axes_DD = np.linalg.eigh(scatter_DD)
    return _with_fixed_sign(axes_DD[:, ::-1][:, :num_axes])


def _random_axes(width: int, num_axes: int, stream: np.random.Generator) -> Doubles:
    """Draw axes at right angles, all directions being equally likely."""
    axes_DE, _ = np.linalg.qr(stream.standard_normal((width, num_axes)))
    return _with_fixed_sign(axes_DE)


def _with_fixed_sign(axes_DE: Doubles) -> Doubles:
    """Point every axis to where its largest component is positive; solvers return either."""
    largest_E = np.abs(axes_DE).argmax(0)
    signs_E = np.sign(axes_DE[largest_E, np.arange(axes_DE.shape[1])])
    fixed_DE: Doubles = axes_DE * signs_E
    return fixed_DE
