"""Do several heads cover more of a user's interests than one: MTP against NTP?

    python -m benchmarks.interests FOLDER

Makes three synthetic worlds in FOLDER (what is there is kept, so an interrupted study goes on), and
trains HSTU and the daily model on each, with one head and with four. Measured is the share of the
interests that a user truly has at a request which have an ad in the list. A request has as many
places in a list whatever the heads, and one head is also searched with four times the beams, so
that it evaluates as many prefixes as four do. Writes docs/benchmarks/interests.json.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.pooled_users import mean_with_interval, means_by_seed, pooled_bootstrap
from benchmarks.record import write_result
from benchmarks.study_days import StudyDay, latest_day, make_days
from benchmarks.study_training import run_missing, train_model
from benchmarks.table2_methods import floor_lists
from benchmarks.table2_rows import table_rows
from gpr_core.evaluation.interests import covered_interests
from gpr_core.evaluation.policies import hit_rate_beam, rank_ads
from gpr_core.evaluation.ranked_ads import RankedAds, top_ads
from gpr_core.evaluation.retrieval import ad_positions
from gpr_core.generation.config import BeamConfig
from gpr_core.support.files import read_json

SEEDS, PASSES, KS = (0, 1, 2), 2, (4, 10, 40)
_HEADS = 4
_FLOORS = ("popularity", "transitions")
_EVERYTHING = "all eligible ads"
_BATCH = 64
COMPARED = (
    ("hstu, 4 heads", "hstu, 1 head"),
    ("hstu, 4 heads", "hstu, 1 head, 4 times the beams"),
    ("daily, 4 heads", "daily, 1 head"),
    ("daily, 4 heads", "daily, 1 head, 4 times the beams"),
    ("daily, 4 heads", "hstu, 4 heads"),
)

Measured = Mapping[str, Sequence[float]]


def run_study(folder: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Run or continue the study.

    Args:
        folder: Where worlds and results are kept.
        seeds: One world each.

    Returns:
        The table with intervals, and differences between rows.
    """
    days = make_days("world", folder, seeds)
    jobs = {
        (day.seed, name): (folder / "interests" / f"{day.seed}_{name}.json", day)
        for day in days
        for name in (*_FLOORS, "hstu-1", "hstu-4", "daily-1", "daily-4")
    }
    run_missing(
        {
            path: partial(run_row, day.home, day.seed, name)
            for (_, name), (path, day) in jobs.items()
        }
    )
    results: dict[int, dict[str, Measured]] = {day.seed: {} for day in days}
    for (seed, _), (path, _) in jobs.items():
        results[seed] |= read_json(path)
    users = {day.seed: day.next_day.column("user_key") for day in days}
    several = {day.seed: np.array([len(one) > 1 for one in day.interests]) for day in days}
    return summarize(results, users, several)


def run_row(home: Path, seed: int, name: str) -> dict[str, dict[str, list[float]]]:
    """Train and judge one row.

    Args:
        home: Folder of the world.
        seed: Its seed.
        name: A floor, or `MODEL-HEADS`.

    Returns:
        Row of the table -> metric -> [B] values of the requests.
    """
    day = latest_day(home, seed)
    if name in _FLOORS:
        found = {name: _measure(day, floor_lists(day, name))}
        if name == _FLOORS[0]:
            eligible_BA = day.next_day.eligible_BA
            longest = int(eligible_BA.sum(axis=1).max())
            everything = top_ads(np.zeros(eligible_BA.shape), eligible_BA, longest)
            found[_EVERYTHING] = _measure(day, everything, whole=True)
        return found
    kind, heads = name.split("-")
    return _model_rows(day, kind, int(heads))


def _model_rows(day: StudyDay, kind: str, heads: int) -> dict[str, dict[str, list[float]]]:
    """Train a model with some number of heads, and let it list ads."""
    spec = table_rows(day.params.mtp_pretrain.model, day.codebook_sizes)[
        {"hstu": "hstu", "daily": "gpr_daily"}[kind]
    ]
    spec = replace(spec, model=replace(spec.model, num_heads=heads))
    config = spec.config(day.params.mtp_pretrain, PASSES)
    label = f"{kind}, {heads} head" + "s" * (heads > 1)
    model = train_model(day, config, study="interests", label=label).model
    policy = day.policy(model, config.sequence.max_tokens)

    def listed(beam: BeamConfig) -> dict[str, list[float]]:
        return _measure(day, rank_ads(policy, day.next_day, beam, batch_requests=_BATCH))

    beam = hit_rate_beam(day.params.evaluation)
    found = {label: listed(beam)}
    if heads == 1:
        factors = tuple(_HEADS * factor for factor in beam.width_factors)
        found[f"{label}, {_HEADS} times the beams"] = listed(replace(beam, width_factors=factors))
    return found


