"""Codes of all items by one tokenizer.

Letters: M items, L levels, D width.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.tokenization.items import Items
from gpr_core.tokenizer.protocol import Tokenizer
from gpr_core.tokenizer.residual import Floats
from gpr_core.tokenizer.sid_map import codes_of, stored_rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoding:
    """Codes of all items by one tokenizer.

    Attributes:
        codebook_sizes: Codes per level.
        code_ML: [M, L] int16.
        rebuilt_MD: [M, D] float32 reconstructions.
        reproduced_share: Share of kept ids that today's vectors would give again.
    """

    codebook_sizes: tuple[int, ...]
    code_ML: npt.NDArray[np.int16]
    rebuilt_MD: Floats
    reproduced_share: float = 1.0


def encode_items(tokenizer: Tokenizer, items: Items, stored: pa.Table | None) -> Encoding:
    """Encode all items; an item that has an id keeps it, whatever its vector is today.

    Args:
        tokenizer: Fitted.
        items: The items.
        stored: Ids to be kept, or None.

    Returns:
        Their codes and reconstructions.
    """
    code_ML = tokenizer.encode(items.x_MD)
    reproduced_share = 1.0
    if stored is not None:
        row_M = stored_rows(stored, items.table)
        is_old_M = row_M >= 0
        old_ML = codes_of(stored)[row_M[is_old_M]]
        is_same = (code_ML[is_old_M] == old_ML).all(1)
        reproduced_share = float(is_same.mean()) if is_same.size else 1.0
        code_ML[is_old_M] = old_ML
    return Encoding(
        codebook_sizes=tuple(len(centers_VD) for centers_VD in tokenizer.codebooks),
        code_ML=code_ML,
        rebuilt_MD=tokenizer.decode(code_ML),
        reproduced_share=reproduced_share,
    )
