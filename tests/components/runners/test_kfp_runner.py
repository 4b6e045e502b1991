"""Steps as Kubeflow container components."""

import pytest
import yaml

from components.pipeline.registry import STEPS
from components.runners.kfp_runner import compile_pipeline


@pytest.fixture(scope="module")
def pipeline():
    return next(yaml.safe_load_all(compile_pipeline(STEPS, tag="9.9")))


def test_a_component_gets_the_executor_input_and_nothing_else(pipeline):
    container = pipeline["deploymentSpec"]["executors"]["exec-vaft"]["container"]
    assert container["command"] == ["gpr"]
    assert container["args"] == ["step", "run", "vaft", "--executor-input", "{{$}}"]
    assert container["image"].endswith(":9.9")


def test_training_asks_for_a_gpu_and_curation_does_not(pipeline):
    executors = pipeline["deploymentSpec"]["executors"]
    accelerator = executors["exec-mtp-pretrain"]["container"]["resources"]["accelerator"]
    assert accelerator["resourceType"] == "nvidia.com/gpu"
    assert "accelerator" not in executors["exec-corpus-curation"]["container"]["resources"]


def test_no_task_may_be_replayed_from_kubeflows_cache(pipeline):
    tasks = pipeline["root"]["dag"]["tasks"].values()
    assert not [task for task in tasks if task["cachingOptions"].get("enableCache")]


def test_compiling_twice_gives_the_same_text():
    assert compile_pipeline(STEPS, tag="1") == compile_pipeline(STEPS, tag="1")
