"""Value of what decoders find at equal cost: value-guided, plain trie beam, post-filter.

    python -m benchmarks.decoding_quality FOLDER

Makes three synthetic worlds in FOLDER (what is there is kept) and lets the fine-tuned policy of
each day list ads for the requests of the next day, by every decoder, with several widths. Decoders
are compared at the number of prefixes that the policy evaluates; what is wider is never the
value-guided one. Writes docs/benchmarks/decoding_quality.json.

Letters: B requests, A ads by rank, K places of a list, M metrics.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.decoding_methods import DayDecoders, Listed, Scored, Setting
from benchmarks.pooled_users import ends, mean_with_interval, means_by_seed, pooled_bootstrap
from benchmarks.record import write_result
from benchmarks.study_days import StudyDay, make_days
from gpr_core.evaluation.intervals import UserBootstrap
from gpr_core.evaluation.next_day import NextDay, illegal_by_rules
from gpr_core.evaluation.ranked_ads import RankedAds, check_distinct
from gpr_core.evaluation.worth import PairWorth, simulated_worth, true_worth, wanted_pairs
from gpr_core.support.logs import show_our_logs
from gpr_core.world.oracle import Oracle

SEEDS = (0, 1, 2)
SETTINGS = (
    Setting(5, (1.0, 1.0, 1.0)),
    Setting(10, (1.0, 1.0, 1.0)),
    Setting(10, (2.0, 4.0, 4.0)),
)

_EXACT, _RANDOM, _BEST = "exact_by_predicted_value", "random", "best_by_truth"
COMPARED = (
    ("value_guided", "plain_trie"),
    ("value_guided", "plain_trie_values_all_leaves"),
    ("value_guided", "plain_trie_pays_for_values"),
    ("plain_trie", "post_filter"),
    ("plain_trie", "post_filter_longer_list"),
)
REPORTED = (
    ("value_guided_at_load_0", "value_guided"),
    ("value_guided_at_load_0.5", "value_guided"),
    ("value_guided", "value_guided_equal_widths"),
)
HEADLINES = ("true_mean", "true_max")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Measured(NamedTuple):
    """One method on one world.

    Attributes:
        columns: Metric -> [B] float64.
        evaluated: Rows that the policy was asked about for a request; empty for none.
        widths: Beams per level and head; empty without beams.
        illegal: Listed ads that may not serve.
    """

    columns: Mapping[str, Floats]
    evaluated: Mapping[str, float]
    widths: tuple[int, ...]
    illegal: int


Found = Mapping[str, Mapping[str, Measured]]
"""Setting -> method -> what was measured."""


def run_study(folder: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Make the worlds that are not there, and judge all decoders on them.

    Args:
        folder: Where worlds are kept.
        seeds: One world each.

    Returns:
        The tables with intervals, and the orders that are asserted.
    """
    days = make_days("world", folder, seeds)
    torch.set_num_threads(1)
    found, users = {}, {}
    for day in days:
        found[day.seed] = measure_world(day, SETTINGS)
        users[day.seed] = day.next_day.column("user_key")
    catalogs = {
        "ads": [day.next_day.catalog.catalog.trie.num_ads for day in days],
        "eligible_ads": [float(day.next_day.eligible_BA.sum(axis=1).mean()) for day in days],
    }
    return {**catalogs, **summarize(found, users)}


