"""Profiles of partitions on disk, `<folder>/<table>/<day>.json`: a cache, never a source of truth.

A profile follows from the bytes of its partition and from how it is made. Both are part of
`made_from`; a stored profile of anything else, or a damaged file, counts as absent. So it makes no
difference to any check which profiles are stored, only to the time that it takes.
"""

import functools
import inspect
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import pyarrow as pa

from data_contracts import derive, profiles
from data_contracts.drift import DayProfile
from data_contracts.model import Contract
from data_contracts.profiles import history_days, profile_partitions
from gpr_core.data.days import parse_day
from gpr_core.support.hashing import hash_file, hash_value

_LOGGER = logging.getLogger("gpr.contracts")


class ProfileStore:
    """Profiles of the partitions of some tables.

    Args:
        folder: Folder of the store; made on first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def profiles(
        self, contract: Contract, parts: Mapping[date, pa.Table], sha256: Mapping[date, str]
    ) -> list[DayProfile]:
        """Give the profiles of partitions: the stored ones, new ones for the rest.

        Args:
            contract: Their contract.
            parts: Day -> rows.
            sha256: Day -> hash of the file that holds the rows.

        Returns:
            One profile per day, in the order of `parts`, the same whether or not it was stored.
        """
        how = _how(contract)
        made_from = {day: hash_value({"partition": sha256[day], "how": how}) for day in parts}
        loaded = {day: self._load(contract.name, day) for day in parts}
        found = {
            day: profile
            for day, profile in loaded.items()
            if profile is not None and profile.made_from == made_from[day]
        }
        missing = {day: rows for day, rows in parts.items() if day not in found}
        for day, profile in zip(missing, profile_partitions(contract, missing), strict=True):
            found[day] = replace(profile, made_from=made_from[day])
        return [found[day] for day in parts]

    def add(self, made: Iterable[DayProfile]) -> None:
        """Keep profiles; one that is stored already is left alone, another of its day replaced.

        Args:
            made: Profiles of any tables and days.
        """
        for profile in made:
            day = parse_day(profile.day)
            if self._load(profile.contract, day) != profile:
                _write(self._path(profile.contract, day), profile)

    def before(self, contract: Contract, day: date) -> list[DayProfile]:
        """Read the profiles that a day is compared with.

        Args:
            contract: The contract.
            day: The day to be judged; itself excluded.

        Returns:
            The last profiles before it that are stored, in order of days.
        """
        stored = map(
            parse_day, (path.stem for path in (self.folder / contract.name).glob("*.json"))
        )
        latest = sorted((item for item in stored if item < day), reverse=True)
        found = [self._load(contract.name, item) for item in latest[: history_days(contract)]]
        return [profile for profile in reversed(found) if profile is not None]

    def _path(self, table: str, day: date) -> Path:
        """Name the file of a profile."""
        return self.folder / table / f"{day}.json"

    def _load(self, table: str, day: date) -> DayProfile | None:
        """Read a profile; None if there is none that can be read."""
        path = self._path(table, day)
        if not path.exists():
            return None
        try:
            return DayProfile(**json.loads(path.read_bytes()))
        except (ValueError, TypeError) as error:
            _LOGGER.warning("%s is no profile and is made again: %s", path, error)
            return None


def _how(contract: Contract) -> dict[str, object]:
    """Describe what a profile depends on beside the rows."""
    return {
        "contract": [contract.name, contract.version],
        "rules": [(rule.id, rule.column, rule.method, rule.edges) for rule in contract.drift],
        "expressions": contract.expressions,
        "code": _hash_code(),
    }


@functools.cache
def _hash_code() -> list[str]:
    """Hash the code that makes profiles."""
    return [hash_file(Path(inspect.getfile(module))) for module in (derive, profiles)]


def _write(path: Path, profile: DayProfile) -> None:
    """Write a profile whole or not at all; it can be made again, so nobody waits for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    staging.write_text(json.dumps(asdict(profile), indent=1, sort_keys=True) + "\n")
    staging.replace(path)
