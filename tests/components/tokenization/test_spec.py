"""The interface of the step."""

from components.tokenization.main import PARAMS
from components.tokenization.spec import SPEC
from gpr_core.tokenizer.config import TokenizationConfig


def test_the_step_depends_on_the_champion():
    assert "champion" in SPEC.run_params
    assert SPEC.inputs == ("corpus",)
    assert [artifact.name for artifact in SPEC.outputs] == ["tokenizer", "catalog"]


def test_the_gates_are_the_ones_of_the_architecture():
    names = ["every_item_has_id", "cur_level_1", "collision_not_above_rq_kmeans", "no_nan"]
    assert list(SPEC.gates) == names
    assert PARAMS is TokenizationConfig
