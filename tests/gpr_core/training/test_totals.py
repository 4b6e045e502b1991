import torch

from gpr_core.training.batches import BatchSource
from gpr_core.training.config import OptimizerConfig
from gpr_core.training.totals import Totals, count_totals
from tests.gpr_core.training.test_batches import SEQUENCE, make_examples


def assert_equal(found: Totals, expected: Totals) -> None:
    assert found[:2] == expected[:2]
    for one, other in zip(found[2:], expected[2:], strict=True):
        assert torch.equal(one, other)


def test_targets_and_value_weights_of_the_first_head_count() -> None:
    ok_MJ = torch.tensor([[True, True], [False, True], [True, False]])
    omega_MJ = torch.tensor([[0.5, 8.0], [9.0, 1.0], [2.0, 7.0]])
    is_mature_M3 = torch.tensor([[True, False, True], [True, False, False], [False, False, True]])
    totals = count_totals(ok_MJ, omega_MJ, is_mature_M3, tokens=40)
    expected = Totals(
        3, 40, torch.tensor(2.0), torch.tensor(2.5), torch.tensor([2, 0, 2], dtype=torch.int64)
    )
    assert_equal(totals, expected)


def test_an_update_is_counted_without_its_batch_to_the_same_bits() -> None:
    examples = make_examples()
    for num_shares in (1, 3):
        source = BatchSource(
            examples,
            SEQUENCE,
            OptimizerConfig(batch_windows=8),
            seed=0,
            stage="test",
            epochs=2,
            num_shares=num_shares,
        )
        for update in (0, source.num_updates - 1):
            assert_equal(source.totals(update), source.at(update).totals())
