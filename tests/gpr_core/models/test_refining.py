"""Tests of refining by diffusion."""

import copy
import dataclasses
import math

import pytest
import torch

from gpr_core.models.config import RefiningConfig
from gpr_core.models.refining import DiffusionRefining, cosine_schedule
from gpr_core.support.errors import ConfigError
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SMALL, make_batch, make_model

WIDTH, SLOTS = SMALL.width, SMALL.num_thoughts
CONFIG = dataclasses.replace(SMALL, dropout=0.0, refine=RefiningConfig(kind="diffusion"))


def make(num_rows=6, config=CONFIG):
    """Make a module whose layers already do something, thoughts, their sum and request keys."""
    seed_global_torch(0, "refining")
    refining = DiffusionRefining(config).eval()
    for layer in refining.layers:
        torch.nn.init.normal_(layer.modulate.weight, std=0.3)
    thought_MKD = torch.randn(num_rows, SLOTS, WIDTH, requires_grad=True)
    return refining, thought_MKD, thought_MKD.sum(dim=1), torch.arange(1, num_rows + 1)


def test_the_schedule_is_the_printed_formula():
    signal_S = cosine_schedule(4)
    curve = [math.cos((s / 4 + 0.008) / 1.008 * math.pi / 2) ** 2 for s in range(5)]
    expected = [curve[s] / curve[0] for s in range(4)]
    # The last beta would be 1 and leave no signal at all: it is clipped at 0.999.
    expected.append(expected[3] * 0.001)
    torch.testing.assert_close(signal_S, torch.tensor(expected))
    assert bool((cosine_schedule(50).diff() < 0).all())


def test_the_loss_weight_is_the_signal_to_noise_ratio_clipped_at_five():
    refining = make(
        config=dataclasses.replace(CONFIG, refine=RefiningConfig(kind="diffusion", noise_levels=4))
    )[0]
    signal_S = cosine_schedule(4)
    ratios = [float(signal_S[s] / (1 - signal_S[s])) for s in (1, 2, 3, 4)]
    assert ratios[0] > 5.0 > ratios[1]
    torch.testing.assert_close(
        refining.weight(torch.tensor([1, 2, 3, 4])), torch.tensor([5.0, *ratios[1:]])
    )


def test_noise_mixes_signal_and_noise_by_level():
    refining = make()[0]
    x0_MD, noise_MD = torch.full((2, WIDTH), 3.0), torch.full((2, WIDTH), 5.0)
    found_MD = refining.noise(x0_MD, torch.tensor([0, 50]), noise_MD)
    assert torch.equal(found_MD[0], x0_MD[0])
    torch.testing.assert_close(found_MD[1], noise_MD[1], atol=0.05, rtol=0)


def test_a_denoiser_that_knows_the_signal_makes_the_sampler_find_it(monkeypatch):
    refining, thought_MKD, intent_MD, keys = make()
    truth_MD = torch.randn(6, WIDTH)
    levels = []

    def know(x_MD, level_M, intent_MD, thought_MKD):
        # Every x_s of the sampler lies on the line from the start noise to the truth.
        levels.append(int(level_M[0]))
        on_line_MD = refining.noise(truth_MD, level_M, refining.start_noise(keys, x_MD))
        if levels[-1] < 50:
            torch.testing.assert_close(x_MD, on_line_MD, atol=0.05, rtol=0)
        return truth_MD

    monkeypatch.setattr(refining, "denoise", know)
    assert torch.equal(refining(thought_MKD, intent_MD, keys), truth_MD)
    assert levels == [50, 38, 25, 12]


def test_only_the_last_call_of_the_denoiser_has_a_gradient(monkeypatch):
    refining, thought_MKD, intent_MD, keys = make()
    honest, has_gradient = refining.denoise, []

    def watch(*args):
        has_gradient.append(torch.is_grad_enabled())
        return honest(*args)

    monkeypatch.setattr(refining, "denoise", watch)
    refining(thought_MKD, intent_MD, keys).sum().backward()
    assert has_gradient == [False, False, False, True]
    assert bool((thought_MKD.grad.abs().sum(dim=(1, 2)) > 0).all())


def test_noise_is_a_function_of_request_and_version():
    refining, _, intent_MD, keys = make()
    noise_MD = refining.start_noise(keys, intent_MD)
    order = torch.tensor([3, 0, 5, 1])
    assert torch.equal(refining.start_noise(keys[order], intent_MD[order]), noise_MD[order])
    many_MD = refining.start_noise(torch.arange(4000), torch.zeros(4000, WIDTH))
    torch.testing.assert_close(many_MD.mean(), torch.tensor(0.0), atol=0.02, rtol=0)
    torch.testing.assert_close(many_MD.std(), torch.tensor(1.0), atol=0.02, rtol=0)
    refining.noise_version.fill_(1)
    assert not bool((refining.start_noise(keys, intent_MD) == noise_MD).any())


