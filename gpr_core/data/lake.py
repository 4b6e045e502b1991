"""A lake of Parquet partitions by landing day, with a hash per partition.

    <lake>/tables/<table>/day=YYYY-MM-DD/part-0.parquet
    <lake>/manifest.json                       every partition: sha256, rows, bytes
    <lake>/manifests/<day>/train.json          partitions that landed up to <day>
    <lake>/manifests/<day>/evaluation.json     partitions of the day after, once it has landed

A landed partition never changes. The two day manifests are what pipeline steps depend on, so that
a year of logs is not hashed again every day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.data.days import parse_day
from gpr_core.data.parquet import write_parquet
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ArtifactError, ContractError, suggest_name
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Partition:
    """What the manifest knows of one partition.

    Attributes:
        sha256: Hash of the Parquet file.
        rows: Number of rows.
        bytes: Size of the file.
    """

    sha256: str
    rows: int
    bytes: int


class _Entry(TypedDict):
    """A partition as it stands in a manifest."""

    sha256: str
    rows: int
    bytes: int


class _Manifest(TypedDict):
    """A manifest file: day -> table -> partition."""

    schema_version: int
    source: str
    days: dict[str, dict[str, _Entry]]


class Lake:
    """Reads and appends day partitions.

    Args:
        root: Folder of the lake; made on first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def append_day(self, day: date, tables: Mapping[str, pa.Table], *, source: str) -> None:
        """Land all partitions of one day, then record them.

        Args:
            day: Landing day.
            tables: Table name -> rows in the schema of `gpr_core.data.tables`, one entry for each
                lake table; an empty table is a partition of zero rows.
            source: Where the rows come from, for example `world` or `movielens`.

        Raises:
            ArtifactError: If the day or a later one has landed before, the lake holds another
                source, or a table is missing, unknown or of another schema.
        """
        manifest = self._manifest_or_new(source)
        if day.isoformat() in manifest["days"]:
            raise ArtifactError(
                f"day {day} has landed already; partitions are immutable",
                where=str(self.root),
                fix="start a new lake, or fill from the day after",
            )
        if manifest["days"] and day.isoformat() < max(manifest["days"]):
            raise ArtifactError(
                f"day {day} would land after {max(manifest['days'])}; days land in order",
                where=str(self.root),
                fix="start a new lake and land every day in order",
            )
        _check_tables(tables)
        entries = {name: self._write(name, day, rows) for name, rows in tables.items()}
        manifest["days"][day.isoformat()] = entries
        self._write_day_manifests(day, manifest)
        write_json(self.root / "manifest.json", manifest)

    def days(self) -> list[date]:
        """List the landed days, in order.

        Returns:
            Days; empty for a new lake.
        """
        if not (self.root / "manifest.json").exists():
            return []
        return sorted(parse_day(day) for day in self._manifest()["days"])

    def source(self) -> str:
        """Tell where the rows come from.

        Returns:
            The source given when the first day landed.
        """
        return str(self._manifest()["source"])

    def check_source(self, source: str) -> None:
        """Refuse a lake that holds the rows of another source.

        Args:
            source: The expected source.

        Raises:
            ArtifactError: If days of another source have landed.
        """
        if self.days() and self.source() != source:
            raise ArtifactError(
                f"this lake holds {self.source()!r}, not {source!r}",
                where=str(self.root),
                fix="use another lake folder for another source",
            )

    def partition(self, table: str, day: date) -> Partition:
        """Look up one partition.

        Args:
            table: Table name.
            day: Landing day.

        Returns:
            Its manifest entry.

        Raises:
            ArtifactError: If the day has not landed, or there is no such table.
        """
        _check_name(table)
        days = self._manifest()["days"]
        if day.isoformat() not in days:
            raise ArtifactError(
                f"day {day} has not landed; landed: {min(days)} .. {max(days)}",
                where=str(self.root),
                fix=f"run `gpr lake fill --through {day}`",
            )
        return Partition(**days[day.isoformat()][table])

    def partitions(self, table: str, first: date, last: date) -> dict[date, Partition]:
        """Look up the partitions from first to last day, both included.

        Args:
            table: Table name.
            first: First landing day.
            last: Last landing day.

        Returns:
            Landed day -> manifest entry, in order of days; empty for a new lake.

        Raises:
            ArtifactError: If there is no such table.
        """
        _check_name(table)
        if not (self.root / "manifest.json").exists():
            return {}
        entries = {parse_day(day): tables for day, tables in self._manifest()["days"].items()}
        days = sorted(day for day in entries if first <= day <= last)
        return {day: Partition(**entries[day][table]) for day in days}

    def path(self, table: str, day: date) -> Path:
        """Name the Parquet file of one partition.

        Args:
            table: Table name.
            day: Landing day.

        Returns:
            Its path, whether or not it exists.
        """
        return self.root / "tables" / table / f"day={day.isoformat()}" / "part-0.parquet"

    def read(self, table: str, first: date, last: date, *, verify: bool = True) -> pa.Table:
        """Read the partitions of a table from first to last day, both included.

        Args:
            table: Table name.
            first: First landing day.
            last: Last landing day.
            verify: Compare each file with the hash in the manifest.

        Returns:
            All rows, in landing order.

        Raises:
            ArtifactError: If there is no such table, or a file is missing, is not Parquet, or
                differs from its manifest.
        """
        parts = self.read_days(table, first, last, verify=verify).values()
        return pa.concat_tables([TABLES[table].schema.empty_table(), *parts]).combine_chunks()

    def read_days(
        self, table: str, first: date, last: date, *, verify: bool = True
    ) -> dict[date, pa.Table]:
        """Read the partitions of a table apart, from first to last day, both included.

        Args:
            table: Table name.
            first: First landing day.
            last: Last landing day.
            verify: Compare each file with the hash in the manifest.

        Returns:
            Landed day -> its rows, in order of days.

        Raises:
            ArtifactError: If there is no such table, or a file is missing, is not Parquet, or
                differs from its manifest.
        """
        partitions = self.partitions(table, first, last)
        return {
            day: self._read_one(table, day, entry, verify=verify)
            for day, entry in partitions.items()
        }

    def _read_one(self, table: str, day: date, entry: Partition, *, verify: bool) -> pa.Table:
        """Read one partition, comparing it with its manifest entry."""
        path = self.path(table, day)
        if not path.exists():
            raise ArtifactError(
                "partition file is missing",
                where=str(path),
                fix="restore it from the warehouse; a manifest never names a file in vain",
            )
        if verify and hash_file(path) != entry.sha256:
            raise ArtifactError(
                "partition is corrupt: its bytes differ from the hash in the manifest",
                where=str(path),
                fix="restore the file from the warehouse",
            )
        try:
            rows = pq.read_table(path, partitioning=None)
        except (pa.ArrowException, OSError) as error:
            raise ArtifactError(
                f"partition is not readable Parquet: {error}",
                where=str(path),
                fix="restore the file from the warehouse",
            ) from error
        _check_columns(table, rows.schema, where=str(path))
        return rows.select(TABLES[table].schema.names).cast(TABLES[table].schema)

    def _write(self, table: str, day: date, rows: pa.Table) -> _Entry:
        """Write one partition file atomically."""
        path = self.path(table, day)
        write_parquet(path, rows)
        return _Entry(sha256=hash_file(path), rows=rows.num_rows, bytes=path.stat().st_size)

    def _write_day_manifests(self, day: date, manifest: _Manifest) -> None:
        """Write the manifests that the steps of this day and of the day before depend on."""
        days = manifest["days"]
        train = {name: days[name] for name in sorted(days) if name <= day.isoformat()}
        folder = self.root / "manifests"
        write_json(folder / day.isoformat() / "train.json", {**manifest, "days": train})
        before = (day - timedelta(days=1)).isoformat()
        if before in days:
            only = {day.isoformat(): days[day.isoformat()]}
            write_json(folder / before / "evaluation.json", {**manifest, "days": only})

    def _manifest(self) -> _Manifest:
        """Read the manifest."""
        path = self.root / "manifest.json"
        if not path.exists():
            raise ArtifactError(
                "there is no lake here",
                where=str(self.root),
                fix="run `gpr lake fill --source world --through DAY`",
            )
        manifest: _Manifest = read_json(path)
        return manifest

    def _manifest_or_new(self, source: str) -> _Manifest:
        """Read the manifest, or begin one; refuse to mix sources."""
        if not (self.root / "manifest.json").exists():
            return {"schema_version": _SCHEMA_VERSION, "source": source, "days": {}}
        self.check_source(source)
        return self._manifest()


