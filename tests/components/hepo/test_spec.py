from components.hepo.spec import SPEC


def test_gates_and_contracts_are_those_of_the_agreement():
    assert set(SPEC.gates) == {"critic_r2", "kl_cap", "all_legal", "reward_not_below_start"}
    checkpoint, rollouts = SPEC.outputs
    assert (checkpoint.name, checkpoint.type) == ("hepo_checkpoint", "model")
    assert checkpoint.contracts == {"curve.parquet": "training_curve"}
    assert rollouts.contracts == {"rollouts.parquet": "rollouts"}
    assert SPEC.resources.gpus == 1


def test_result_does_not_depend_on_the_world():
    assert not any("world" in path for path in SPEC.code)
