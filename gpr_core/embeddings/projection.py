"""The few directions in which sparse rows differ most.

A truncated singular value decomposition of the centered rows. Centering is carried through the
products, never done: the matrix stays sparse. Found by block power iteration from a fixed start,
because that reads the matrix a fixed number of times and gives equal bits for equal input.

Letters: N rows, F features, W width of the iterated block, D directions.

Source: own; N. Halko, P. Martinsson, J. Tropp, Finding Structure with Randomness (2011), Alg. 4.4.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from gpr_core.support.progress import Progress
from gpr_core.support.seeding import numpy_stream
from gpr_core.support.shapes import check_shape

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_PASSES = 6
_EXTRA = 16
# Directions this much weaker than the first are rounding, and a column of rounding is a dead one.
_WEAKEST = 1e-5
_MIN_NORM = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Projection:
    """What was fitted on the training rows.

    Attributes:
        basis_FD: [F, D] float32, orthonormal directions, strongest first; the largest entry of
            each is positive. D is 0 if all training rows were equal.
        offset_D: [D] float32, projection of the mean row.
    """

    basis_FD: Floats
    offset_D: Floats

    @property
    def dim(self) -> int:
        """Number of directions."""
        return int(self.offset_D.size)


def fit_projection(x_NF: csr_array, dim: int, *, progress: Progress | None = None) -> Projection:
    """Find the directions.

    Args:
        x_NF: [N, F] float32 training rows.
        dim: Most directions; fewer if the rows do not differ in as many.
        progress: Told how many passes over the rows are done.

    Returns:
        The projection.
    """
    num_rows, num_features = x_NF.shape
    width = min(dim + _EXTRA, num_rows, num_features)
    mean_F: Doubles = np.asarray(x_NF.mean(axis=0, dtype=np.float64))
    left_NW = numpy_stream(0, "projection").normal(size=(num_rows, width))
    for done in range(_PASSES):
        right_FW, _ = np.linalg.qr(_times_transpose(x_NF, mean_F, left_NW))
        left_NW, _ = np.linalg.qr(x_NF @ right_FW - mean_F @ right_FW)
        if progress:
            progress.update(done + 1, _PASSES)
    basis_FW, size_W, _ = np.linalg.svd(
        _times_transpose(x_NF, mean_F, left_NW), full_matrices=False
    )
    is_kept_W = size_W > max(_WEAKEST * size_W[:1].max(initial=0.0), _MIN_NORM)
    basis_FD = basis_FW[:, is_kept_W][:, :dim]
    # The sign of a direction is arbitrary.
    largest_D = np.abs(basis_FD).argmax(axis=0) if basis_FD.size else []
    basis_FD = basis_FD * np.sign(basis_FD[largest_D, np.arange(basis_FD.shape[1])])
    return Projection(
        basis_FD=np.ascontiguousarray(basis_FD, dtype=np.float32),
        offset_D=(mean_F @ basis_FD).astype(np.float32),
    )


def project(x_NF: csr_array, projection: Projection) -> Floats:
    """Describe rows by the fitted directions; each row by itself, whatever rows stand beside it.

    Args:
        x_NF: [N, F] float32, rows of training or new ones.
        projection: Fitted directions.

    Returns:
        [N, D] float32, rows of length 1. A row of the mean has no direction: it gets the diagonal.

    Raises:
        ShapeError: If F differs from the fitted rows.
    """
    check_shape("x_NF", x_NF, (None, len(projection.basis_FD)))
    x_ND = x_NF @ projection.basis_FD - projection.offset_D
    norm_N1 = np.linalg.norm(x_ND, axis=1, keepdims=True)
    diagonal = 1.0 / np.sqrt(max(projection.dim, 1))
    is_long_N1 = norm_N1 > _MIN_NORM
    unit_ND = np.where(is_long_N1, x_ND / np.maximum(norm_N1, _MIN_NORM), diagonal)
    return np.asarray(unit_ND, dtype=np.float32)


def _times_transpose(x_NF: csr_array, mean_F: Doubles, left_NW: Doubles) -> Doubles:
    """Multiply the transpose of the centered rows by a block."""
    product_FW: Doubles = x_NF.T @ left_NW - np.outer(mean_F, left_NW.sum(axis=0))
    return product_FW
