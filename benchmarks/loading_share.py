"""What share of training goes into cutting batches.

    gpr lake fill --preset tiny --home HOME
    gpr run --home HOME --only corpus_curation
    gpr run --home HOME --only tokenization
    python -m benchmarks.loading_share HOME

Pre-trains one epoch on the artifacts of the home's day, one thread, processor time, as one share of
an update and as four. Counted as loading is everything that the loop asks of its `BatchSource`.
Writes docs/benchmarks/loading_share.json.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.record import write_result
from components.runners.workspace import workspace_of
from gpr_core.data.days import day_end_ms, parse_day
from gpr_core.models.gpr import GPR
from gpr_core.params import load_params_file
from gpr_core.support.matmul import one_torch_thread
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.batches import BatchSource, TrainBatch
from gpr_core.training.config import MtpConfig
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.inputs import load_inputs
from gpr_core.training.loop import train
from gpr_core.training.mtp import losses_of
from gpr_core.training.stages import make_task
from gpr_core.training.supervised import fit_value_scale
from gpr_core.training.totals import Totals

_SEED, _TARGET = 0, 0.05
T = TypeVar("T")


class TimedSource(BatchSource):
    """Batches, and how much processor time they took so far."""

    loading_s = 0.0

    def share(self, update: int, share: int) -> TrainBatch | None:
        """Cut one share, timed.

        Args:
            update: 0-based update.
            share: Number of the share.

        Returns:
            The share.
        """
        return self._timed(lambda: super(TimedSource, self).share(update, share))

    def totals(self, update: int) -> Totals:
        """Count an update, timed.

        Args:
            update: 0-based update.

        Returns:
            Its counts.
        """
        return self._timed(lambda: super(TimedSource, self).totals(update))

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.process_time()
        result = work()
        self.loading_s += time.process_time() - started
        return result


def measure(examples: Examples, config: MtpConfig, codebooks: tuple[int, ...]) -> dict[str, Any]:
    """Train one epoch.

    Args:
        examples: Of the day.
        config: Parameters of pre-training.
        codebooks: V of each level.

    Returns:
        Seconds, and the share of loading in all and in each quarter of the epoch.
    """
    seed_global_torch(_SEED, "benchmark", "loading")
    model = GPR(config.model, codebooks)
    fit_value_scale(model, examples)
    accumulate = config.optimizer.accumulate
    source = TimedSource(
        examples,
        config.sequence,
        config.optimizer,
        seed=_SEED,
        stage="benchmark",
        epochs=1,
        num_shares=accumulate,
    )
    task = make_task(model, source, losses_of(config), stage="benchmark", seed=_SEED)
    marks = [(time.process_time(), 0.0)]

    def after_update(update: int) -> None:
        task.after_update(update)
        marks.append((time.process_time(), source.loading_s))

    with tempfile.TemporaryDirectory() as scratch:
        train(
            replace(task, after_update=after_update),
            config.optimizer,
            scratch=Path(scratch),
            progress=Progress("loading_share"),
        )
    ends = [marks[len(marks) * quarter // 4] for quarter in range(4)] + [marks[-1]]
    parts = [
        round((ends[i + 1][1] - ends[i][1]) / (ends[i + 1][0] - ends[i][0]), 4) for i in range(4)
    ]
    training_s = marks[-1][0] - marks[0][0]
    return {
        "accumulate": accumulate,
        "updates": task.num_updates,
        "training_s": round(training_s, 2),
        "loading_s": round(source.loading_s, 2),
        "loading_share": round(source.loading_s / training_s, 4),
        "loading_share_by_quarter": parts,
    }


if __name__ == "__main__":
    home = Path(sys.argv[1]).resolve()
    params = load_params_file(home / "params.yaml")
    day = params.run.day
    artifacts = workspace_of(home, day) / "artifacts"
    mtp = params.mtp_pretrain
    inputs = load_inputs(*(artifacts / name for name in ("corpus", "tokenizer", "catalog")))
    found = build_examples(
        inputs.tables,
        inputs.catalog,
        mtp.sequence,
        num_heads=mtp.model.num_heads,
        cutoff_ts=day_end_ms(parse_day(day)),
        seed=_SEED,
    )
    sizes = inputs.catalog.trie.codebook_sizes
    with one_torch_thread():
        torch.set_deterministic_debug_mode("error")
        runs = [
            measure(found, replace(mtp, optimizer=replace(mtp.optimizer, accumulate=shares)), sizes)
            for shares in (1, 4)
        ]
    result = {
        "seeds": [_SEED],
        "day": day,
        "batch_windows": mtp.optimizer.batch_windows,
        "max_tokens": mtp.sequence.max_tokens,
        "width": mtp.model.width,
        "target": {"loading_share": _TARGET},
        "runs": runs,
    }
    print(write_result("loading_share", result))  # noqa: T201
