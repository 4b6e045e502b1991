"""The scaling ladder: held-out loss against dense parameters, and the law that is fitted to it.

    python -m benchmarks.scaling world FOLDER
    python -m benchmarks.scaling movielens FOLDER

Trains the daily model at six sizes with the same tokens in the same order; look-up tables have the
same width at every size and are not counted. Makes the days in FOLDER, where the Table 2 study
leaves them too, and writes docs/benchmarks/scaling_SOURCE.json.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize, stats

from benchmarks.record import write_result
from benchmarks.study_days import SOURCES, StudyDay, make_days
from benchmarks.study_training import run_missing, train_model
from benchmarks.table2_rows import count_parameters
from gpr_core.models.gpr import GPR
from gpr_core.support.files import read_json
from gpr_core.support.seeding import numpy_stream
from gpr_core.training.batches import with_targets
from gpr_core.training.config import MtpConfig
from gpr_core.training.examples import Examples
from gpr_core.training.validation import gate_rows, mixture_logp

SEEDS = (0, 1, 2)
PASSES = {"world": 1, "movielens": 2}

_TABLE_WIDTH = 32
_ROWS = 256
_RESAMPLES = 1000
# Of the last training day nearly all users are held out, so that the loss rests on many requests.
_HELD_OUT_USERS = 0.95
# The rate falls with the root of the width, from that of the daily model.
_RATE_WIDTH = 64

Floats = npt.NDArray[np.float64]


class Size(NamedTuple):
    """One step of the ladder.

    Attributes:
        width: Width of the model.
        heads: Attention heads.
        hsd_layers: Blocks of the sequence-wise decoder.
        ptd_layers: Layers of thinking, and again of generation.
    """

    width: int
    heads: int
    hsd_layers: int
    ptd_layers: int


LADDER = (
    Size(12, 2, 1, 1),
    Size(16, 2, 2, 1),
    Size(24, 2, 2, 1),
    Size(32, 2, 3, 1),
    Size(48, 4, 3, 2),
    Size(96, 4, 4, 2),
)


def run_study(source: str, folder: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Run or continue the ladder.

    Args:
        source: `world` or `movielens`.
        folder: Where days and results of single trainings are kept.
        seeds: Seeds.

    Returns:
        Losses of all sizes and seeds, the rank correlation and the fitted law.
    """
    days = make_days(source, folder, seeds)
    # The largest models first: what is left at the end is short.
    run_missing(
        {
            _result(folder, source, day, size): partial(_run, day.home, day.seed, size, source)
            for size in reversed(LADDER)
            for day in days
        }
    )
    found = {
        size: [read_json(_result(folder, source, day, size)) for day in days] for size in LADDER
    }
    return {"seeds": list(seeds), **summarize(found)}


def train_size(day: StudyDay, size: Size, passes: int) -> dict[str, Any]:
    """Train one size on one day.

    Args:
        day: Where it is trained.
        size: Its sizes.
        passes: Passes over the training requests.

    Returns:
        Dense parameters, held-out loss in nats per path, requests that it rests on, and seconds.
    """
    config = size_config(day.params.mtp_pretrain, size, passes)
    trained = train_model(day, config, study="scaling", label=f"width {size.width} seed")
    loss_M = held_out_loss(trained.model, trained.examples, config.sequence.max_tokens)
    return {
        **count_parameters(config.model, day.codebook_sizes)._asdict(),
        "loss": float(loss_M.mean()),
        "requests": len(loss_M),
        "train_seconds": trained.seconds,
    }


def size_config(default: MtpConfig, size: Size, passes: int) -> MtpConfig:
    """Give the parameters of one training.

    Args:
        default: The daily model.
        size: Sizes.
        passes: Passes over the training requests.

    Returns:
        The parameters; everything but sizes and learning rate is the same at every size.
    """
    rate = default.optimizer.learning_rate * (_RATE_WIDTH / size.width) ** 0.5
    return replace(
        default,
        model=replace(
            default.model,
            width=size.width,
            table_width=_TABLE_WIDTH,
            attention_heads=size.heads,
            hsd_layers=size.hsd_layers,
            ptd_layers=size.ptd_layers,
        ),
        optimizer=replace(default.optimizer, learning_rate=rate),
        sequence=replace(default.sequence, gate_user_share=_HELD_OUT_USERS),
        epochs=passes,
    )


