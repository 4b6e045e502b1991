"""One study: every method on one data set under one protocol, with intervals.

Letters: B users that are evaluated, S seeds.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import NamedTuple, cast

import numpy as np
import torch

from gpr_core.evaluation.intervals import Interval, UserBootstrap
from gpr_core.sequential.methods import FLOORS, TRAINED, Problem
from gpr_core.sequential.ranking import ranking_metrics, target_ranks
from gpr_core.sequential.sequences import Ints
from gpr_core.support.logs import show_our_logs
from gpr_core.support.progress import Progress


class Outcome(NamedTuple):
    """One row of the table with one seed.

    Attributes:
        row: Its name.
        seed: Run seed.
        rank_B: [B] int64, place of each test item; 0 is the first.
        num_parameters: Numbers that were trained.
        best_epoch: Pass that was kept; 0 for floors.
        seconds: Wall time of training and ranking.
    """

    row: str
    seed: int
    rank_B: Ints
    num_parameters: int
    best_epoch: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table over all its seeds.

    Attributes:
        name: Its name.
        is_trained: False for floors.
        metrics: Metric -> mean over seeds with the interval over users.
        by_seed: Metric -> value of each seed.
        outcomes: What the row is made from.
    """

    name: str
    is_trained: bool
    metrics: dict[str, Interval]
    by_seed: dict[str, list[float]]
    outcomes: list[Outcome]


def run_study(
    problem: Problem, seeds: Sequence[int], methods: Sequence[str], *, processes: int
) -> Iterator[list[Row]]:
    """Train and evaluate.

    Each method runs in one thread, so its result does not depend on `processes`. The methods that
    were named last start first: those of `TRAINED` take the longest there.

    Args:
        problem: The data set and what is known of its items.
        seeds: Run seeds of the trained methods; floors have none.
        methods: Names of trained methods, from `TRAINED`.
        processes: How many are trained at the same time, >= 1.

    Yields:
        list[Row]: The rows that are finished, first the floors, then again whenever a method is:
        floors, then methods in the order asked for, with the seeds that are done.
    """
    bootstrap = UserBootstrap(np.arange(len(problem.sequences.test.target_B)), seed=0)
    floors = [one for name in FLOORS for one in run_method(problem, name, 0)]
    yield _rows(floors, bootstrap)
    jobs = [(name, seed) for name in methods for seed in seeds]
    # Forked children would inherit the thread pools of torch in an unknown state.
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=show_our_logs
    ) as pool:
        running = {job: pool.submit(run_method, problem, *job) for job in reversed(jobs)}
        for _ in as_completed(running.values()):
            done = [running[job] for job in jobs if running[job].done()]
            yield _rows([*floors, *(one for job in done for one in job.result())], bootstrap)


def _rows(outcomes: list[Outcome], bootstrap: UserBootstrap) -> list[Row]:
    """Put the seeds of each row together."""
    names = dict.fromkeys(outcome.row for outcome in outcomes)
    return [summarize([one for one in outcomes if one.row == name], bootstrap) for name in names]


def run_method(problem: Problem, name: str, seed: int) -> list[Outcome]:
    """Train one method with one seed and rank the test items.

    Args:
        problem: The data set and what is known of its items.
        name: From `FLOORS` or `TRAINED`.
        seed: Run seed.

    Returns:
        One outcome for each row that the method makes.
    """
    torch.set_num_threads(1)
    started = time.monotonic()
    method = FLOORS.get(name) or TRAINED[name]
    fitted = method(problem, seed, Progress(f"{name} seed {seed}"))
    ranks = {
        row: target_ranks(ranker, problem.sequences.test) for row, ranker in fitted.rankers.items()
    }
    seconds = time.monotonic() - started
    epoch = fitted.fit.best_epoch if fitted.fit else 0
    return [
        Outcome(row, seed, rank_B, fitted.num_parameters, epoch, seconds)
        for row, rank_B in ranks.items()
    ]


def summarize(outcomes: list[Outcome], bootstrap: UserBootstrap) -> Row:
    """Average over seeds, then resample users.

    The interval says what other users would change, not what other seeds would: that is in
    `by_seed`.

    Args:
        outcomes: One row of all seeds, in the order of the seeds.
        bootstrap: Resamples the users.

    Returns:
        The row.
    """
    per_seed = [ranking_metrics(outcome.rank_B) for outcome in outcomes]
    metrics, by_seed = {}, {}
    for metric in per_seed[0]:
        value_SB = np.stack([values[metric] for values in per_seed])
        # No value is missing, so there is an interval.
        metrics[metric] = cast("Interval", bootstrap.interval(value_SB.mean(axis=0)))
        by_seed[metric] = value_SB.mean(axis=1).tolist()
    name = outcomes[0].row
    return Row(name, outcomes[0].num_parameters > 0, metrics, by_seed, outcomes)