def measure_world(day: StudyDay, settings: Sequence[Setting]) -> Found:
    """List ads by all methods, and value what they list.

    Args:
        day: A world.
        settings: Lengths of lists and widths.

    Returns:
        What was measured.
    """
    decoders, next_day = DayDecoders(day), day.next_day
    predicted = decoders.predicted_values()
    true_pairs = _true_values(next_day, Oracle(day.oracle))
    limits = {_EXACT: predicted, _BEST: Scored(_matrix(next_day, true_pairs))}
    listed = {setting.name: decoders.list_all(setting, limits) for setting in settings}
    ranks = [one.ads.rank_BK for by_method in listed.values() for one in by_method.values()]
    simulated = simulated_worth(next_day, wanted_pairs(ranks, next_day.eligible_BA.shape[1]))

    def measure(name: str, one: Listed) -> Measured:
        check_distinct(name, one.ads)
        rank_BK = one.ads.rank_BK
        predicted_BK = np.take_along_axis(predicted.score_BA, np.maximum(rank_BK, 0), axis=1)
        columns = list_columns(
            one.ads,
            {
                "true": true_pairs.of(rank_BK).final_value,
                "simulated": simulated.of(rank_BK).final_value,
                "predicted": predicted_BK,
            },
        )
        row, place = np.nonzero(one.ads.is_ad())
        illegal = int(illegal_by_rules(next_day, row, rank_BK[row, place]).sum())
        evaluated = one.evaluated.per_request(len(rank_BK)) if one.evaluated else {}
        return Measured(columns, evaluated, one.widths, illegal)

    return {
        setting: {name: measure(name, one) for name, one in by_method.items()}
        for setting, by_method in listed.items()
    }


