"""Item vectors in the form of the lake.

N = items.
"""

import hashlib
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.data.days import day_start_ms
from gpr_core.data.table_columns import make_table, vectors
from gpr_core.embeddings.item_encoder import ItemVectors
from gpr_core.embeddings.raw_items import RawItems
from gpr_core.support.errors import ContractError

ITEM_ROWS_SCHEMA = pa.schema(
    [
        pa.field("item_kind", pa.int8(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("emb_row", pa.int64(), nullable=False),
    ]
)


def item_rows(items: RawItems) -> pa.Table:
    """Number items by a hash of kind and id: an item has one number on all days, in any file.

    Args:
        items: The items.

    Returns:
        `ITEM_ROWS_SCHEMA`, in the order of the items.

    Raises:
        ContractError: If two items get one number (one chance in ten million at a million items).
    """
    names = [f"{kind}\x1f{name}" for kind, name in zip(items.kind_N, items.ids, strict=True)]
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    hash_N = np.frombuffer(b"".join(digests), dtype="<u8")
    row_N: npt.NDArray[np.int64] = (hash_N >> np.uint64(1)).astype(np.int64)
    if np.unique(row_N).size < row_N.size:
        raise ContractError(
            "two items have the same hash", where="emb_row", fix="rename one of the items"
        )
    return pa.table([items.kind_N, pa.array(items.ids, pa.string()), row_N], ITEM_ROWS_SCHEMA)


def embedding_table(rows: pa.Table, encoded: ItemVectors, version: str, day: date) -> pa.Table:
    """Write vectors as rows of the lake table `embeddings`.

    Args:
        rows: What `item_rows` gave for the items.
        encoded: Their vectors, in the same order.
        version: Version of the encoder.
        day: Landing day.

    Returns:
        Table in the schema of the lake.
    """
    return make_table(
        "embeddings",
        {
            "emb_row": rows["emb_row"].to_numpy(),
            "x_text": vectors(encoded.text_ND),
            "x_img": vectors(encoded.image_ND),
            "encoder_version": version,
            "encoded_ts": day_start_ms(day),
        },
    )
