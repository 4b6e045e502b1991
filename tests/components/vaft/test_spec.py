from components.vaft.spec import SPEC
from data_contracts.load import contract_names


def test_the_step_starts_from_the_mtp_checkpoint_and_not_from_the_champion() -> None:
    assert SPEC.inputs == ("corpus", "tokenizer", "catalog", "mtp_checkpoint")
    assert "champion" not in SPEC.run_params
    [checkpoint] = SPEC.outputs
    assert set(checkpoint.contracts.values()) <= set(contract_names())