def _check_columns(table: str, found: pa.Schema, *, where: str) -> None:
    """Refuse a partition that lacks a column or has one of another type."""
    for field in TABLES[table].schema:
        if field.name not in found.names:
            raise ContractError(
                f"{table}: column {field.name!r} is missing",
                where=where,
                fix=f"land it as {field.type}; `gpr contracts check {table} FILE` checks a file",
            )
        if found.field(field.name).type != field.type:
            raise ContractError(
                f"{table}: column {field.name!r} has type {found.field(field.name).type}, "
                f"expected {field.type}",
                where=where,
                fix="cast it before landing; a changed type is a breaking change of the contract",
            )


def _check_tables(tables: Mapping[str, pa.Table]) -> None:
    """Refuse missing or unknown tables and foreign schemas."""
    for name in tables:
        _check_name(name)
    for name, table in TABLES.items():
        if name not in tables:
            raise ArtifactError(f"table {name!r} is missing", fix="land every table, even empty")
        if not tables[name].schema.equals(table.schema):
            raise ArtifactError(
                f"table {name!r} has another schema:\n{tables[name].schema}",
                where=name,
                fix="cast it to gpr_core.data.tables.TABLES[name].schema",
            )


def _check_name(table: str) -> None:
    """Refuse names that are no lake table."""
    if table not in TABLES:
        raise ArtifactError(
            f"unknown table {table!r}", where="lake", fix=suggest_name(table, TABLES)
        )
