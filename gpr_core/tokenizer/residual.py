"""The residual pass that all quantizers share.

Level by level the nearest center is taken and subtracted. Nearest means the largest
x c - |c|^2 / 2, which orders centers like the distance but needs one matrix product; ties go to
the lowest code. All in float32 on the CPU, so that an id never depends on the device.

Letters: M items, L levels, V codes, D width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ContractError
from gpr_core.support.shapes import check_shape

_CHUNK_SCORES = 1 << 20

Floats = npt.NDArray[np.float32]


class ResidualPass(NamedTuple):
    """Codes of items and what they stand for.

    Attributes:
        code_ML: [M, L] int16.
        sum_MD: [M, D] float32, sum of the chosen centers.
    """

    code_ML: npt.NDArray[np.int16]
    sum_MD: Floats


def residual_pass(x_MD: Floats, codebooks: Sequence[Floats]) -> ResidualPass:
    """Encode vectors with the codebooks of all levels.

    Args:
        x_MD: [M, D] float32; M may be 0.
        codebooks: One [V_l, D] float32 array per level.

    Returns:
        Codes and sums of centers.

    Raises:
        ShapeError: If the widths differ.
        ContractError: If a value is not finite.

    Example:
        >>> centers = [np.array([[0.0], [4.0]], np.float32), np.array([[-1.0], [1.0]], np.float32)]
        >>> residual_pass(np.array([[3.2], [0.8]], np.float32), centers).code_ML.tolist()
        [[1, 0], [0, 1]]
    """
    x_MD = np.ascontiguousarray(x_MD, dtype=np.float32)
    for centers_VD in codebooks:
        check_shape("x_MD", x_MD, (None, centers_VD.shape[1]))
    check_finite(x_MD, "item vectors")
    code_ML = np.empty((len(x_MD), len(codebooks)), dtype=np.int16)
    sum_MD = np.zeros_like(x_MD)
    half_norms = [np.square(centers_VD).sum(1) * np.float32(0.5) for centers_VD in codebooks]
    rows = max(1, _CHUNK_SCORES // max(len(centers_VD) for centers_VD in codebooks))
    # All levels of one chunk are done while it is in the cache.
    for begin in range(0, len(x_MD), rows):
        part = slice(begin, begin + rows)
        for level, (centers_VD, half_norm_V) in enumerate(zip(codebooks, half_norms, strict=True)):
            scores_MV = (x_MD[part] - sum_MD[part]) @ centers_VD.T
            scores_MV -= half_norm_V
            code_M = scores_MV.argmax(1)
            code_ML[part, level] = code_M
            sum_MD[part] += centers_VD[code_M]
    return ResidualPass(code_ML, sum_MD)


def sum_of_centers(code_ML: npt.NDArray[np.int16], codebooks: Sequence[Floats]) -> Floats:
    """Add up the centers that codes name.

    Args:
        code_ML: [M, L] integer codes.
        codebooks: One [V_l, D] float32 array per level.

    Returns:
        [M, D] float32.

    Raises:
        ShapeError: If the number of levels differs.
        ContractError: If a code is outside its codebook.
    """
    check_shape("code_ML", code_ML, (None, len(codebooks)))
    sizes_L = np.array([len(centers_VD) for centers_VD in codebooks])
    if ((code_ML < 0) | (code_ML >= sizes_L)).any():
        raise ContractError(
            f"codes range from {code_ML.min()} to {code_ML.max()}, codebooks hold "
            f"{sizes_L.tolist()}",
            where="code_ML",
            fix="decode with the tokenizer that encoded",
        )
    sum_MD = np.zeros((len(code_ML), codebooks[0].shape[1]), dtype=np.float32)
    for level, centers_VD in enumerate(codebooks):
        sum_MD += centers_VD[code_ML[:, level]]
    return sum_MD


def check_finite(array: npt.NDArray[np.floating], what: str) -> None:
    """Refuse NaN and infinity: they would get an id that means nothing.

    Args:
        array: Any floats.
        what: What they are, for the message.

    Raises:
        ContractError: If a value is not finite.
    """
    is_finite = np.isfinite(array)
    if not is_finite.all():
        rows = np.unique(np.nonzero(~is_finite)[0])
        raise ContractError(
            f"{rows.size} rows of {what} are not finite, first rows {rows[:5].tolist()}",
            where=what,
            fix="curate the embeddings",
        )
