"""Tests of copying from history."""

import dataclasses

import torch

from gpr_core.models.gpr import GPR
from gpr_core.models.history_copy import HistoryCopy, ShownAds
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.leak_probe import leak_probe
from tests.prefixes import logits_after
from tests.timelines import SIZES, SMALL, make_batch, make_model

CONFIG = dataclasses.replace(SMALL, copies_history=True, dropout=0.0)
USERS = ("UOOEIOEIIOE", "UEOOIEOUE")


def weigh(batch):
    """Weigh the shown ads at every readout of a batch."""
    seed_global_torch(0, "copy")
    copy = HistoryCopy(CONFIG)
    row_batch_M, column_M = torch.nonzero(batch.readout_BR >= 0, as_tuple=True)
    position_M = batch.readout_BR[row_batch_M, column_M]
    memory_BTD = torch.randn(*batch.kind_BT.shape, CONFIG.width)
    intent_MD = torch.randn(len(row_batch_M), CONFIG.width)
    return copy, copy.weigh(batch, intent_MD, memory_BTD, row_batch_M, position_M)


def test_only_ads_before_the_readout_have_weight():
    _, shown = weigh(make_batch(*USERS))
    # Ads of the first user stand at 4, 7 and 8, its requests at 3, 6 and 10.
    for head in range(CONFIG.num_heads):
        weight_MS = shown.weight_MJS[:, head]
        assert (weight_MS[:3] > 0).int().tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]
        torch.testing.assert_close(weight_MS.sum(1), torch.tensor([0, 1, 1, 0, 1, 1.0]))
    assert torch.equal(shown.sid_BSL[0], make_batch(*USERS).sid_BTL[0, [4, 7, 8]])


def test_the_weight_falls_with_the_distance_where_nothing_else_speaks():
    batch = make_batch("UEIEIEIOOE", num_readouts=1)
    seed_global_torch(0, "copy")
    copy, zeros = HistoryCopy(CONFIG), torch.zeros(1, 10, CONFIG.width)
    shown = copy.weigh(batch, zeros[:, 0], zeros, torch.tensor([0]), torch.tensor([9]))
    expected_S = 1 / (1 + torch.tensor([7.0, 5.0, 3.0]))
    for weight_S in shown.weight_MJS[0]:
        torch.testing.assert_close(weight_S, expected_S / expected_S.sum())


def test_a_code_gets_the_weight_of_shown_ads_that_go_on_with_it():
    copy = HistoryCopy(CONFIG)
    with torch.no_grad():
        copy.strength_J.copy_(torch.tensor([1.0, 3.0]))
    sid_BTL = torch.tensor([[[1, 0, 2], [1, 2, 0], [1, 0, 4], [3, 1, 1]]])
    weight_MJS = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]])
    shown = ShownAds(weight_MJS, sid_BTL, torch.tensor([0]))
    rows, heads = torch.tensor([0, 0]), torch.tensor([0, 1])
    prefix = torch.tensor([[1], [1]])
    bonus_NV = copy.bonus(shown, rows, heads, prefix, SIZES[1])
    mass_NV = torch.tensor([[0.4, 0.0, 0.2], [0.6, 0.0, 0.3]])
    strength_N1 = torch.tensor([[1.0], [3.0]])
    torch.testing.assert_close(bonus_NV, strength_N1 * torch.log1p(mass_NV / 0.01))
    nothing = torch.zeros(2, 0, dtype=torch.int64)
    first_V = copy.bonus(shown, rows, heads, nothing, SIZES[0])[0]
    torch.testing.assert_close(first_V, torch.log1p(torch.tensor([0.0, 0.6, 0.0, 0.4]) / 0.01))


def test_copying_adds_parameters_and_changes_no_other():
    plain, copying = (
        dict(make_model(config).named_parameters())
        for config in (dataclasses.replace(CONFIG, copies_history=False), CONFIG)
    )
    assert {name.split(".")[0] for name in copying.keys() - plain.keys()} == {"copy"}
    assert plain.keys() <= copying.keys()


def test_copying_stays_in_the_past():
    assert leak_probe(make_model(CONFIG), make_batch(*USERS), seed=0) == 0.0


def test_paths_and_prefixes_are_scored_alike():
    model = make_model(CONFIG)
    state = model.read(make_batch(*USERS))
    rows, heads = torch.tensor([2, 5, 2]), torch.tensor([1, 0, 1])
    paths = torch.tensor([[1, 2, 3], [3, 0, 1], [1, 2, 0]])
    whole = model.candidate_logits(state, rows, heads, paths)
    for level in range(3):
        torch.testing.assert_close(
            logits_after(model, state, rows, heads, paths[:, :level]), whole[level]
        )


def test_a_model_that_copies_learns_to_repeat_from_few_updates():
    def loss_after(config):
        seed_global_torch(0, "repeat")
        model = GPR(dataclasses.replace(config, num_heads=1), SIZES)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for update in range(30):
            batch = make_batch(*["UEIE"] * 16, seed=update, num_readouts=1)
            state = model.read(batch)
            target_ML = batch.sid_BTL[:, 2]
            logits = model.path_logits(state, target_ML[:, None])
            loss = sum(
                torch.nn.functional.cross_entropy(logits_MJV[:, 0], target_ML[:, level])
                for level, logits_MJV in enumerate(logits)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    assert loss_after(CONFIG) < 0.5 * loss_after(dataclasses.replace(CONFIG, copies_history=False))
