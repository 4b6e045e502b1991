import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpr_core.data.tables import ItemKind
from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.embeddings.raw_items import items_of_table, read_raw_table
from gpr_core.support.errors import ArtifactError, ContractError
from tests.gpr_core.embeddings.small_catalog import make_items, make_rows, make_table

NO_ROLES = ColumnRoles()


def take(rows, roles=NO_ROLES):
    """Take items out of rows."""
    return items_of_table(make_table(rows), roles, where="items.jsonl")


def test_three_file_types_hold_the_same_table(tmp_path):
    rows = make_rows()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(make_table(rows), tmp_path / "a.parquet")
    tables = [read_raw_table(tmp_path / f"a.{end}") for end in ("jsonl", "jsonl.gz", "parquet")]
    for table in tables:
        assert table.to_pylist() == rows


def test_keys_use_all_64_bits(tmp_path):
    (tmp_path / "a.jsonl").write_text(f'{{"item_key": {2**64 - 1}, "title": "a"}}\n')
    items = items_of_table(read_raw_table(tmp_path / "a.jsonl"), NO_ROLES, where="a")
    assert items.ids == [str(2**64 - 1)]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("none.jsonl", None, "file not found"),
        ("a.csv", b"title\n", "cannot tell what a file named 'a.csv' holds"),
        ("a.jsonl", b'{"title": "a"}\n{"title": \n', "the file cannot be read"),
        ("a.jsonl", b'{"title": "a"}\n{"title": 7}\n', "the file cannot be read"),
        ("a.jsonl", b"", "the file cannot be read"),
        ("a.jsonl.gz", b"not gzip", "the file cannot be read"),
        ("a.parquet", b"not parquet", "the file cannot be read"),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"(?s){message}.*where:.*{name}.*fix: "):
        read_raw_table(tmp_path / name)


def test_an_empty_table_is_refused(tmp_path):
    pq.write_table(pa.table({"title": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(ContractError, match=r"(?s)holds no items.*where:.*fix: "):
        read_raw_table(tmp_path / "a.parquet")


def test_what_is_missing_is_empty():
    items = take([{"item_id": 3, "title": None}])
    assert items.kind_N.tolist() == [ItemKind.NONE]
    assert (items.ids, items.titles, items.brands) == (["3"], [""], [""])
    assert items.categories == [()]


def test_kinds_are_words_or_numbers():
    assert make_items().kind_N[:3].tolist() == [ItemKind.AD, ItemKind.CONTENT, ItemKind.AD]
    rows = [{"item_id": 1, "item_kind": 2, "title": "a"}]
    assert take(rows).kind_N.tolist() == [ItemKind.CONTENT]


def test_category_paths_are_cut_or_lists():
    rows = [
        {"item_id": n, "title": "a", "category": path} for n, path in enumerate(("A > B", "A|B"))
    ]
    assert take(rows).categories == [("A", "B"), ("A", "B")]
    assert take([{"item_id": 1, "title": "a", "category": ["A", "B"]}]).categories == [("A", "B")]


def test_numbers_that_are_not_finite_are_missing():
    rows = [
        {"item_id": n, "title": "a", "price": price}
        for n, price in enumerate((1.0, None, float("inf")))
    ]
    price_N = take(rows, ColumnRoles(numeric=("price",))).numeric["price"]
    np.testing.assert_array_equal(price_N, [1.0, np.nan, np.nan])


def test_missing_vectors_are_rows_of_zeros():
    rows = [{"item_id": n, "title": "a", "v": v} for n, v in enumerate(([1.0, 2.0], None, []))]
    vector_NW = take(rows, ColumnRoles(image_vectors=("v",))).vectors["v"]
    assert vector_NW.tolist() == [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"item_id": 1, "tittle": "a"}], "(?s)'title' is missing.*did you mean 'tittle'"),
        ([{"title": "a"}], "'item_key' and 'item_id' are missing"),
        ([{"item_id": 1, "title": 7}], "column 'title' has type int64"),
        ([{"item_key": "x", "title": "a"}], "column 'item_key' has type .*string"),
        ([{"item_id": None, "title": "a"}], "(?s)item_id is missing.*row 0"),
        ([{"item_id": 1, "item_kind": "video", "title": "a"}], "item_kind is 'video'"),
        (
            [
                {"item_id": 4, "title": "a"},
                {"item_id": 5, "title": "b"},
                {"item_id": 4, "title": "c"},
            ],
            r"(?s)1 keys stand twice or more, first '4'.*rows \[0, 2\]",
        ),
    ],
)
def test_a_table_that_breaks_the_form_is_refused_in_three_lines(rows, message):
    with pytest.raises(ContractError, match=message) as caught:
        take(rows)
    assert "where: items.jsonl" in str(caught.value)
    assert "fix: " in str(caught.value)


def test_an_ad_and_content_may_have_one_id():
    rows = [{"item_id": 1, "item_kind": kind, "title": "a"} for kind in ("ad", "content")]
    assert take(rows).ids == ["1", "1"]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (([1.0], [1.0, 2.0]), "vectors have 1 to 2 numbers"),
        (([1.0], [float("nan")]), "(?s)1 vectors hold a value that is not finite.*row 1"),
    ],
)
def test_broken_vectors_are_refused(vectors, message):
    rows = [{"item_id": n, "title": "a", "v": v} for n, v in enumerate(vectors)]
    with pytest.raises(ContractError, match=message):
        take(rows, ColumnRoles(image_vectors=("v",)))
