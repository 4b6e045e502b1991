"""Training curves for the viewers that people have open: TensorBoard and DVCLive.

Both are written once, from the finished curve, into the folder of reports: event files hold wall
times, and nothing that is hashed may. The curve itself is an artifact and a DVC plot anyway, so
these copies are an extra, `pip install gpr[curves]`.
"""

import logging
import math
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

_LOGGER = logging.getLogger("gpr.curves")
_PACKAGES = ("tensorboard", "dvclive")


def write_curves(curve: pa.Table, reports: Path) -> None:
    """Write a training curve for TensorBoard and DVCLive, if they are installed.

    Args:
        curve: One row per update: `update` and numeric columns.
        reports: Folder of reports of the step; `curves/tensorboard` and `curves/dvclive` below it
            are made anew.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        _LOGGER.info(
            "no curves for TensorBoard and DVCLive: %s not installed; `pip install gpr[curves]`",
            " and ".join(missing),
        )
        return
    _write_tensorboard(curve, reports / "curves" / "tensorboard")
    _write_dvclive(curve, reports / "curves" / "dvclive")


def _write_tensorboard(curve: pa.Table, folder: Path) -> None:
    """Write one event file."""
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    # torch's writer speaks the format of the tensorboard package, which it needs.
    writer = import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
    for update, numbers in _points(curve):
        for name, number in numbers.items():
            writer.add_scalar(name, number, update)
    writer.close()


def _write_dvclive(curve: pa.Table, folder: Path) -> None:
    """Write metrics.json and one series per column."""
    live = import_module("dvclive").Live(str(folder), save_dvc_exp=False, dvcyaml=False)
    for update, numbers in _points(curve):
        live.step = update
        for name, number in numbers.items():
            live.log_metric(name, number)
    live.end()


def _points(curve: pa.Table) -> Iterator[tuple[int, dict[str, float]]]:
    """Give the finite numbers of each update; a head has no loss before its first target."""
    for row in curve.to_pylist():
        update = row.pop("update")
        yield update, {name: number for name, number in row.items() if math.isfinite(number)}
