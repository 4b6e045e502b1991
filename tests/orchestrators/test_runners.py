"""The micro preset, run for real by DVC, by Airflow and by Kubeflow's local runner.

All three execute the same commands, so all three must publish the same bytes (T38).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.pipeline.registry import STEPS
from gpr_core.support.hashing import hash_files
from tests.orchestrators.conftest import GPR, gpr

pytestmark = pytest.mark.orchestrator

DAY = "2026-01-14"
# The receipt names what stood in the registry before, which differs between runners' homes.
ARTIFACTS = [out.name for spec in STEPS for out in spec.outputs if out.cached]


def artifact_hashes(folder):
    """Hash every file of every artifact."""
    return {name: hash_files(folder / name) for name in ARTIFACTS}


def executed(output):
    """List the steps that DVC ran, in order."""
    return [
        line.split("'")[1].split(":")[-1]
        for line in output.splitlines()
        if line.startswith("Running stage")
    ]


@pytest.fixture(scope="module")
def dvc_run(home):
    """The first full run."""
    done = gpr("run", f"--home={home}")
    assert done.returncode == 0, done.stdout + done.stderr
    return home, done.stdout


def test_dvc_runs_all_steps_in_order(dvc_run):
    _, output = dvc_run
    assert executed(output) == [spec.name for spec in STEPS]


def test_the_run_ends_with_a_table_and_the_path_of_the_report(dvc_run):
    home, output = dvc_run
    report = home / "runs" / DAY / "artifacts" / "evaluation" / "report.html"
    assert report.exists()
    assert str(report) in output
    assert "HR@10" in output
    assert "Popularity" in output


def test_a_second_run_does_nothing(dvc_run):
    home, _ = dvc_run
    done = gpr("run", f"--home={home}")
    assert done.returncode == 0
    assert executed(done.stdout) == []


def test_dvc_itself_agrees_that_nothing_is_left_to_do(dvc_run):
    home, _ = dvc_run
    dvc = str(Path(GPR).with_name("dvc"))
    done = subprocess.run(
        [dvc, "repro"], cwd=home / "runs" / DAY, capture_output=True, text=True, check=True
    )
    assert executed(done.stdout) == []


def test_airflow_publishes_the_same_bytes(dvc_run, filled_home, tmp_path):
    home, _ = dvc_run
    copy = copy_home(filled_home, tmp_path / "airflow")
    code = (
        "import os\n"
        "from airflow.utils.db import upgradedb\n"
        "upgradedb()\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "dag = DagBag(os.environ['AIRFLOW__CORE__DAGS_FOLDER']).dags['gpr_daily']\n"
        f"run = dag.test(run_conf={{'day': '{DAY}'}})\n"
        "print('state', run.state)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env={**airflow_environment(tmp_path), "AIRFLOW_VAR_GPR_HOME": str(copy)},
    )
    assert "state success" in done.stdout.lower(), done.stdout[-3000:] + done.stderr[-3000:]
    expected = artifact_hashes(home / "runs" / DAY / "artifacts")
    assert artifact_hashes(copy / "runs" / DAY / "artifacts") == expected


def test_kubeflow_publishes_the_same_bytes(dvc_run, filled_home, tmp_path):
    home, _ = dvc_run
    copy = copy_home(filled_home, tmp_path / "kubeflow")
    params = (home / "runs" / DAY / "params.yaml").read_text()
    script = tmp_path / "pipeline.py"
    script.write_text(
        "import sys, json\n"
        "from kfp import local\n"
        "from kfp.local import subprocess_task_handler as handler\n"
        "from components.pipeline.registry import STEPS\n"
        "from components.runners.kfp_runner import make_pipeline\n"
        "kind = handler.SubprocessTaskHandler\n"
        "kind.validate_not_container_component = lambda self, command: None\n"
        "kind.validate_image = lambda self, image: None\n"
        "given = json.loads(sys.argv[1])\n"
        "local.init(runner=local.SubprocessRunner(use_venv=False),\n"
        "           pipeline_root=given.pop('root'), raise_on_error=True)\n"
        "make_pipeline(STEPS, tag='test')(**given)\n"
    )
    given = {
        "root": str(tmp_path / "root"),
        "params": params,
        "lake": str(copy / "lake"),
        "oracle": str(copy / "oracle"),
        "registry": str(copy / "registry"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), json.dumps(given)],
        capture_output=True,
        text=True,
        # Not the project's root: its folder `docker` would hide the package of that name.
        cwd=tmp_path,
        env=airflow_environment(tmp_path),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    expected = artifact_hashes(home / "runs" / DAY / "artifacts")
    found = {}
    for manifest in (tmp_path / "root").rglob("manifest.json"):
        found[manifest.parent.name] = hash_files(manifest.parent)
    found.pop("push")
    assert found == expected


def test_a_changed_parameter_reruns_its_step_and_what_follows(dvc_run):
    home, _ = dvc_run
    params = yaml.safe_load((home / "runs" / DAY / "params.yaml").read_text())
    rate = params["vaft"]["optimizer"]["learning_rate"]
    done = gpr("run", f"--home={home}", f"--set=vaft.optimizer.learning_rate={rate * 0.9}")
    names = [spec.name for spec in STEPS]
    follow = names[names.index("vaft") :]
    assert executed(done.stdout) == follow[: len(executed(done.stdout))]
    assert "vaft" in executed(done.stdout)


def copy_home(source, target):
    """Copy a home without runs."""
    import shutil

    shutil.copytree(source, target)
    return target


def airflow_environment(tmp_path):
    """Environment with an Airflow home of its own and this installation's commands first."""
    import os

    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "AIRFLOW_HOME": str(tmp_path / "airflow_home")}
