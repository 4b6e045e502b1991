"""T05: the refined token must not know the target, however noisy.

Broken twin: a refined token that the denoiser made from the noised target, as a training of the
generator "with teacher forcing" would.
"""

import dataclasses

import torch

from gpr_core.models.config import RefiningConfig
from gpr_core.models.gpr import GPR
from gpr_core.support.seeding import seed_global_torch, torch_stream
from tests.timelines import SIZES, SMALL, make_batch, make_model

CONFIG = dataclasses.replace(SMALL, refine=RefiningConfig(kind="diffusion"))
BATCH = make_batch("UOOEIOEIIOE", "UEOOIEOUE")
NUM_ROWS = 6


def draw_targets():
    """Draw target paths [M, J, L]."""
    draw = torch_stream(0, "t05")
    levels = [torch.randint(0, size, (NUM_ROWS, 2), generator=draw) for size in SIZES]
    return torch.stack(levels, dim=-1)


def logits_with(model, target_MJL):
    """Do what an update does with the targets; give the logits that no target may touch."""
    seed_global_torch(0, "t05")
    state = model.read(BATCH)
    first_MJV = model.path_logits(state, target_MJL)[0]
    model.denoising_loss(state, target_MJL[:, 0])
    probe_MJL = torch.zeros_like(target_MJL)
    return [first_MJV, *model.path_logits(state, probe_MJL)]


def is_blind_to_targets(model):
    """Permute the targets of the batch, with the same noise; compare logits bit for bit."""
    target_MJL = draw_targets()
    before, after = logits_with(model, target_MJL), logits_with(model, target_MJL.roll(1, dims=0))
    return all(torch.equal(one, two) for one, two in zip(before, after, strict=True))


def generate_from_the_noised_target(model, state, paths_MJL):
    """Start the decoder anew from a denoised target."""
    refining, intent = model.ptd.refine, state.intent
    x0_MD = refining.clean(model.codes(paths_MJL[:, 0]))
    level_M = torch.full((NUM_ROWS,), 10)
    noised_MD = refining.noise(x0_MD, level_M, torch.zeros_like(x0_MD))
    refined_MD = refining.denoise(noised_MD, level_M, intent.intent_MD, intent.thought_MKD)
    start = model.ptd.generate.start(
        (intent.thought_MKD, intent.intent_MD, refined_MD),
        torch.zeros(len(BATCH.kind_BT), BATCH.kind_BT.shape[1], SMALL.width),
        state.row_batch_M,
        intent.start.visible_MT,
    )
    return HONEST(model, state._replace(intent=intent._replace(start=start)), paths_MJL)


HONEST = GPR.path_logits


def test_changing_the_target_changes_no_logit():
    assert is_blind_to_targets(make_model(CONFIG))


def test_the_check_finds_a_refined_token_made_from_the_target(monkeypatch):
    monkeypatch.setattr(GPR, "path_logits", generate_from_the_noised_target)
    assert not is_blind_to_targets(make_model(CONFIG))
