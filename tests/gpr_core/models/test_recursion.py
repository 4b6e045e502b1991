"""Tests of the Mixture of Recursions."""

import dataclasses

import pytest
import torch

from gpr_core.models.config import RecursionConfig
from gpr_core.models.gpr import GPR
from gpr_core.models.hsd import HSD
from gpr_core.models.masks import segment_hybrid_peers
from gpr_core.models.recursion import RecursiveHSD
from gpr_core.models.relation import hide_keys, relate
from gpr_core.models.token_aware import group_tokens, unpack
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.leak_probe import leak_probe
from tests.timelines import SIZES, SMALL, make_batch, make_model

USERS = ("UOOEIOEIIOE", "UEOOIEOUE")
DEEP = dataclasses.replace(SMALL, hsd_layers=4)
KINDS = [
    (router, keys) for router in ("token_choice", "expert_choice") for keys in ("share", "active")
]


def recursive(router="token_choice", keys="share", max_depth=3):
    """Configure a recursive model."""
    recursion = RecursionConfig(router=router, keys=keys, max_depth=max_depth)
    return dataclasses.replace(DEEP, recursion=recursion)


def inputs_of(batch):
    """Tokens, groups and relation of a batch."""
    seed_global_torch(1, "tokens")
    groups = group_tokens(batch.kind_BT)
    peers_BT = segment_hybrid_peers(batch.kind_BT, batch.seg_BT)
    relation = relate(batch.ts_BT, peers_BT, groups, SMALL.max_distance)
    return torch.randn(len(groups.source_G), SMALL.width), groups, relation


def written_out(hsd, depth_G, weight_G, x_GD, groups, relation):
    """Apply two shared blocks as often as each token asks for, step by step."""
    first, one, two, last = hsd.blocks
    x_GD = first(x_GD, groups, relation)
    keys_one = keys_two = None
    for recursion in range(1, hsd.max_depth + 1):
        seen = relation
        if not hsd.shares_keys:
            seen = hide_keys(relation, depth_G < recursion)
        middle_GD = one(x_GD, groups, seen, keys_one)
        deeper_GD = two(middle_GD, groups, seen, keys_two)
        if hsd.shares_keys and recursion == 1:
            keys_one, keys_two = x_GD, middle_GD
        rows = []
        for token in range(len(x_GD)):
            if depth_G[token] < recursion:
                rows.append(x_GD[token])
            elif depth_G[token] > recursion:
                rows.append(deeper_GD[token])
            else:
                rows.append(x_GD[token] + weight_G[token] * (deeper_GD[token] - x_GD[token]))
        x_GD = torch.stack(rows)
    return unpack(hsd.norm_out(last(x_GD, groups, relation), groups), groups)


@pytest.mark.parametrize("keys", ["share", "active"])
def test_token_choice_is_the_written_recursion(keys):
    hsd = make_model(recursive(keys=keys)).hsd
    x_GD, groups, relation = inputs_of(make_batch(*USERS))
    entry_GD = hsd.blocks[0](x_GD, groups, relation)
    p_G, depth_G = torch.softmax(hsd.router.project(entry_GD), dim=-1).max(dim=-1)
    assert len(depth_G.unique()) == 3
    expected = written_out(hsd, depth_G + 1, p_G, x_GD, groups, relation)
    hidden_BTD, _ = hsd(x_GD, groups, relation)
    torch.testing.assert_close(hidden_BTD, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("router", "keys"), KINDS)
def test_one_recursion_is_exactly_the_plain_stack(router, keys):
    recursed = make_model(recursive(router, keys, max_depth=1)).hsd
    plain = HSD(DEEP).eval()
    plain.load_state_dict(recursed.state_dict(), strict=False)
    inputs = inputs_of(make_batch(*USERS))
    assert torch.equal(recursed(*inputs)[0], plain(*inputs))


@pytest.mark.parametrize("router", ["token_choice", "expert_choice"])
def test_depth_costs_no_parameters_but_the_router(router):
    plain = {name: p.shape for name, p in GPR(DEEP, SIZES).named_parameters()}
    for max_depth in (2, 5):
        recursed = GPR(recursive(router, max_depth=max_depth), SIZES)
        ours = {name: p.shape for name, p in recursed.named_parameters()}
        assert {name for name in ours if name not in plain} == {
            name for name in ours if name.startswith("hsd.router.")
        }
        assert {name: ours[name] for name in plain} == plain


def test_more_depth_and_other_keys_are_another_model():
    batch = make_batch(*USERS)
    configs = [recursive(), recursive(max_depth=2), recursive(keys="active"), DEEP]
    found = []
    for config in configs:
        model = GPR(config, SIZES).eval()
        weights = make_model(recursive()).state_dict()
        if config.recursion.max_depth == 2:
            weights["hsd.router.project.weight"] = weights["hsd.router.project.weight"][:2]
        model.load_state_dict(weights, strict=False)
        found.append(model.read(batch).readout_MD)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    assert not any(torch.equal(found[i], found[j]) for i, j in pairs)


@pytest.mark.parametrize(("router", "keys"), KINDS)
def test_the_leak_probe_finds_nothing(router, keys):
    model = make_model(recursive(router, keys))
    # The shuffled future has other depths: what is probed must really depend on the router.
    batch = make_batch("UOEOIOEIOIEOOEIE", "UOEIOEIIEOE")
    shares_R = model.read(batch).routing.depth_share_R
    assert int((shares_R > 0).sum()) > 1
    assert leak_probe(model, batch, seed=0) == 0.0


@pytest.mark.parametrize(("router", "keys"), KINDS)
def test_everything_learns_and_nothing_is_nan(router, keys):
    model = make_model(recursive(router, keys)).train()
    state = model.read(make_batch(*USERS))
    routing = state.routing
    loss = state.readout_MD.square().sum() + routing.balance_loss + routing.z_loss
    (loss + routing.selection_loss).backward()
    grads = {name: p.grad for name, p in model.hsd.named_parameters()}
    assert [name for name, grad in grads.items() if grad is None] == []
    assert all(bool(grad.isfinite().all()) for grad in grads.values())
    assert all(bool(grad.any()) for name, grad in grads.items() if name.startswith("router."))


def test_the_plain_model_has_no_routing():
    model = make_model()
    assert model.read(make_batch(*USERS)).routing is None
    assert not isinstance(model.hsd, RecursiveHSD)
