"""One study: every method on one data set under one protocol, with intervals.

Letters: B users that are evaluated, S seeds.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import NamedTuple, cast

import numpy as np
import torch

from gpr_core.evaluation.intervals import Interval, UserBootstrap
from gpr_core.sequential.methods import FLOORS, TRAINED
from gpr_core.sequential.ranking import ranking_metrics, target_ranks
from gpr_core.sequential.sequences import Ints, SequenceData
from gpr_core.support.progress import Progress


class Outcome(NamedTuple):
    """One method trained with one seed.

    Attributes:
        method: Its name.
        seed: Run seed.
        rank_B: [B] int64, place of each test item; 0 is the first.
        num_parameters: Numbers that were trained.
        best_epoch: Pass that was kept; 0 for floors.
        seconds: Wall time of training and ranking.
    """

    method: str
    seed: int
    rank_B: Ints
    num_parameters: int
    best_epoch: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """One method over all its seeds.

    Attributes:
        method: Its name.
        is_trained: False for floors.
        metrics: Metric -> mean over seeds with the interval over users.
        by_seed: Metric -> value of each seed.
        outcomes: What the row is made from.
    """

    method: str
    is_trained: bool
    metrics: dict[str, Interval]
    by_seed: dict[str, list[float]]
    outcomes: list[Outcome]


def run_study(
    data: SequenceData, seeds: Sequence[int], methods: Sequence[str], *, processes: int
) -> list[Row]:
    """Train and evaluate.

    Each method runs in one thread, so its result does not depend on `processes`.

    Args:
        data: The data set.
        seeds: Run seeds of the trained methods; floors have none.
        methods: Names of trained methods, from `TRAINED`.
        processes: How many are trained at the same time, >= 1.

    Returns:
        Floors, then the methods in the order asked for.
    """
    outcomes = [_run_one(data, name, 0) for name in FLOORS]
    jobs = [(name, seed) for seed in seeds for name in methods]
    # Forked children would inherit the thread pools of torch in an unknown state.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_run_one, data, name, seed) for name, seed in jobs]
        outcomes += [job.result() for job in running]
    names = [*FLOORS, *methods]
    bootstrap = UserBootstrap(np.arange(len(data.test.target_B)), seed=0)
    return [
        _row(name, [one for one in outcomes if one.method == name], bootstrap) for name in names
    ]


def _run_one(data: SequenceData, name: str, seed: int) -> Outcome:
    """Train one method with one seed and rank the test items."""
    torch.set_num_threads(1)
    started = time.monotonic()
    method = FLOORS.get(name) or TRAINED[name]
    fitted = method(data, seed, Progress(f"{name} seed {seed}"))
    rank_B = target_ranks(fitted.ranker, data.test)
    return Outcome(
        method=name,
        seed=seed,
        rank_B=rank_B,
        num_parameters=fitted.num_parameters,
        best_epoch=fitted.fit.best_epoch if fitted.fit else 0,
        seconds=time.monotonic() - started,
    )


def _row(name: str, outcomes: list[Outcome], bootstrap: UserBootstrap) -> Row:
    """Average over seeds, then resample users."""
    per_seed = [ranking_metrics(outcome.rank_B) for outcome in outcomes]
    metrics, by_seed = {}, {}
    for metric in per_seed[0]:
        value_SB = np.stack([values[metric] for values in per_seed])
        # No value is missing, so there is an interval.
        metrics[metric] = cast("Interval", bootstrap.interval(value_SB.mean(axis=0)))
        by_seed[metric] = value_SB.mean(axis=1).tolist()
    return Row(name, name in TRAINED, metrics, by_seed, outcomes)