def test_another_policy_of_the_same_version_replays_the_noise():
    batch = make_batch("UOOEIOE", "UOE")
    model = make_model(CONFIG)
    model.draw_new_noise(17)
    behavior = copy.deepcopy(model)
    assert torch.equal(model.read(batch).intent.refined_MD, behavior.read(batch).intent.refined_MD)
    with torch.no_grad():
        model.ptd.think.query_KD.add_(1.0)
    keys = batch.request_key_BR[batch.readout_BR >= 0]
    like_MD = torch.zeros(len(keys), WIDTH)
    ours, theirs = model.ptd.refine, behavior.ptd.refine
    assert torch.equal(ours.start_noise(keys, like_MD), theirs.start_noise(keys, like_MD))


def test_the_denoiser_beats_the_mean_of_the_targets():
    refining, thought_MKD, _, _ = make(num_rows=64)
    refining.train()
    targets_MD = torch.randn(4, WIDTH).repeat(16, 1)
    # What is shown next follows from the first thought, as far as the denoiser can tell.
    hints_MKD = thought_MKD.detach() * 0.1
    hints_MKD[:, 0] += torch.randn(4, WIDTH).repeat(16, 1)
    optimizer = torch.optim.Adam(refining.parameters(), lr=3e-3)
    losses = []
    for update in range(150):
        seed_global_torch(0, "denoising", update)
        loss = refining.loss(hints_MKD, hints_MKD.sum(dim=1), targets_MD)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    clean_MD = refining.clean(targets_MD)
    mean_error_M = (clean_MD - clean_MD.mean(dim=0)).square().mean(dim=1)
    mean_weight = refining.weight(torch.arange(1, 51)).mean()
    assert sum(losses[-10:]) / 10 < 0.5 * float(mean_weight * mean_error_M.mean())
    # The sampler starts from pure noise and finds the targets, too.
    found_MD = refining.eval()(hints_MKD, hints_MKD.sum(dim=1), torch.arange(64))
    error = (found_MD - clean_MD).square().mean().item()
    assert error < 0.5 * float(mean_error_M.mean())


def test_no_gradient_reaches_the_code_tables_from_denoising():
    model = make_model(CONFIG)
    state = model.read(make_batch("UOE"))
    state = state._replace(
        intent=state.intent._replace(
            thought_MKD=state.intent.thought_MKD.detach(), intent_MD=state.intent.intent_MD.detach()
        )
    )
    model.denoising_loss(state, torch.tensor([[1, 2, 3]])).backward()
    assert model.codes.table_VE.grad is None
    assert all(parameter.grad is not None for parameter in model.ptd.refine.parameters())


def test_without_diffusion_there_is_no_denoising_loss():
    model = make_model()
    state = model.read(make_batch("UOE"))
    assert model.denoising_loss(state, torch.tensor([[1, 2, 3]])).item() == 0.0
    model.draw_new_noise(5)
    assert not any("noise" in name for name in model.state_dict())


def test_more_sampling_steps_than_levels_are_refused():
    with pytest.raises(ConfigError, match="sampling_steps is 9, expected a value in"):
        RefiningConfig(noise_levels=8, sampling_steps=9)


def guided(**changes):
    """Make a module with other parameters of refining."""
    refine = RefiningConfig(kind="diffusion", **changes)
    return make(config=dataclasses.replace(CONFIG, refine=refine))


def test_guidance_moves_the_guess_away_from_the_one_without_condition():
    refining, thought_MKD, intent_MD, _ = guided(guidance=3.0)
    x_MD, level_M = torch.randn(6, WIDTH), torch.full((6,), 20)
    free_MD = refining.denoise(x_MD, level_M, intent_MD * 0, thought_MKD * 0)
    bound_MD = refining.denoise(x_MD, level_M, intent_MD, thought_MKD)
    torch.testing.assert_close(
        refining._guess(x_MD, level_M, intent_MD, thought_MKD), 3.0 * bound_MD - 2.0 * free_MD
    )


def test_with_guidance_some_rows_are_trained_without_condition(monkeypatch):
    refining, thought_MKD, intent_MD, _ = guided(guidance=2.0)
    seen = {}
    monkeypatch.setattr(
        refining,
        "denoise",
        lambda x_MD, _, intent_MD, thought_MKD: seen.update(c=intent_MD, t=thought_MKD) or x_MD,
    )
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([[0.05], *[[0.5]] * 5]))
    refining.loss(thought_MKD, intent_MD, torch.randn(6, WIDTH))
    assert not seen["c"][0].any()
    assert not seen["t"][0].any()
    assert torch.equal(seen["c"][1:], intent_MD[1:])


@pytest.mark.parametrize("slots", [SLOTS, 0])
def test_the_hypothesis_is_the_last_thought_under_half_of_the_noise(slots, monkeypatch):
    refining, thought_MKD, intent_MD, key_M = guided(start="hypothesis", sampling_steps=1)
    thought_MKD = thought_MKD[:, :slots]
    seen = []
    monkeypatch.setattr(
        refining, "denoise", lambda x_MD, level_M, *_: seen.append((x_MD, level_M)) or x_MD
    )
    refining(thought_MKD, intent_MD, key_M)
    [(x_MD, level_M)] = seen
    last_MD = thought_MKD[:, -1] if slots else intent_MD
    noise_MD = refining.start_noise(key_M, intent_MD)
    assert level_M.tolist() == [25] * 6
    torch.testing.assert_close(x_MD, refining.noise(refining.clean(last_MD), level_M, noise_MD))
    assert not x_MD.requires_grad
