"""What the framework adds to a step: resolving, contracts, hashing, publishing, and DVC.

Starting the process and importing the step's own code is shown beside it.

    gpr lake fill --preset micro --home HOME
    python -m benchmarks.framework_overhead HOME [DAY]

Runs the day twice through DVC (all steps, then nothing to do), then each step once as a process of
its own, and writes docs/benchmarks/framework_overhead.json.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.record import write_result
from components.pipeline.paths import StepPaths
from components.pipeline.registry import STEPS
from components.runners.workspace import workspace_of
from gpr_core.params import load_params_file
from gpr_core.support.files import read_json

_GPR = str(Path(sys.executable).with_name("gpr"))


def timed(*arguments: str) -> float:
    """Run `gpr` and measure its wall time.

    Args:
        *arguments: Its arguments.

    Returns:
        Seconds.
    """
    started = time.monotonic()
    subprocess.run([_GPR, *arguments], check=True, capture_output=True)  # noqa: S603
    return time.monotonic() - started


def measure(home: Path, day: str) -> dict[str, Any]:
    """Measure a full run, a run with nothing to do, and single steps.

    Args:
        home: Home with a filled lake and no run of that day.
        day: Training day.

    Returns:
        Seconds per step and part.
    """
    full_s = timed("run", f"--home={home}", f"--day={day}")
    nothing_s = timed("run", f"--home={home}", f"--day={day}")
    workspace = workspace_of(home, day)
    rows = {}
    for spec in STEPS:
        process_s = timed("step", "run", spec.name, f"--workspace={workspace}")
        parts = read_json(StepPaths.in_workspace(spec, workspace).status)["timings"]
        inside_s = sum(parts.values())
        start_s = process_s - inside_s + parts["import_s"]
        overhead_s = inside_s - parts["compute_s"] - parts["import_s"]
        rows[spec.name] = {
            **parts,
            "in_process_overhead_s": round(overhead_s, 3),
            "process_start_s": round(start_s, 3),
            "process_s": round(process_s, 3),
        }
    processes_s = sum(row["process_s"] for row in rows.values())
    overheads = [row["in_process_overhead_s"] for row in rows.values()]
    return {
        "day": day,
        "steps": rows,
        "full_run_s": round(full_s, 2),
        "nothing_to_do_s": round(nothing_s, 2),
        "dvc_per_step_s": round((full_s - processes_s) / len(STEPS), 3),
        "in_process_overhead_max_s": max(overheads),
        "in_process_overhead_median_s": statistics.median(overheads),
        "target_s": 3.0,
    }


if __name__ == "__main__":
    base = Path(sys.argv[1]).resolve()
    train_day = sys.argv[2] if len(sys.argv) > 2 else load_params_file(base / "params.yaml").run.day
    print(write_result("framework_overhead", measure(base, train_day)))  # noqa: T201
