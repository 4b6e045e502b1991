"""A small catalog: tools and teas, every text different, some of everything missing."""

import pyarrow as pa

from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.embeddings.raw_items import items_of_table

ROLES = ColumnRoles(
    numeric=("price",),
    categorical=("color",),
    text_vectors=("text_vector",),
    image_vectors=("picture",),
)
_TOOLS = ("hammer", "saw", "drill", "wrench", "pliers", "chisel")
_TEAS = ("green", "black", "white", "oolong", "mint", "chamomile")
_COLORS = ("red", "blue", None)


def make_rows(count=24):
    """Make rows of raw items; every other one is an ad."""
    return [_row(number) for number in range(count)]


def make_table(rows):
    """Make a table of rows."""
    return pa.Table.from_pylist(rows)


def make_items(rows=None, roles=ROLES):
    """Make items of rows."""
    return items_of_table(make_table(make_rows() if rows is None else rows), roles, where="items")


def _row(number):
    """Make one row; number modulo 2 gives the kind and number // 2 modulo 2 the topic."""
    is_tool = number // 2 % 2 == 0
    word = (_TOOLS if is_tool else _TEAS)[number // 4 % 6]
    title = f"steel {word} for wood" if is_tool else f"loose {word} tea leaves"
    return {
        "item_kind": ("ad", "content")[number % 2],
        "item_id": f"id-{number}",
        "title": f"{title} no {number}",
        "description": "" if number % 5 == 0 else f"a fine {word}, number {number} of a series",
        "brand": ("Forge" if is_tool else "Leaf") if number % 7 else None,
        "category": "Tools > Hand tools" if is_tool else "Food > Tea",
        "price": None if number % 6 == 0 else 1.5 * number,
        "color": _COLORS[number % 3],
        "text_vector": None if number % 8 == 0 else [float(is_tool), 1.0, number / 10, 0.0],
        "picture": [1.0, float(number % 4), number / 7],
    }
