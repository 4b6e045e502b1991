"""T32: the truth stays out of the lake. The import of the oracle is barred by import-linter."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.lake import Lake
from gpr_core.data.table_columns import make_table
from gpr_core.data.tables import TABLES
from gpr_core.support.progress import Progress
from gpr_core.world import generate
from gpr_core.world.config import world_preset
from gpr_core.world.oracle import Oracle

FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)


def fill(root):
    """Fill two micro days."""
    lake = Lake(root / "lake")
    fill_world = generate.fill_world
    fill_world(world_preset("micro"), lake, root / "oracle", SECOND, Progress("lake"))
    return lake


def truths(root, lake):
    """Collect every oracle quantity of the logged impressions, as columns."""
    oracle = Oracle(root / "oracle")
    rows = lake.read("impressions", FIRST, SECOND)
    keys = rows.column("request_key").to_numpy()
    ads = rows.column("ad_key").to_numpy()[:, None]
    columns = [part[:, 0] for part in oracle.outcome_probabilities(keys, ads)]
    columns.append(oracle.category_affinity(keys, ads)[:, 0])
    for path in sorted((root / "oracle" / "days").glob("*.npz")):
        with np.load(path) as archive:
            columns += [archive[name].ravel() for name in ("intent", "weight", "strength")]
    return columns


def leaks(root, lake):
    """Name the lake columns that hold values of the oracle, in whatever order or precision."""
    known = np.unique(np.round(np.concatenate(truths(root, lake)), 6))
    known = known[(known != 0) & (known != 1)]
    found = []
    for name, table in TABLES.items():
        rows = lake.read(name, FIRST, SECOND)
        for field in table.schema:
            column = rows.column(field.name).combine_chunks()
            if pa.types.is_list(field.type):
                column = column.flatten()
            if not pa.types.is_floating(column.type) or not len(column):
                continue
            values = np.round(column.to_numpy(zero_copy_only=False).astype(np.float64), 6)
            # A random float hits one of the known values now and then: a leaked column does always.
            if np.isin(values, known).mean() > 0.5:
                found.append(f"{name}.{field.name}")
    return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    root = tmp_path_factory.mktemp("t32")
    return root, fill(root)


def test_no_lake_column_is_an_oracle_column(filled):
    root, lake = filled
    assert leaks(root, lake) == []


def test_the_check_bites_when_the_truth_is_logged_as_the_prediction(tmp_path, monkeypatch):
    honest = generate.day_tables

    def leaky(world, morning, log, day, **options):
        tables = honest(world, morning, log, day, **options)
        rows = tables["impressions"]
        columns = {name: rows.column(name).combine_chunks() for name in rows.schema.names}
        columns["p_ctr"] = log.known.truth.p_ctr_M.astype(np.float32)
        return tables | {"impressions": make_table("impressions", columns)}

    monkeypatch.setattr(generate, "day_tables", leaky)
    lake = fill(tmp_path)
    assert leaks(tmp_path, lake) == ["impressions.p_ctr"]


def files_below(folder):
    """List the files of a tree."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def expected_files():
    """List what a lake of two days consists of, and nothing else."""
    days = ("2026-01-01", "2026-01-02")
    tables = {f"tables/{name}/day={day}/part-0.parquet" for name in TABLES for day in days}
    manifests = {f"manifests/{day}/train.json" for day in days}
    return tables | manifests | {"manifest.json", "manifests/2026-01-01/evaluation.json"}


def test_the_lake_holds_its_tables_and_nothing_of_the_oracle(filled):
    _, lake = filled
    assert files_below(lake.root) == expected_files()


def test_the_check_bites_when_the_oracle_is_kept_inside_the_lake(tmp_path):
    lake = Lake(tmp_path / "lake")
    generate.fill_world(world_preset("micro"), lake, lake.root / "oracle", SECOND, Progress("lake"))
    assert files_below(lake.root) != expected_files()


def test_the_lake_is_complete_without_the_oracle(filled, tmp_path):
    root, lake = filled
    (root / "oracle").rename(tmp_path / "away")
    try:
        tables = [lake.read(name, FIRST, SECOND) for name in TABLES]
    finally:
        (tmp_path / "away").rename(root / "oracle")
    assert [table.num_rows > 0 for table in tables] == [name != "thoughts" for name in TABLES]