@torch.no_grad()
def held_out_loss(model: GPR, examples: Examples, max_tokens: int) -> Floats:
    """Score the exposed ad of every held-out request of the last training day.

    Args:
        model: In evaluation mode.
        examples: All decisions.
        max_tokens: Longest sequence.

    Returns:
        [M] float64, nats per path, over the ads that were active.
    """
    rows, losses = gate_rows(examples), []
    for at in range(0, rows.size, _ROWS):
        chunk = rows[at : at + _ROWS]
        timeline = examples.store.prefix_batch(examples.context.request_key[chunk], max_tokens)
        batch = with_targets(examples, timeline, chunk)
        losses.append(-mixture_logp(model, model.read(batch.timeline), batch).double().numpy())
    return np.concatenate(losses)


def summarize(found: Mapping[Size, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Fit loss = a + b N^-c, and say whether the loss falls with every size.

    Args:
        found: Size -> one result per seed.

    Returns:
        Rows, Spearman correlation of size and mean loss, and the law with 95 % intervals from
        resampled residuals.
    """
    dense_S = np.array([runs[0]["dense"] for runs in found.values()], dtype=np.float64)
    loss_SR = np.array([[run["loss"] for run in runs] for runs in found.values()])
    law = fit_law(dense_S, loss_SR.mean(axis=1))
    fitted_S = law[0] + law[1] * dense_S ** -law[2]
    # The seeds of a world differ in level; what is resampled is what remains beside that.
    centred_SR = loss_SR - loss_SR.mean(axis=0) + loss_SR.mean()
    residual_SR = centred_SR - fitted_S[:, None]
    stream = numpy_stream(0, "scaling", "resamples")
    draws = np.array(
        [
            fit_law(
                dense_S,
                fitted_S + stream.choice(residual_SR.ravel(), size=residual_SR.shape).mean(axis=1),
            )
            for _ in range(_RESAMPLES)
        ]
    )
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    spearman = float(stats.spearmanr(dense_S, loss_SR.mean(axis=1)).statistic)
    return {
        "rows": [
            {
                **size._asdict(),
                "dense": int(dense),
                "losses": losses.tolist(),
                "mean": float(losses.mean()),
                "train_seconds": [run["train_seconds"] for run in found[size]],
            }
            for size, dense, losses in zip(found, dense_S, loss_SR, strict=True)
        ],
        "requests": [run["requests"] for run in next(iter(found.values()))],
        "spearman": spearman,
        "falls_with_size": spearman <= -0.9,
        "law": {
            name: {"value": float(value), "low": float(lowest), "high": float(highest)}
            for name, value, lowest, highest in zip(("a", "b", "c"), law, low, high, strict=True)
        },
    }


def fit_law(dense_S: Floats, loss_S: Floats) -> Floats:
    """Fit loss = a + b N^-c by least squares.

    Args:
        dense_S: [S] dense parameters N.
        loss_S: [S] losses.

    Returns:
        a, b and c; c in [0.01, 2].
    """

    def misfit(c: float) -> tuple[float, Floats]:
        design_S2 = np.stack([np.ones_like(dense_S), dense_S**-c], axis=1)
        ab, *_ = np.linalg.lstsq(design_S2, loss_S, rcond=None)
        return float(np.square(design_S2 @ ab - loss_S).sum()), ab

    best = optimize.minimize_scalar(lambda c: misfit(c)[0], bounds=(0.01, 2.0), method="bounded")
    return np.array([*misfit(best.x)[1], best.x])


def _run(home: Path, seed: int, size: Size, source: str) -> dict[str, Any]:
    """Train one size in a process of its own."""
    return train_size(StudyDay(home, seed), size, PASSES[source])


def _result(folder: Path, source: str, day: StudyDay, size: Size) -> Path:
    """Name the file of one training."""
    return folder / "scaling" / source / f"{day.seed}_{size.width}.json"


if __name__ == "__main__":
    source, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    if source not in SOURCES:
        sys.exit(f"found {source!r}, expected one of {SOURCES}")
    result = {"source": source, "passes": PASSES[source], **run_study(source, folder, SEEDS)}
    print(write_result(f"scaling_{source}", result))  # noqa: T201
    for row in result["rows"]:
        print(f"{row['dense']:>10,}  {row['mean']:.4f}  {row['losses']}")  # noqa: T201
    print(result["spearman"], result["law"])  # noqa: T201
