"""`gpr items`."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from components.cli.items_commands import items_app
from data_contracts.check import check_file
from gpr_core.data.tables import DAY_MS
from gpr_core.support.errors import ArtifactError, ConfigError, ContractError, GprError
from tests.gpr_core.embeddings.small_catalog import make_rows, make_table

SHARED = Path(
    os.environ.get("GPR_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")
)
INDUSTRIAL = SHARED / "amazon_industrial" / "industrial_items.jsonl.gz"


def embed(items, out, *options):
    """Run `gpr items embed`."""
    done = CliRunner().invoke(items_app, ["embed", str(items), "--out", str(out), *options])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def vectors_of(folder):
    """Read item id -> vector."""
    table = pq.read_table(folder / "embeddings.parquet").to_pylist()
    by_row = {row["emb_row"]: [*row["x_text"], *row["x_img"]] for row in table}
    rows = pq.read_table(folder / "item_rows.parquet").to_pylist()
    return {row["item_id"]: by_row[row["emb_row"]] for row in rows}


@pytest.fixture
def catalog(tmp_path):
    """Write the small catalog as Parquet."""
    pq.write_table(make_table(make_rows()), tmp_path / "items.parquet")
    return tmp_path / "items.parquet"


def test_embeddings_keep_the_contract_of_the_lake(catalog, tmp_path):
    printed = embed(catalog, tmp_path / "out", "--dim", "8", "--day", "1970-01-03")
    path = tmp_path / "out" / "embeddings.parquet"
    assert check_file("embeddings", path).failed_rules == ()
    assert set(pq.read_table(path)["encoded_ts"].to_pylist()) == {2 * DAY_MS}
    version = pq.read_table(path)["encoder_version"][0].as_py()
    assert f"24 items, 12 + 11 numbers, encoder version {version[:12]}" in printed


def test_equal_items_give_equal_bytes_from_either_file_type(catalog, tmp_path):
    lines = tmp_path / "items.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in make_rows()))
    embed(catalog, tmp_path / "a")
    embed(lines, tmp_path / "b")
    names = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")]
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_fitted_encoder_gives_new_items_vectors_in_the_same_space(catalog, tmp_path):
    embed(catalog, tmp_path / "first")
    pq.write_table(make_table(make_rows(30)[20:]), tmp_path / "new.parquet")
    fitted = str(tmp_path / "first" / "encoder")
    embed(tmp_path / "new.parquet", tmp_path / "second", "--fitted", fitted)
    before, after = vectors_of(tmp_path / "first"), vectors_of(tmp_path / "second")
    assert len(after) == 10
    for name in before.keys() & after.keys():
        assert before[name] == after[name]
    assert np.isfinite(np.array(list(after.values()))).all()


def test_columns_can_be_declared(catalog, tmp_path):
    declared = tmp_path / "columns.yaml"
    declared.write_text("numeric: [price]\n")
    embed(catalog, tmp_path / "out", "--columns", str(declared))
    meta = json.loads((tmp_path / "out" / "encoder" / "encoder.json").read_text())
    assert meta["roles"]["numeric"] == ["price"]
    assert [part["name"] for part in meta["parts"]] == ["text", "attributes"]


@pytest.mark.parametrize(
    ("drop", "error", "message"),
    [
        ("title", ContractError, "column 'title' is missing"),
        ("item_id", ContractError, "'item_key' and 'item_id' are missing"),
    ],
)
def test_a_missing_column_is_named(tmp_path, drop, error, message):
    path = tmp_path / "items.parquet"
    pq.write_table(make_table(make_rows()).drop_columns(drop), path)
    with pytest.raises(error, match=message):
        embed(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_input_gets_an_error_of_three_parts(catalog, tmp_path):
    twice, empty, broken = (tmp_path / f"{name}.parquet" for name in ("twice", "empty", "broken"))
    pq.write_table(make_table(make_rows() + make_rows(1)), twice)
    pq.write_table(pa.table({"title": pa.array([], pa.string())}), empty)
    broken.write_bytes(b"no parquet")
    missing = tmp_path / "missing.jsonl"
    for path in (twice, empty, broken, missing):
        with pytest.raises((ContractError, ArtifactError)) as caught:
            embed(path, tmp_path / "out")
        what, where, fix = str(caught.value).split("\n  ")
        assert what
        assert where.startswith(f"where: {path}")
        assert fix.startswith("fix: ")


def test_a_fitted_encoder_takes_no_columns(catalog, tmp_path):
    with pytest.raises(ConfigError, match="both --fitted and --columns are given"):
        embed(catalog, tmp_path / "out", "--fitted", "x", "--columns", "y")


def test_a_day_that_is_none_is_refused(catalog, tmp_path):
    with pytest.raises(GprError, match="day"):
        embed(catalog, tmp_path / "out", "--day", "yesterday")


@pytest.mark.skipif(not INDUSTRIAL.exists(), reason=f"{INDUSTRIAL} is not there (GPR_SHARED_DATA)")
def test_real_items_keep_the_contract_and_brands_stand_together(tmp_path):
    embed(INDUSTRIAL, tmp_path)
    assert check_file("embeddings", tmp_path / "embeddings.parquet").failed_rules == ()
    by_id = vectors_of(tmp_path)
    raw = pj.read_json(INDUSTRIAL).to_pylist()
    x_ND = np.array([by_id[str(row["item_id"])] for row in raw])
    x_ND /= np.linalg.norm(x_ND, axis=1, keepdims=True)
    brand_N = np.array([row["brand"] for row in raw])
    cosine = x_ND[:300] @ x_ND.T
    cosine[np.arange(300), np.arange(300)] = -1
    nearest = cosine.argmax(axis=1)
    # 163 of the 3,686 items are of the largest brand: chance agrees on a few in a thousand.
    assert (brand_N[nearest] == brand_N[:300]).mean() > 0.5