def _measure(day: StudyDay, lists: RankedAds, *, whole: bool = False) -> dict[str, list[float]]:
    """Measure lists cut to several lengths; `whole` does not cut them."""
    category_A = day.next_day.catalog.catalog.ads.cat_l1_A
    category_BK = np.where(lists.is_ad(), category_A[lists.rank_BK], -1)
    position_B = ad_positions(lists, day.next_day.truth_B)
    columns = {}
    for k in KS:
        cut = category_BK.shape[1] if whole else k
        hit_B = (position_B > 0) & (position_B <= cut)
        columns[f"coverage@{k}"] = covered_interests(category_BK[:, :cut], day.interests).tolist()
        columns[f"HR@{k}"] = hit_B.astype(np.float64).tolist()
    return columns


def summarize(
    results: Mapping[int, Mapping[str, Measured]],
    users: Mapping[int, npt.NDArray[np.int64]],
    several: Mapping[int, npt.NDArray[np.bool_]],
) -> dict[str, Any]:
    """Turn measured requests into the table.

    Args:
        results: Seed -> row -> metric -> values of the requests.
        users: Seed -> user of each request.
        several: Seed -> whether the user has more than one interest.

    Returns:
        Rows with intervals over users of all worlds; differences request by request, and whether
        the first row is above the second: the lower end of the interval is above 0.
    """
    seeds, bootstrap = sorted(results), pooled_bootstrap(users)
    several_B = np.concatenate([several[seed] for seed in seeds])
    counts = [len(users[seed]) for seed in seeds]

    def column(row: str, metric: str) -> npt.NDArray[np.float64]:
        name, _, only = metric.partition(" of ")
        value_B = np.concatenate([np.asarray(results[seed][row][name]) for seed in seeds])
        return np.where(several_B, value_B, np.nan) if only else value_B

    def described(value_B: npt.NDArray[np.float64]) -> dict[str, Any]:
        by_seed = means_by_seed(value_B, counts)
        return {**mean_with_interval(bootstrap, value_B), "by_seed": by_seed}

    metrics = [f"{name}@{k}" for name in ("coverage", "HR") for k in KS]
    metrics += [f"coverage@{k} of several interests" for k in KS]
    return {
        "seeds": seeds,
        "requests": counts,
        "several_interests": float(several_B.mean()),
        "rows": {
            row: {metric: described(column(row, metric)) for metric in metrics}
            for row in results[seeds[0]]
        },
        "differences": {
            f"{high} above {low}, {metric}": {**gap, "is_above": gap["low"] > 0}
            for high, low in COMPARED
            for metric in metrics
            for gap in [described(column(high, metric) - column(low, metric))]
        },
    }


def show(result: Mapping[str, Any]) -> str:
    """Lay the tables out for reading.

    Args:
        result: From `run_study`.

    Returns:
        Lines.
    """
    metrics = list(next(iter(result["rows"].values())))
    lines = [f"{'row':34}" + "".join(f"{metric[:22]:>24}" for metric in metrics)]
    lines += [
        f"{name:34}" + "".join(f"{_text(row[metric]):>24}" for metric in metrics)
        for name, row in result["rows"].items()
    ]
    lines += [
        f"{gap['is_above']!s:6} {text:84} {_text(gap, '+.3f')}"
        for text, gap in result["differences"].items()
    ]
    return "\n".join(lines)


def _text(found: Mapping[str, float], how: str = ".3f") -> str:
    """Write a mean with its interval."""
    return f"{found['mean']:{how}} [{found['low']:{how}}, {found['high']:{how}}]"


if __name__ == "__main__":
    result = run_study(Path(sys.argv[1]).resolve(), SEEDS)
    print(write_result("interests", {"passes": PASSES, **result}))  # noqa: T201
    print(show(result))  # noqa: T201
