"""Keyed identifiers and coarse attributes: nothing in the lake points at a person.

Source: specification 1.3 (own; the paper says nothing about privacy).
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ConfigError

_AGE_EDGES = np.array([18, 25, 35, 45, 55])
_MIN_SECRET_BYTES = 16


class Cells(NamedTuple):
    """Demographic cells after merging.

    Attributes:
        age_bucket: [U] int64, 0 where the age had to be hidden.
        gender: [U] int64, 0 where the gender had to be hidden.
        geo_l1: [U] int64, region; 0 where it had to be hidden.
        geo_l2: [U] int64, city; 0 where it had to be hidden.
    """

    age_bucket: npt.NDArray[np.int64]
    gender: npt.NDArray[np.int64]
    geo_l1: npt.NDArray[np.int64]
    geo_l2: npt.NDArray[np.int64]


def keyed_ids(raw_ids: Sequence[str], secret: bytes, *, space: str) -> npt.NDArray[np.uint64]:
    """Replace raw identifiers by a keyed hash that cannot be undone without the secret.

    Args:
        raw_ids: [U] raw identifiers.
        secret: Key of the hash, at least 16 bytes; rotating it re-keys everything.
        space: What the identifiers name; equal raw ids of two spaces give different keys.

    Returns:
        [U] uint64 in [1, 2**63).

    Raises:
        ConfigError: If the secret is shorter than 16 bytes.

    Example:
        >>> bool(keyed_ids(["7"], b"0123456789abcdef", space="user")[0] < 2**63)
        True
    """
    if len(secret) < _MIN_SECRET_BYTES:
        raise ConfigError(
            f"the secret has {len(secret)} bytes, expected at least {_MIN_SECRET_BYTES}",
            where="privacy secret",
            fix="make one with `openssl rand -hex 32` and keep it out of git and DVC",
        )
    key = hashlib.blake2b(secret, digest_size=32, person=space.encode()[:16]).digest()
    digests = [hashlib.blake2b(raw.encode(), key=key, digest_size=8).digest() for raw in raw_ids]
    values = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
    return np.asarray(np.maximum(values >> np.uint64(1), np.uint64(1)))


def bucket_age(age_years: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Bucket ages.

    Args:
        age_years: [U] ages in years; 0 or less means unknown.

    Returns:
        [U] int64: 0 unknown, 1 under 18, 2 18-24, 3 25-34, 4 35-44, 5 45-54, 6 from 55.

    Example:
        >>> bucket_age([0, 17, 18, 54, 90]).tolist()
        [0, 1, 2, 5, 6]
    """
    ages = np.asarray(age_years)
    return np.where(ages <= 0, 0, 1 + np.searchsorted(_AGE_EDGES, ages, side="right"))


def merge_small_cells(
    age_bucket: npt.NDArray[np.int64],
    gender: npt.NDArray[np.int64],
    geo_l1: npt.NDArray[np.int64],
    geo_l2: npt.NDArray[np.int64],
    *,
    min_users: int,
) -> Cells:
    """Hide attributes until every (age, gender, city) cell holds enough people.

    People in a small cell first lose the city, then the region with the age, then the gender. If
    fewer than `min_users` end up with nothing known, the smallest other cells join them.

    Args:
        age_bucket: [U] int64.
        gender: [U] int64.
        geo_l1: [U] int64, regions.
        geo_l2: [U] int64, cities.
        min_users: Least number of people in a cell.

    Returns:
        The attributes to store; each (age, gender, city) cell holds at least `min_users` people.

    Raises:
        ConfigError: If there are fewer than `min_users` people in all.
    """
    if len(age_bucket) < min_users:
        raise ConfigError(
            f"{len(age_bucket)} people cannot form a cell of {min_users}",
            where="privacy cells",
            fix=f"use at least {min_users} people, or a smaller cell",
        )
    age, sex, region, city = (np.array(x) for x in (age_bucket, gender, geo_l1, geo_l2))
    city[_cell_sizes(age, sex, city) < min_users] = 0
    small = _cell_sizes(age, sex, city) < min_users
    age[small], region[small], city[small] = 0, 0, 0
    small = _cell_sizes(age, sex, city) < min_users
    sex[small], age[small], region[small], city[small] = 0, 0, 0, 0
    hidden = (age == 0) & (sex == 0) & (city == 0)
    while 0 < hidden.sum() < min_users:
        sizes = np.where(hidden, np.iinfo(np.int64).max, _cell_sizes(age, sex, city))
        one = int(np.argmin(sizes))
        join = (age == age[one]) & (sex == sex[one]) & (city == city[one])
        age[join], sex[join], region[join], city[join] = 0, 0, 0, 0
        hidden |= join
    return Cells(age, sex, region, city)


def _cell_sizes(
    age: npt.NDArray[np.int64], gender: npt.NDArray[np.int64], city: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Count, for each person, the people in the same cell."""
    cell = (age * 8 + gender) * 100_000 + city
    _, inverse, counts = np.unique(cell, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse])
