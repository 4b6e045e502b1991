"""Step 8: try the bundle, publish it as an immutable version, make it the champion."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from components.model_push.bundle import stage_bundle
from components.model_push.model_card import model_card
from components.runtime.context import GateResult, StepContext, StepResult
from components.runtime.model_store import (
    ModelStore,
    bundle_version,
    content_hash,
    day_of_version,
    seal_bundle,
)
from gpr_core.evaluation.config import PromotionConfig
from gpr_core.support.files import read_json, write_json, write_text

PARAMS = PromotionConfig

_CODE_ROOT = Path(__file__).resolve().parents[2]
_BOUND_ARTIFACTS = {
    "policy_hash": "hepo_checkpoint",
    "tokenizer_hash": "tokenizer",
    "catalog_hash": "catalog",
}


def run(context: StepContext[PromotionConfig]) -> StepResult:
    """Push the policy, if and only if every gate passes.

    The registry is touched last: a refused push leaves it as it was.

    Args:
        context: Inputs, registry and parameters.

    Returns:
        Metrics and the three gates.
    """
    store = ModelStore(context.registry)
    verdict = read_json(context.inputs["evaluation"] / "verdict.json")
    bundle = context.scratch / "bundle"
    context.progress.phase("stage the bundle")
    stage_bundle(context.inputs, bundle)
    version = bundle_version(bundle, context.day)
    metrics = read_json(context.inputs["evaluation"] / "metrics.json")
    card = model_card(version, context.day.isoformat(), bundle, metrics)
    write_text(bundle / "model_card.md", card)
    seal_bundle(bundle, context.day)

    gates = (
        _verdict_allows(verdict, store, context.day),
        _verdict_is_of_these_bytes(verdict, context.inputs),
        _smoke_test(context, bundle),
    )
    if all(gate.passed for gate in gates):
        context.progress.phase(f"publish {version}")
        store.publish(bundle, version)
        previous = store.promote(version)
        receipt = {"version": version, "verdict": verdict, "alias": "champion"}
        write_json(context.outputs["push"] / "receipt.json", {**receipt, "previous": previous})
    shutil.rmtree(bundle)
    return StepResult(metrics={"pushed": float(all(gate.passed for gate in gates))}, gates=gates)


def _verdict_allows(verdict: dict[str, Any], store: ModelStore, day: date) -> GateResult:
    """The verdict must promote, and must have compared with what serves now."""
    promoted, compared, serves = bool(verdict["promote"]), verdict["champion"], store.champion()
    is_later = serves is not None and day_of_version(serves) > day.isoformat()
    is_current = compared == store.champion_before(day) and not is_later
    if not promoted:
        message = "the verdict does not promote: " + "; ".join(verdict["reasons"])
    elif is_later:
        message = f"{serves}, which serves, is of a later day than {day}: nothing to promote"
    elif not is_current:
        message = (
            f"the verdict compared with champion {compared}, but {serves} serves: "
            "run the day again from a new workspace"
        )
    else:
        message = "the verdict promotes this policy over the champion that serves"
    return GateResult(
        name="verdict_allows",
        passed=promoted and is_current,
        value=float(promoted),
        bound=1.0,
        message=message,
    )


def _verdict_is_of_these_bytes(verdict: dict[str, Any], inputs: Mapping[str, Path]) -> GateResult:
    """The verdict must name the hashes of the artifacts that would be pushed."""
    other = [
        artifact
        for key, artifact in _BOUND_ARTIFACTS.items()
        if verdict.get(key) != content_hash(inputs[artifact])
    ]
    message = "the verdict was given to these bytes"
    if other:
        message = f"the verdict was given to other bytes of {', '.join(other)}: evaluate again"
    return GateResult(
        name="verdict_is_of_these_bytes",
        passed=not other,
        value=float(len(other)),
        bound=0.0,
        message=message,
    )


def _smoke_test(context: StepContext[PromotionConfig], bundle: Path) -> GateResult:
    """A fresh process must load the bundle and answer legally and in time."""
    params = context.params
    command = [
        *(sys.executable, "-m", "components.model_push.smoke", str(bundle.resolve())),
        *("--requests", str(params.smoke_requests)),
        *("--candidates", str(params.smoke_candidates)),
    ]
    context.progress.phase(f"answer {params.smoke_requests} smoke requests in a fresh process")
    problems = _run_smoke(command, params, context.reports)
    return GateResult(
        name="smoke_test",
        passed=not problems,
        value=float(len(problems)),
        bound=0.0,
        message="; ".join(problems) or "a fresh process answered every smoke request legally",
    )


def _run_smoke(command: list[str], params: PromotionConfig, reports: Path) -> list[str]:
    """Run the fresh process and say what is wrong with its answers."""
    try:
        finished = subprocess.run(  # noqa: S603 - our own interpreter and module
            command,
            cwd=_CODE_ROOT,
            capture_output=True,
            text=True,
            timeout=params.smoke_timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [f"the fresh process gave no answer within {params.smoke_timeout_s:g} s"]
    if finished.returncode != 0:
        last = finished.stderr.strip().splitlines()[-1:] or ["no message"]
        return [f"the fresh process ended with code {finished.returncode}: {last[0]}"]
    return _smoke_problems(json.loads(finished.stdout), params, reports)


def _smoke_problems(found: dict[str, float], params: PromotionConfig, reports: Path) -> list[str]:
    """Say what is wrong with the answers of the fresh process."""
    # Times differ from run to run, so they go to the unversioned reports only.
    write_json(reports / "smoke.json", found)
    problems = []
    if found["answered"] != found["servable"] or found["servable"] == 0:
        problems.append(f"{found['answered']} of {found['servable']} servable requests answered")
    for name in ("illegal", "repeated"):
        if found[name]:
            problems.append(f"{found[name]} {name} ads")
    if found["latency_p95_ms"] > params.latency_budget_ms:
        problems.append(
            f"95 % of requests took up to {found['latency_p95_ms']:.0f} ms, "
            f"the budget is {params.latency_budget_ms:.0f} ms"
        )
    return problems
