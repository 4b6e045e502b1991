from datetime import date

import numpy as np
import pytest

from data_contracts.check import check_table
from gpr_core.data.fusion import concat_embeddings
from gpr_core.data.tables import DAY_MS, TABLES
from gpr_core.embeddings.item_encoder import fit_item_encoder
from gpr_core.embeddings.landing import embedding_table, item_rows
from gpr_core.support.errors import ContractError
from gpr_core.support.progress import Progress
from tests.gpr_core.embeddings.small_catalog import ROLES, make_items, make_rows

DAY = date(1970, 1, 11)


@pytest.fixture(scope="module")
def landed():
    """Encode the small catalog: items, their rows, vectors and lake table."""
    items = make_items()
    encoder, vectors = fit_item_encoder(items, ROLES, "hashed", 8, Progress("test"))
    rows = item_rows(items)
    return items, rows, vectors, embedding_table(rows, vectors, encoder.version, DAY)


def test_an_item_has_one_number_whatever_stands_beside_it(landed):
    items, rows, _, _ = landed
    reverse = item_rows(make_items(make_rows()[::-1]))
    assert reverse["emb_row"].to_pylist() == rows["emb_row"].to_pylist()[::-1]
    assert rows["item_id"].to_pylist() == items.ids
    assert min(rows["emb_row"].to_pylist()) >= 0


def test_an_ad_and_content_of_one_id_have_two_numbers():
    row = make_rows()[0]
    rows = item_rows(make_items([{**row, "item_kind": kind} for kind in ("ad", "content")]))
    assert len(set(rows["emb_row"].to_pylist())) == 2


def test_two_items_of_one_hash_are_refused():
    twice = make_items([make_rows()[0], make_rows()[1]])
    broken = type(twice)(
        **{name: getattr(twice, name) for name in type(twice).__slots__ if name not in ("ids",)},
        ids=["same", "same"],
    )
    broken.kind_N[:] = 1
    with pytest.raises(ContractError, match="two items have the same hash"):
        item_rows(broken)


def test_the_table_is_that_of_the_lake_and_keeps_its_contract(landed):
    table = landed[3]
    assert table.schema == TABLES["embeddings"].schema
    assert set(table["encoded_ts"].to_pylist()) == {10 * DAY_MS}
    assert check_table("embeddings", table).failed_rules == ()


def test_curation_finds_the_vectors_by_the_number(landed):
    _, rows, vectors, table = landed
    emb_row_N = rows["emb_row"].to_numpy()[[5, 0]]
    found = concat_embeddings(table, emb_row_N)
    assert np.array_equal(found, np.concatenate(vectors, axis=1)[[5, 0]])
