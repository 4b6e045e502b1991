"""How torch multiplies float32 matrices on the CPU.

Torch asks MKL by default, whose kernels for processors that are not Intel's are half as fast as
those of oneDNN. The switch to oneDNN is called `fp32_precision = "bf16"`: it allows bfloat16 where
the processor has matrix units for it (AMX) and leaves float32 everywhere else. So whether it is
safe is a property of the processor, found by multiplying once. Accuracy decides and not time,
because a time would give equal inputs other bytes on a busy machine.

Source: own, decision 0014.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch

from gpr_core.support.seeding import numpy_stream

_ONEDNN: Any = torch.backends.mkldnn
_PROBE_SIZE = 256
_LARGEST_ERROR = 1e-5


@contextmanager
def fast_float32_matmul() -> Iterator[None]:
    """Let oneDNN multiply float32 matrices inside the block, where it keeps float32 accuracy.

    The setting is one of the whole process. Small products inside the block, such as those of
    scaled dot-product attention on the CPU, become slower.

    Yields:
        None: the former setting comes back at the end.
    """
    former = _ONEDNN.matmul.fp32_precision
    if is_onednn_accurate():
        _ONEDNN.matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        _ONEDNN.matmul.fp32_precision = former


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let each torch call inside the block use one thread, for callers that split the work.

    Yields:
        None: the former number of threads comes back at the end.
    """
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(former)


@contextmanager
def bfloat16_products(device: str = "cpu") -> Iterator[None]:
    """Multiply in bfloat16 inside the block, on processors that have instructions for it.

    Only a forward pass belongs inside; the backward pass takes the types of the forward pass.
    Softmax, normalization and losses stay in float32.

    Args:
        device: Where the tensors live: `cpu` or `cuda`, with or without a number.

    Yields:
        None: elsewhere nothing changes, because bfloat16 without such instructions is slower by
        one or two orders of magnitude.
    """
    kind = torch.device(device).type
    with torch.autocast(kind, torch.bfloat16, enabled=has_bfloat16_products(kind)):
        yield


def has_bfloat16_products(kind: str = "cpu") -> bool:
    """Say whether the processor multiplies bfloat16 in hardware.

    Args:
        kind: `cpu` or `cuda`.

    Returns:
        True with the instruction sets AVX512_BF16 or AMX, or with a GPU that has it.
    """
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    probes: Any = torch.cpu
    return bool(probes._is_avx512_bf16_supported() or probes._is_amx_tile_supported())  # noqa: SLF001


@cache
def is_onednn_accurate() -> bool:
    """Say whether the switch keeps float32 accuracy on this processor.

    One product is compared with float64. Its error, relative to the product of the norms, is near
    1e-7 in float32 and near 1e-3 in bfloat16. The answer is kept for the life of the process.

    Returns:
        True where the relative error is below 1e-5.
    """
    stream = numpy_stream(0, "matmul", "probe")
    left_VD, right_VD = stream.normal(size=(2, _PROBE_SIZE, _PROBE_SIZE))
    left_VD, right_VD = left_VD.astype(np.float32), right_VD.astype(np.float32)
    former = _ONEDNN.matmul.fp32_precision
    _ONEDNN.matmul.fp32_precision = "bf16"
    try:
        found_VV = (torch.from_numpy(left_VD) @ torch.from_numpy(right_VD).T).numpy()
    finally:
        _ONEDNN.matmul.fp32_precision = former
    return _relative_error(found_VV, left_VD, right_VD) < _LARGEST_ERROR


def _relative_error(found_VV: np.ndarray, left_VD: np.ndarray, right_VD: np.ndarray) -> float:
    """Largest error of a product of rows, relative to the norms of its two rows."""
    exact_VV = left_VD.astype(np.float64) @ right_VD.T.astype(np.float64)
    left_V, right_V = (np.linalg.norm(rows_VD, axis=1) for rows_VD in (left_VD, right_VD))
    return float((np.abs(found_VV - exact_VV) / np.outer(left_V, right_V)).max())
