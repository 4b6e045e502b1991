"""Residual quantization by k-means, level after level.

Letters: M items, L levels, V codes, D width.

Source: specification 2.1 (QARM); seeding, weights and repair of empty clusters are our own.
"""

from collections.abc import Mapping

import faiss
import numpy as np
import numpy.typing as npt

from gpr_core.support.seeding import derive_seed, numpy_stream
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import FitReport, ItemSample, check_sample, not_fitted
from gpr_core.tokenizer.residual import Floats, residual_pass, sum_of_centers

_SEEDING_TRIALS = 4
_REPAIR_ROUNDS = 5
_UNLIMITED_POINTS = 10**9


class RQKMeans:
    """RQ-KMeans: no encoder, no gradients.

    Args:
        config: Number of levels, codes and iterations.
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
            threads: Threads of faiss.

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
            centers_VD = weighted_kmeans(
                residual_MD,
                train.weight_M,
                self._config.codebook_size,
                iterations=self._config.kmeans_iterations,
                seed=derive_seed(seed, "rq_kmeans", level),
                threads=threads,
            )
            residual_MD -= residual_pass(residual_MD, [centers_VD]).sum_MD
            codebooks.append(centers_VD)
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
        return residual_pass(x_MD, self.codebooks).code_ML

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
        """
        del encoder
        self._codebooks = codebooks


def weighted_kmeans(
    x_MD: Floats, weight_M: Floats, num_codes: int, *, iterations: int, seed: int, threads: int
) -> Floats:
    """Cluster weighted points.

    Greedy k-means++ chooses the start, faiss iterates, and codes that end up without a point are
    moved to the worst represented points, as long as such points exist.

    Args:
        x_MD: [M, D] float32, M >= num_codes.
        weight_M: [M] float32 > 0.
        num_codes: Number of centers V.
        iterations: Lloyd iterations.
        seed: Seed of this clustering.
        threads: Threads of faiss.

    Returns:
        [V, D] float32 centers.
    """
    weight_M = np.ascontiguousarray(weight_M, dtype=np.float32)
    start_VD = _plus_plus_start(x_MD, weight_M, num_codes, numpy_stream(seed, "plus_plus"))
    faiss.omp_set_num_threads(threads)
    clustering = faiss.Kmeans(
        x_MD.shape[1],
        num_codes,
        niter=iterations,
        seed=derive_seed(seed, "faiss") % (1 << 31),
        min_points_per_centroid=1,
        max_points_per_centroid=_UNLIMITED_POINTS,
    )
    clustering.train(x_MD, weights=weight_M, init_centroids=start_VD)
    centers_VD = np.array(clustering.centroids, dtype=np.float32)
    for _ in range(_REPAIR_ROUNDS):
        if not _repair_empty(x_MD, weight_M, centers_VD):
            break
    return centers_VD


def _plus_plus_start(
    x_MD: Floats, weight_M: Floats, num_codes: int, stream: np.random.Generator
) -> Floats:
    """Choose spread-out points: of a few far candidates each time the one that helps most."""
    norm_M = np.square(x_MD).sum(1, dtype=np.float64)
    nearest_M = np.full(len(x_MD), np.inf)
    chosen: list[int] = []
    for _ in range(num_codes):
        mass_M = weight_M.astype(np.float64) * (nearest_M if chosen else 1.0)
        if not mass_M.sum() > 0:
            mass_M = weight_M.astype(np.float64)
        total_M = np.cumsum(mass_M)
        draws = stream.random(_SEEDING_TRIALS) * total_M[-1]
        trial = np.minimum(np.searchsorted(total_M, draws, side="right"), len(x_MD) - 1)
        distance_KM = norm_M[trial, None] + norm_M - 2.0 * (x_MD[trial] @ x_MD.T)
        left_KM = np.minimum(np.maximum(distance_KM, 0.0), nearest_M)
        best = int(np.argmin(left_KM @ weight_M))
        nearest_M = left_KM[best]
        chosen.append(int(trial[best]))
    return np.ascontiguousarray(x_MD[chosen])


def _repair_empty(x_MD: Floats, weight_M: Floats, centers_VD: Floats) -> bool:
    """Move empty codes to the worst represented points, one Lloyd step; False if none is empty."""
    found = residual_pass(x_MD, [centers_VD])
    code_M = found.code_ML[:, 0]
    empty = np.flatnonzero(np.bincount(code_M, minlength=len(centers_VD)) == 0)
    error_M = np.square(x_MD - found.sum_MD).sum(1)
    # Equal points would only share a new center.
    _, distinct = np.unique(x_MD, axis=0, return_index=True)
    worst = distinct[np.argsort(-error_M[distinct], kind="stable")][: empty.size]
    worst = worst[error_M[worst] > 0]
    if not worst.size:
        return False
    centers_VD[empty[: worst.size]] = x_MD[worst]
    code_M = residual_pass(x_MD, [centers_VD]).code_ML[:, 0]
    mass_V = np.bincount(code_M, weights=weight_M, minlength=len(centers_VD))
    sums_VD = np.zeros(centers_VD.shape, dtype=np.float64)
    np.add.at(sums_VD, code_M, x_MD * weight_M[:, None])
    used_V = mass_V > 0
    centers_VD[used_V] = (sums_VD[used_V] / mass_V[used_V, None]).astype(np.float32)
    return True
