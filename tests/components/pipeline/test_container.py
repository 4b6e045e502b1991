"""One step inside a Kubeflow container."""

import json

import pytest
import yaml

from components.pipeline.container import run_in_container
from components.runtime.exit_codes import ExitCode
from gpr_core.support.errors import ConfigError
from gpr_core.support.files import read_json
from tests.components.pipeline.conftest import MAKE, USE


def executor_input(folder, inputs, outputs, **params):
    values = {"run": {"day": "2026-01-14", "threads": 1}, **params}
    return json.dumps(
        {
            "inputs": {
                "parameterValues": {
                    "params": yaml.safe_dump(values),
                    "lake": "/lake",
                    "oracle": "/oracle",
                    "registry": "/registry",
                },
                "artifacts": inputs,
            },
            "outputs": {"artifacts": outputs, "outputFile": str(folder / "executor_output.json")},
        }
    )


def artifact(path):
    return {"artifacts": [{"name": path.name, "uri": str(path), "metadata": {}}]}


def test_artifacts_travel_from_step_to_step(steps, tmp_path):
    made, used = tmp_path / "task1", tmp_path / "task2"
    numbers = artifact(made / "numbers")
    given = executor_input(made, {}, {"numbers": numbers}, make={"number": 7})
    assert run_in_container(MAKE, given) is ExitCode.DONE
    assert read_json(made / "executor_output.json") == {"artifacts": {"numbers": numbers}}
    given = executor_input(used, {"numbers": numbers}, {"doubled": artifact(used / "doubled")})
    assert run_in_container(USE, given) is ExitCode.DONE
    assert (used / "doubled" / "number.txt").read_text() == "14"


def test_a_failed_step_writes_no_executor_output(steps, tmp_path):
    given = executor_input(
        tmp_path / "t", {}, {"numbers": artifact(tmp_path / "t" / "numbers")}, make={"number": -7}
    )
    assert run_in_container(MAKE, given) is ExitCode.GATE_REFUSED
    assert not (tmp_path / "t" / "executor_output.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_other_text_is_no_executor_input(steps, text):
    with pytest.raises(ConfigError, match="not an executor input"):
        run_in_container(MAKE, text)