def list_columns(ads: RankedAds, values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Value the list of each request; an empty place is worth 0.

    Args:
        ads: [B, K] lists.
        values: Who says it -> [B, K] float64 final values; ignored at empty places.

    Returns:
        Metric -> [B] float64: mean over the K places and best listed ad (0 without any), by each
        value; ads listed; 1 where they are fewer than K.
    """
    is_ad_BK = ads.is_ad()
    count_B = is_ad_BK.sum(axis=1)
    places = is_ad_BK.shape[1]
    columns = {
        "listed": count_B.astype(np.float64),
        "short": (count_B < places).astype(np.float64),
    }
    for name, value_BK in values.items():
        columns[f"{name}_mean"] = np.where(is_ad_BK, value_BK, 0.0).sum(axis=1) / places
        best_B = np.where(is_ad_BK, value_BK, -np.inf).max(axis=1)
        columns[f"{name}_max"] = np.where(count_B > 0, best_B, 0.0)
    return columns


def summarize(found: Mapping[int, Found], users: Mapping[int, Ints]) -> dict[str, Any]:
    """Turn what was measured into tables.

    Args:
        found: Seed -> what was measured.
        users: Seed -> user of each request; users of two worlds are never the same person.

    Returns:
        Rows of every setting, paired differences, and whether the asserted orders hold: the lower
        end of the interval over users of all worlds is above 0.
    """
    seeds = sorted(found)
    counts = [len(users[seed]) for seed in seeds]
    table = _Table(pooled_bootstrap(users), [found[seed] for seed in seeds], counts)
    settings = {}
    asserted = {}
    for setting in found[seeds[0]]:
        differences = {
            f"{high} above {low}": {
                metric: table.difference(setting, high, low, metric)
                for metric in (*HEADLINES, "simulated_mean", "simulated_max")
            }
            for high, low in (*COMPARED, *REPORTED)
        }
        settings[setting] = {"rows": table.rows(setting), "differences": differences}
        for high, low in COMPARED:
            for metric in HEADLINES:
                gap = differences[f"{high} above {low}"][metric]
                asserted[f"{setting}: {high} above {low}, {metric}"] = {
                    **gap,
                    "holds": gap["low"] > 0,
                }
    return {"seeds": seeds, "requests": counts, "settings": settings, "asserted": asserted}


class _Table:
    """Results of all worlds side by side."""

    def __init__(
        self, bootstrap: UserBootstrap, worlds: Sequence[Found], counts: Sequence[int]
    ) -> None:
        self._bootstrap, self._worlds, self._counts = bootstrap, worlds, counts

    def rows(self, setting: str) -> dict[str, Any]:
        """Describe all methods of a setting."""
        rows = {}
        for method in self._worlds[0][setting]:
            parts = [world[setting][method] for world in self._worlds]
            listed = sum(float(part.columns["listed"].sum()) for part in parts)
            rows[method] = {
                "widths": [list(part.widths) for part in parts],
                "evaluated": {
                    name: float(
                        np.average([p.evaluated[name] for p in parts], weights=self._counts)
                    )
                    for name in parts[0].evaluated
                },
                "legal_share": 1 - sum(part.illegal for part in parts) / max(listed, 1.0),
                **{
                    metric: self._mean(self._column(setting, method, metric))
                    for metric in parts[0].columns
                },
                "share_of_exact": {
                    metric: self._share_of_exact(setting, method, metric)
                    for metric in ("predicted_mean", "true_mean")
                },
            }
        return rows

    def difference(self, setting: str, high: str, low: str, metric: str) -> dict[str, Any]:
        """Compare two methods request by request."""
        high_B, low_B = (self._column(setting, method, metric) for method in (high, low))
        return self._mean(high_B - low_B)

    def _column(self, setting: str, method: str, metric: str) -> Floats:
        """Join the worlds."""
        return np.concatenate([world[setting][method].columns[metric] for world in self._worlds])

    def _mean(self, value_B: Floats) -> dict[str, Any]:
        """Mean with its interval, and by world."""
        by_seed = means_by_seed(value_B, self._counts)
        return {**mean_with_interval(self._bootstrap, value_B), "by_seed": by_seed}

    def _share_of_exact(self, setting: str, method: str, metric: str) -> dict[str, float]:
        """Place a method between random ads (0) and the best by the model's own values (1)."""
        names = (method, _RANDOM, _EXACT)
        value_BM = np.stack([self._column(setting, name, metric) for name in names], axis=1)
        draws = self._bootstrap.draws(value_BM)
        share, share_S = (
            (mean[..., 0] - mean[..., 1]) / (mean[..., 2] - mean[..., 1])
            for mean in (draws.mean_M, draws.draw_SM)
        )
        return ends(self._bootstrap.summarize(float(share), share_S, len(value_BM)))


def _true_values(day: NextDay, oracle: Oracle) -> PairWorth:
    """Ask the truth about all eligible ads."""
    return true_worth(day, oracle, np.flatnonzero(day.eligible_BA), candidates=1).pairs


def _matrix(day: NextDay, pairs: PairWorth) -> Floats:
    """Lay final values out, [B, A]; -inf where nobody asked."""
    value_BA = np.full(day.eligible_BA.shape, -np.inf)
    value_BA.ravel()[pairs.pair_M] = pairs.final_value_M
    return value_BA


def show(result: Mapping[str, Any]) -> str:
    """Lay the tables out for reading.

    Args:
        result: From `run_study`.

    Returns:
        Lines.
    """
    lines = []
    for setting, found in result["settings"].items():
        lines.append(
            f"{setting:32} {'prefixes':>9} {'MFLOP':>6} {'ads':>6} {'mean FV*':>24} "
            f"{'max FV*':>24} "
            f"{'sim':>6} {'max':>6} {'share':>6} {'true':>6} {'listed':>6} {'short':>6} "
            f"{'legal':>6}"
        )
        for name, row in found["rows"].items():
            evaluated = row["evaluated"]
            lines.append(
                f"{name:32} {evaluated.get('prefixes', 0):>9.1f} "
                f"{evaluated.get('megaflop', 0):>6.2f} "
                f"{evaluated.get('valued_ads', 0):>6.0f} {_text(row['true_mean']):>24} "
                f"{_text(row['true_max']):>24} {row['simulated_mean']['mean']:>6.2f} "
                f"{row['simulated_max']['mean']:>6.2f} "
                f"{row['share_of_exact']['predicted_mean']['mean']:>6.3f} "
                f"{row['share_of_exact']['true_mean']['mean']:>6.3f} "
                f"{row['listed']['mean']:>6.2f} {row['short']['mean']:>6.3f} "
                f"{row['legal_share']:>6.3f}"
            )
    lines += [
        f"{claim['holds']!s:6} {_text(claim)} {text}" for text, claim in result["asserted"].items()
    ]
    return "\n".join(lines)


def _text(found: Mapping[str, float]) -> str:
    """Write a mean with its interval."""
    return f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


if __name__ == "__main__":
    show_our_logs()
    result = run_study(Path(sys.argv[1]).resolve(), SEEDS)
    print(write_result("decoding_quality", result))  # noqa: T201
    print(show(result))  # noqa: T201
