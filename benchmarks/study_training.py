"""What the studies of the model have in common: one training, and many jobs on two processes."""

import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch

from benchmarks.study_days import StudyDay
from gpr_core.models.gpr import GPR
from gpr_core.support.files import write_json
from gpr_core.support.logs import show_our_logs
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.config import MtpConfig
from gpr_core.training.examples import Examples
from gpr_core.training.mtp import Surroundings, pretrain

_PROCESSES = 2


class Trained(NamedTuple):
    """A pre-trained model and how it came about.

    Attributes:
        model: In evaluation mode.
        examples: What it was trained on.
        curve: Training curve.
        seconds: Wall time of the updates.
    """

    model: GPR
    examples: Examples
    curve: pa.Table
    seconds: float


def train_model(day: StudyDay, config: MtpConfig, *, study: str, label: str) -> Trained:
    """Pre-train a model from scratch on one thread.

    Args:
        day: Where it is trained, and the seed.
        config: Its parameters.
        study: Part of the stream of first weights.
        label: What progress is called.

    Returns:
        The model.
    """
    torch.set_num_threads(1)
    examples = day.examples(config.sequence, config.model.num_heads)
    seed_global_torch(day.seed, study, "init")
    model = GPR(config.model, day.codebook_sizes)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        surroundings = Surroundings(
            seed=day.seed,
            device="cpu",
            cutoff_ts=day.cutoff_ts,
            scratch=Path(scratch),
            progress=Progress(f"{label} {day.seed}"),
        )
        curve = pretrain(model, examples, config, surroundings, continues=False)
    return Trained(model, examples, curve, round(time.monotonic() - started, 1))


def run_missing(jobs: Mapping[Path, Callable[[], dict[str, Any]]]) -> None:
    """Do the jobs whose results are not there yet, two at a time.

    Args:
        jobs: File of the result -> what makes it; it has to be picklable. They start in this order.
    """
    # Forked children would inherit the thread pools of torch in an unknown state.
    with ProcessPoolExecutor(
        _PROCESSES, mp_context=get_context("spawn"), initializer=show_our_logs
    ) as pool:
        running = [
            pool.submit(_write_result, path, job) for path, job in jobs.items() if not path.exists()
        ]
        for one in running:
            one.result()


def _write_result(path: Path, job: Callable[[], dict[str, Any]]) -> None:
    """Do one job, and keep its result for a study that is continued."""
    write_json(path, job())
