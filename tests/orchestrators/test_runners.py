"""The micro preset, run for real by DVC, by Airflow and by Kubeflow's local runner.

All three execute the same commands, so all three must publish the same bytes (T38).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.pipeline.registry import STEPS
from gpr_core.support.hashing import hash_files
from tests.orchestrators.conftest import DAY, GPR, gpr

pytestmark = pytest.mark.orchestrator

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


def test_dvc_runs_all_steps_in_order(finished_day):
    assert executed(finished_day.output) == [spec.name for spec in STEPS]


def test_the_run_ends_with_a_table_and_the_path_of_the_report(finished_day):
    report = finished_day.workspace / "artifacts" / "evaluation" / "report.html"
    assert report.exists()
    assert str(report) in finished_day.output
    assert "HR@10" in finished_day.output
    assert "Popularity" in finished_day.output


def test_a_second_run_does_nothing(finished_copy):
    done = gpr("run", f"--home={finished_copy.home}")
    assert done.returncode == 0
    assert executed(done.stdout) == []


def test_dvc_itself_agrees_that_nothing_is_left_to_do(finished_copy):
    dvc = str(Path(GPR).with_name("dvc"))
    done = subprocess.run(
        [dvc, "repro"], cwd=finished_copy.workspace, capture_output=True, text=True, check=True
    )
    assert executed(done.stdout) == []


def test_airflow_publishes_the_same_bytes(finished_day, filled_home, tmp_path):
    copy = shutil.copytree(filled_home, tmp_path / "airflow")
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
    expected = artifact_hashes(finished_day.workspace / "artifacts")
    assert artifact_hashes(copy / "runs" / DAY / "artifacts") == expected


def test_kubeflow_publishes_the_same_bytes(finished_day, filled_home, tmp_path):
    copy = shutil.copytree(filled_home, tmp_path / "kubeflow")
    params = (finished_day.workspace / "params.yaml").read_text()
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
    expected = artifact_hashes(finished_day.workspace / "artifacts")
    found = {}
    for manifest in (tmp_path / "root").rglob("manifest.json"):
        found[manifest.parent.name] = hash_files(manifest.parent)
    found.pop("push")
    assert found == expected


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("evaluation", "max_headline_share"),
        pytest.param("vaft", "max_clipped_share", marks=pytest.mark.e2e),
    ],
)
def test_a_changed_parameter_reruns_its_step_and_what_follows(finished_copy, step, name):
    workspace = finished_copy.workspace
    before = artifact_hashes(workspace / "artifacts")
    # A looser gate changes no weight, but the manifest of its step, and with it all that follow.
    bound = yaml.safe_load((workspace / "params.yaml").read_text())[step][name]
    done = gpr("run", f"--home={finished_copy.home}", f"--set={step}.{name}={(1 + bound) / 2}")
    assert done.returncode == 0, done.stdout + done.stderr
    names = [spec.name for spec in STEPS]
    follow = names[names.index(step) :]
    assert executed(done.stdout) == follow
    after = artifact_hashes(workspace / "artifacts")
    remade = [name for name in ARTIFACTS if after[name] != before[name]]
    assert remade == [
        out.name for spec in STEPS if spec.name in follow for out in spec.outputs if out.cached
    ]
    weights = "weights.safetensors"
    assert after["vaft_checkpoint"][weights] == before["vaft_checkpoint"][weights]


def airflow_environment(tmp_path):
    """Environment with an Airflow home of its own and this installation's commands first."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "AIRFLOW_HOME": str(tmp_path / "airflow_home")}
