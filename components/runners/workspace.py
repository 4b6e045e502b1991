"""One workspace per day: parameters, code snapshot, dvc.yaml, lock and artifacts.

Lake, oracle, registry, DVC cache and default remote are shared by all days of a home; the workspace
`<home>/runs/<day>/` is not: two days never touch each other's files.
"""

import logging
import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from components.pipeline.paths import CODE_ROOT
from components.pipeline.registry import STEPS
from components.runners.dvc_runner import render_dvc_yaml
from components.runtime.model_store import ModelStore
from components.runtime.step_spec import StepSpec
from gpr_core.data.days import parse_day
from gpr_core.params import Params, load_params_file, render_params
from gpr_core.support.files import write_text
from gpr_core.tokenizer.drift import TokenizerLife

_LOGGER = logging.getLogger("gpr.workspace")

_DVC_CONFIG = """[core]
    no_scm = true
    analytics = false
    check_update = false
    remote = local
[cache]
    dir = ../../../cache
['remote "local"']
    url = ../../../remote
"""
_DVC_IGNORE = "__pycache__/\n*.pyc\n"


def workspace_of(home: Path, day: str) -> Path:
    """Name the workspace of a day.

    Args:
        home: Folder that all days share.
        day: Training day, ISO.

    Returns:
        The folder, whether or not it exists.
    """
    return home / "runs" / day


def prepare_workspace(
    home: Path, params: Params, steps: Sequence[StepSpec] = STEPS, *, given: Collection[str] = ()
) -> Path:
    """Make or refresh the workspace of a day.

    The champion is pinned when the workspace is first made: a push during the run must not change
    what its own steps started from. It is the latest of an earlier day, so that a day that is
    caught up on does not start from a model of its own future. Whether its tokenizer is due to be
    refitted is decided at the same moment.

    Args:
        home: Folder that all days share.
        params: Parameters; the paths of the run section are set here.
        steps: The registry.
        given: `run.champion`, `run.refit` or both: taken from the parameters instead of chosen.

    Returns:
        The workspace.
    """
    workspace = workspace_of(home, params.run.day)
    workspace.mkdir(parents=True, exist_ok=True)
    champion, refit = _pinned(home, params)
    run = replace(
        params.run,
        lake="../../lake",
        oracle="../../oracle",
        registry="../../registry",
        champion=params.run.champion if "run.champion" in given else champion,
        refit=params.run.refit if "run.refit" in given else refit,
    )
    _write_if_changed(workspace / "params.yaml", render_params(replace(params, run=run)))
    _write_if_changed(workspace / "dvc.yaml", render_dvc_yaml(steps))
    _write_if_changed(workspace / ".dvcignore", _DVC_IGNORE)
    _write_if_changed(workspace / ".dvc" / "config", _DVC_CONFIG)
    for path in sorted({path for spec in steps for path in spec.code}):
        _copy_code(CODE_ROOT / path, workspace / path)
    return workspace


def _pinned(home: Path, params: Params) -> tuple[str | None, bool]:
    """Keep the champion and the refit that the day began with, or choose them now."""
    path = workspace_of(home, params.run.day) / "params.yaml"
    if path.exists():
        pinned = load_params_file(path).run
        return pinned.champion, pinned.refit
    store, day = ModelStore(home / "registry"), parse_day(params.run.day)
    champion = store.champion_before(day)
    if champion is None:
        return None, False
    life = TokenizerLife.load(store.path(champion) / "tokenizer")
    reasons = life.reasons_to_refit(params.tokenization.refit, day)
    for reason in reasons:
        _LOGGER.info("refit  %s", reason)
    return champion, bool(reasons)


def _write_if_changed(path: Path, text: str) -> None:
    """Write a file only if its content differs."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _copy_code(source: Path, target: Path) -> None:
    """Mirror one code path; DVC compares contents, so an unchanged copy changes nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        _write_if_changed(target, source.read_text(encoding="utf-8"))
        return
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
