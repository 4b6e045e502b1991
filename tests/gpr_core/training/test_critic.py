import pytest
import torch

from gpr_core.support.seeding import torch_stream
from gpr_core.training.critic import (
    CriticRows,
    candidate_values,
    held_out_r2,
    rescale_values,
    value_parameters,
    warm_up_critic,
)
from gpr_core.training.hepo_config import CriticConfig
from tests.gpr_core.training.small_hepo import make_model


def make_rows(seed, count=200):
    """Returns depend on the first code only, at every level."""
    stream = torch_stream(seed)
    state = torch.randn(10, 48, generator=stream)
    path = torch.randint(0, 4, (count, 3), generator=stream)
    value = path[:, :1].float() - 1.5
    return CriticRows(
        state, torch.arange(count) % 10, path, torch.cat([value * 0, value, value], dim=1)
    )


def make_optimizer(model):
    return torch.optim.AdamW(value_parameters(model), lr=1e-2, weight_decay=0.0)


def test_warm_up_raises_held_out_r2_and_touches_the_critic_only():
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = CriticConfig(warmup_epochs=15, batch_candidates=64)
    fit = warm_up_critic(
        model, make_optimizer(model), make_rows(0), make_rows(1), config, clip_norm=1.0,
        stream=(0, "test", 0),
    )  # fmt: skip
    assert fit.r2 > max(fit.r2_before, 0.6)
    assert held_out_r2(model, make_rows(1)) == pytest.approx(fit.r2, abs=1e-6)
    changed = {name for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}  # fmt: skip
    assert changed
    assert all(name.startswith("hte.value_") for name in changed)
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    assert all(name.startswith("hte.") for name in reached)


def test_mean_error_is_taken_out_even_if_fitting_does_not_help():
    model = make_model()
    rows = make_rows(0)
    shifted = rows._replace(return_ML=torch.randn(200, 3, generator=torch_stream(5)) + 7.0)
    opposite = shifted._replace(return_ML=14.0 - shifted.return_ML)
    fit = warm_up_critic(
        model, make_optimizer(model), shifted, opposite, CriticConfig(patience=2), clip_norm=1.0,
        stream=(0, "test", 0),
    )  # fmt: skip
    assert fit.r2_before < -10
    assert -0.2 < fit.r2 < 0.2
    assert fit.epochs <= 20


def test_values_have_one_column_per_proper_prefix():
    model = make_model()
    torch.nn.init.normal_(model.hte.value_out.weight)
    rows = make_rows(0, count=4)
    rows = rows._replace(path_ML=torch.tensor([[0, 1, 2], [0, 1, 3], [0, 2, 2], [1, 1, 2]]))
    same_request = torch.zeros(4, dtype=torch.int64)
    value = candidate_values(model, rows.value_state_BX, same_request, rows.path_ML)
    assert value.shape == (4, 3)
    # The root is shared by all, the first prefix by three, the second by two.
    assert len(set(value[:, 0].tolist())) == 1
    assert len(set(value[:3, 1].tolist())) == 1
    assert value[0, 2] == value[1, 2]
    assert value[0, 2] != value[2, 2]


def test_rescaling_keeps_predictions_in_ecpm_units():
    model = make_model()
    torch.nn.init.normal_(model.hte.value_out.weight)
    model.value_mean.fill_(5.0)
    model.value_std.fill_(2.0)
    rows = make_rows(0, count=6)
    arguments = (rows.value_state_BX, rows.row_M, rows.path_ML)
    before = candidate_values(model, *arguments) * 2.0 + 5.0
    rescale_values(model, mean=-3.0, std=0.5)
    after = candidate_values(model, *arguments) * 0.5 - 3.0
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    assert (model.value_mean.item(), model.value_std.item()) == (-3.0, 0.5)
