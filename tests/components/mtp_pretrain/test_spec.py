from components.mtp_pretrain.spec import SPEC
from data_contracts.load import contract_names


def test_the_step_depends_on_the_champion_and_may_use_a_gpu() -> None:
    assert SPEC.inputs == ("corpus", "tokenizer", "catalog")
    assert "champion" in SPEC.run_params
    assert SPEC.resources.gpus == 1
    [checkpoint] = SPEC.outputs
    assert checkpoint.type == "model"
    assert set(checkpoint.contracts.values()) <= set(contract_names())
