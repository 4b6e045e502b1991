"""Attributes of items, by hand."""

import json

import pytest

from gpr_core.sequential.item_attributes import (
    attributes_beside,
    no_attributes,
    read_attributes,
)
from gpr_core.sequential.sequences import read_sequences
from gpr_core.support.errors import ContractError


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "Tiny.txt"
    path.write_text("1 10 20 30\n2 30 20\n")
    return read_sequences(path)


def read(tmp_path, data, *records):
    path = tmp_path / "tiny_items.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in records))
    return read_attributes(path, data)


def item(number, *names):
    return {"item_id": number, "attributes": list(names)}


def test_shared_names_are_numbered_and_laid_out_item_after_item(tmp_path, data):
    found = read(
        tmp_path, data, item(30, "Nails", "OPI"), item(10, "OPI", "Nails", "OPI"), item(99, "Hair")
    )
    assert found.num_attributes == 2
    assert found.attribute_N.tolist() == [0, 1, 0, 1]
    # Item 20 has no line.
    assert found.offset_A.tolist() == [0, 2, 2]
    assert found.texts == ("OPI Nails OPI", "", "Nails OPI")


def test_a_name_of_one_item_alone_does_not_count(tmp_path, data):
    found = read(tmp_path, data, item(10, "rare", "common"), item(20, "common"))
    assert (found.num_attributes, found.attribute_N.tolist()) == (1, [0, 0])


def test_a_file_beside_the_sequences_is_found_whatever_its_case(tmp_path, data):
    assert attributes_beside(tmp_path / "Tiny.txt") is None
    read(tmp_path, data, item(10, "a"))
    assert attributes_beside(tmp_path / "Tiny.txt") == tmp_path / "tiny_items.jsonl"


def test_nothing_is_known_without_a_file(data):
    found = no_attributes(data)
    assert (found.num_attributes, len(found.attribute_N)) == (0, 0)
    assert found.offset_A.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", "no item could be read: JSONDecodeError"),
        ({"item_id": 1}, "no item could be read: KeyError 'attributes'"),
        ({"item_id": "1", "attributes": []}, "found item_id '1'"),
        ({"item_id": 1, "attributes": "Nails"}, "attributes 'Nails'"),
        (item(10, "twice"), "item 10 has two lines"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path, data, record, message):
    with pytest.raises(ContractError, match=message) as caught:
        read(tmp_path, data, item(10, "a"), record)
    assert caught.value.where.endswith(":2")
