"""What is known of items beside who acted on them: names of categories, brands and the like.

Letters: A items, N pairs of an item and an attribute, F attributes.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpr_core.sequential.sequences import Ints, SequenceData
from gpr_core.support.errors import ContractError

# An attribute of one item says no more than the item itself.
_FEWEST_ITEMS = 2


class ItemAttributes(NamedTuple):
    """Attributes of all items, item after item.

    Attributes:
        attribute_N: [N] int64, 0 <= attribute < F.
        offset_A: [A] int64, where the attributes of each item begin.
        num_attributes: F, 0 if nothing is known.
        texts: What is known of each item, as one text.
    """

    attribute_N: Ints
    offset_A: Ints
    num_attributes: int
    texts: tuple[str, ...]


def attributes_beside(path: Path) -> Path | None:
    """Find the file of items that belongs to a file of sequences.

    Args:
        path: File of sequences, for example `Beauty.txt`.

    Returns:
        `beauty_items.jsonl` in the same folder, whatever its case; None if there is none.
    """
    wanted = f"{path.stem}_items.jsonl".lower()
    return next((file for file in path.parent.iterdir() if file.name.lower() == wanted), None)


def no_attributes(data: SequenceData) -> ItemAttributes:
    """Say that nothing is known.

    Args:
        data: The data set.

    Returns:
        No attribute for any item.
    """
    nothing = np.zeros(0, dtype=np.int64)
    return ItemAttributes(nothing, np.zeros(data.num_items, np.int64), 0, ("",) * data.num_items)


def read_attributes(path: Path, data: SequenceData) -> ItemAttributes:
    """Read attributes of the items of a data set.

    Args:
        path: JSON lines with `item_id` (the id in the file of sequences) and `attributes`, a list
            of names.
        data: The data set; items that it does not have are passed over.

    Returns:
        Attributes that at least two items share; items without a line have none.

    Raises:
        ContractError: If a line is not such an object, or an item comes twice.
    """
    place_of = {int(item): place for place, item in enumerate(data.item_ids_A)}
    names: list[list[str]] = [[] for _ in place_of]
    seen: set[int] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        item, attributes = _parse(line, f"{path}:{number}")
        if item in seen:
            raise ContractError(
                f"item {item} has two lines", where=f"{path}:{number}", fix="keep one of them"
            )
        seen.add(item)
        if item in place_of:
            names[place_of[item]] = attributes
    count = Counter(name for entries in names for name in set(entries))
    shared = sorted(name for name, items in count.items() if items >= _FEWEST_ITEMS)
    number_of = {name: number for number, name in enumerate(shared)}
    rows = [sorted({number_of[name] for name in entries if name in number_of}) for entries in names]
    lengths = np.array([len(row) for row in rows])
    return ItemAttributes(
        attribute_N=np.array([number for row in rows for number in row], dtype=np.int64),
        offset_A=lengths.cumsum() - lengths,
        num_attributes=len(shared),
        texts=tuple(" ".join(entries) for entries in names),
    )


def _parse(line: str, where: str) -> tuple[int, list[str]]:
    """Take the two fields out of a line."""
    try:
        record: Any = json.loads(line)
        item, attributes = record["item_id"], record["attributes"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ContractError(
            f"no item could be read: {type(error).__name__} {error}",
            where=where,
            fix='a line is {"item_id": 7, "attributes": ["Nails", "OPI"]}',
        ) from error
    is_list = isinstance(attributes, list) and all(isinstance(name, str) for name in attributes)
    if not isinstance(item, int) or not is_list:
        raise ContractError(
            f"found item_id {item!r} and attributes {attributes!r}",
            where=where,
            fix="item_id is an integer and attributes a list of names",
        )
    return item, attributes
