"""Residual quantization by k-means, level after level.

Letters: M items, L levels, V codes, D width.

Source: specification 2.1 (QARM).
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gpr_core.support.seeding import derive_seed
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.kmeans import weighted_kmeans
from gpr_core.tokenizer.protocol import (
    FitReport,
    ItemSample,
    check_sample,
    check_tensor_names,
    not_fitted,
    row_chunks,
)
from gpr_core.tokenizer.residual import Floats, residual_codes, sum_of_centers


class RQKMeans:
    """RQ-KMeans: no encoder, no gradients.

    Args:
        config: Sizes and options of k-means.
    """

    kind = "rq_kmeans"

    def __init__(self, config: TokenizationConfig) -> None:
        self._config = config
        self._codebooks: tuple[Floats, ...] = ()

    @property
    def codebooks(self) -> tuple[Floats, ...]:
        """Centers of each level, [V, D] float32."""
        if not self._codebooks:
            raise not_fitted(self.kind)
        return self._codebooks

    @property
    def encoder(self) -> Mapping[str, Floats]:
        """No tensors beside the codebooks."""
        return {}

    def fit(
        self, train: ItemSample, validation: ItemSample, *, seed: int, threads: int
    ) -> FitReport:
        """Cluster the residuals of every level.

        Args:
            train: Items to learn from.
            validation: Not used: nothing is stopped early.
            seed: Run seed.
            threads: Threads to use; they do not change the result.

        Returns:
            A report without a curve.

        Raises:
            ConfigError: If there are fewer training items than codes.
            ContractError: If a vector is not finite.
        """
        del validation
        check_sample(train, self._config.codebook_size)
        residual_MD = np.array(train.x_MD, dtype=np.float32, order="C")
        codebooks = []
        for level in range(self._config.num_levels):
            found = weighted_kmeans(
                residual_MD,
                train.weight_M,
                self._config.codebook_size,
                iterations=self._config.kmeans_iterations,
                seed=derive_seed(seed, "rq_kmeans", level),
                threads=threads,
                init=self._config.kmeans_init,
                balanced=self._config.kmeans_balanced,
            )
            for rows in row_chunks(len(residual_MD)):
                residual_MD[rows] -= found.centers_VD[found.code_M[rows]]
            codebooks.append(found.centers_VD)
        self._codebooks = tuple(codebooks)
        return FitReport(curve=(), best_epoch=0)

    def encode(self, x_MD: Floats) -> npt.NDArray[np.int16]:
        """Give the codes of vectors.

        Args:
            x_MD: [M, D] float32; M may be 0.

        Returns:
            [M, L] int16.

        Raises:
            NotFittedError: Before `fit`.
        """
        return residual_codes(x_MD, self.codebooks)

    def decode(self, code_ML: npt.NDArray[np.int16]) -> Floats:
        """Reconstruct vectors as sums of centers.

        Args:
            code_ML: [M, L] int16.

        Returns:
            [M, D] float32.

        Raises:
            NotFittedError: Before `fit`.
        """
        return sum_of_centers(code_ML, self.codebooks)

    def restore(self, codebooks: tuple[Floats, ...], encoder: Mapping[str, Floats]) -> None:
        """Take over stored tensors instead of fitting.

        Args:
            codebooks: Centers of each level.
            encoder: Empty for this tokenizer.

        Raises:
            ArtifactError: If it is not.
        """
        check_tensor_names(self.kind, encoder, ())
        self._codebooks = codebooks
