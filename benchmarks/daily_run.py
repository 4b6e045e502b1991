"""One day of the pipeline on two cores: seconds a step, and the metrics with intervals and floors.

    python -m benchmarks.daily_run SOURCE [PRESET]

Fills a lake in a temporary folder, runs all eight steps and writes
docs/benchmarks/daily_run_SOURCE_PRESET.json.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import write_result
from components.pipeline.paths import StepPaths
from components.pipeline.registry import STEPS
from components.runners.workspace import workspace_of
from gpr_core.evaluation.metrics import METHODS
from gpr_core.params import load_params_file
from gpr_core.support.files import read_json

_GPR = str(Path(sys.executable).with_name("gpr"))
_METRICS = (
    "HR_ad@10",
    "no_repeat_HR_ad@10",
    "ndcg",
    "opr",
    "final_value_mean",
    "final_value_max",
    "true_value_mean",
    "oracle_efficiency",
)


def run_day(home: Path, source: str, preset: str) -> dict[str, Any]:
    """Fill a lake and run one day.

    Args:
        home: Empty folder.
        source: `world` or `movielens`.
        preset: Name of a preset.

    Returns:
        Seconds per step, and metrics of all methods with their intervals.
    """
    fill = [_GPR, "lake", "fill", f"--source={source}", f"--preset={preset}", f"--home={home}"]
    subprocess.run(fill, check=True)  # noqa: S603
    started = time.monotonic()
    done = subprocess.run([_GPR, "run", f"--home={home}"], check=False)  # noqa: S603
    pipeline_s = time.monotonic() - started
    params = load_params_file(home / "params.yaml")
    workspace = workspace_of(home, params.run.day)
    steps = {}
    for spec in STEPS:
        record = read_json(StepPaths.in_workspace(spec, workspace).status)
        steps[spec.name] = round(sum(record.get("timings", {}).values()), 2)
    evaluation = workspace / "artifacts" / "evaluation"
    values = read_json(evaluation / "metrics.json")
    verdict = read_json(evaluation / "verdict.json")
    return {
        "source": source,
        "preset": preset,
        "day": params.run.day,
        "seeds": {"run": [params.run.seed], "world": [params.world.seed]},
        "exit_code": done.returncode,
        "pipeline_s": round(pipeline_s, 1),
        "target_s": 360,
        "step_s": steps,
        "verdict": {"promote": verdict["promote"], "reasons": verdict["reasons"]},
        "metrics": {
            method.key: {
                name: values[key] for name in _METRICS if (key := f"{method.key}/{name}") in values
            }
            for method in METHODS
        },
    }


if __name__ == "__main__":
    chosen = sys.argv[1]
    size = sys.argv[2] if len(sys.argv) > 2 else "tiny"
    with tempfile.TemporaryDirectory() as folder:
        result = run_day(Path(folder), chosen, size)
    print(write_result(f"daily_run_{chosen}_{size}", result))  # noqa: T201
