"""The residual pass that all quantizers share.

Level by level the nearest center is taken and subtracted, all in float32 on the CPU, so that an id
never depends on the device.

Letters: M items, L levels, V codes, D width.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ContractError
from gpr_core.support.shapes import check_shape
from gpr_core.tokenizer.nearest import Centers, Scratch, chunks_of, map_parts

_SLICE_VALUES = 1 << 18

Floats = npt.NDArray[np.float32]


class ResidualPass(NamedTuple):
    """Codes of items and what they stand for.

    Attributes:
        code_ML: [M, L] int16.
        sum_MD: [M, D] float32, sum of the chosen centers.
    """

    code_ML: npt.NDArray[np.int16]
    sum_MD: Floats


def residual_codes(
    x_MD: Floats, codebooks: Sequence[Floats], *, threads: int | None = None
) -> npt.NDArray[np.int16]:
    """Encode vectors with the codebooks of all levels.

    Guaranteed: the codes of a vector are the same alone and in any batch, and with any number of
    threads, because products have one shape (see `nearest`). Each is that of the nearest center,
    the lowest code of equal ones; another machine or library may differ only where the two best
    scores are nearer than float32 can tell. Beside the codes, memory is that of a chunk per
    thread, so `x_MD` may be a memory map of any length.

    Args:
        x_MD: [M, D] float32; M may be 0.
        codebooks: One [V_l, D] float32 array per level.
        threads: Threads to use; None takes as many as torch would.

    Returns:
        [M, L] int16.

    Raises:
        ShapeError: If the widths differ.
        ContractError: If a value is not finite.

    Example:
        >>> centers = [np.array([[0.0], [4.0]], np.float32), np.array([[-1.0], [1.0]], np.float32)]
        >>> residual_codes(np.array([[3.2], [0.8]], np.float32), centers).tolist()
        [[1, 0], [0, 1]]
    """
    for centers_VD in codebooks:
        check_shape("x_MD", x_MD, (None, centers_VD.shape[1]))
    code_ML = np.empty((len(x_MD), len(codebooks)), dtype=np.int16)
    levels = [Centers(centers_VD) for centers_VD in codebooks]

    def encode(part: slice, scratch: Scratch) -> None:
        for chunk in chunks_of(part):
            rows = scratch.load(x_MD[chunk])
            if not np.isfinite(scratch.left_RE[:rows]).all():
                check_finite(x_MD, "item vectors")
            # All levels of a chunk are done while it is in the cache.
            for level, centers in enumerate(levels):
                code_ML[chunk, level] = code_R = scratch.search(centers, rows)
                if level + 1 < len(levels):
                    scratch.subtract(centers, code_R)

    for _ in map_parts(encode, num_rows=len(x_MD), width=x_MD.shape[1], threads=threads):
        pass
    return code_ML


def residual_pass(
    x_MD: Floats, codebooks: Sequence[Floats], *, threads: int | None = None
) -> ResidualPass:
    """Encode vectors and reconstruct them.

    Args:
        x_MD: [M, D] float32; M may be 0.
        codebooks: One [V_l, D] float32 array per level.
        threads: Threads to use; None takes as many as torch would.

    Returns:
        Codes, as those of `residual_codes`, and sums of centers.

    Raises:
        ShapeError: If the widths differ.
        ContractError: If a value is not finite.
    """
    code_ML = residual_codes(x_MD, codebooks, threads=threads)
    return ResidualPass(code_ML, sum_of_centers(code_ML, codebooks))


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
    for part in _slices(sum_MD):
        for level, centers_VD in enumerate(codebooks):
            sum_MD[part] += centers_VD[code_ML[part, level]]
    return sum_MD


def check_finite(array: npt.NDArray[np.floating], what: str) -> None:
    """Refuse NaN and infinity: they would get an id that means nothing.

    Args:
        array: [M, ...] floats; may be a memory map.
        what: What they are, for the message.

    Raises:
        ContractError: If a value is not finite.
    """
    bad_rows = [
        part.start + np.unique(np.nonzero(~np.isfinite(array[part]))[0]) for part in _slices(array)
    ]
    rows = np.concatenate([np.empty(0, dtype=np.int64), *bad_rows])
    if rows.size:
        raise ContractError(
            f"{rows.size} rows of {what} are not finite, first rows {rows[:5].tolist()}",
            where=what,
            fix="curate the embeddings",
        )


def _slices(array: npt.NDArray[np.floating]) -> Iterator[slice]:
    """Cut the rows of an array so that temporary results stay small."""
    rows = max(1, _SLICE_VALUES // max(1, int(np.prod(array.shape[1:]))))
    return (slice(begin, begin + rows) for begin in range(0, len(array), rows))
