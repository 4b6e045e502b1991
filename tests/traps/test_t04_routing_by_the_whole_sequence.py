"""T04: which tokens go deeper must not depend on later tokens or on other users.

Broken twins: expert choice that takes the best of the whole sequence in serving, and one that takes
the best of the whole batch.
"""

import dataclasses

import torch

from gpr_core.models.config import RecursionConfig
from gpr_core.models.routing import ExpertChoice
from tests.timelines import SMALL, change_after, make_batch, make_model, take_user

USER = "UOOEOIOEIOIEOOEIE"
OTHER = "UOEIOEIIEOE"
CONFIG = dataclasses.replace(
    SMALL, recursion=RecursionConfig(router="expert_choice", max_depth=3, keys="active")
)


def make_router_model():
    """A model in serving mode whose auxiliary router says yes and no."""
    model = make_model(CONFIG)
    with torch.no_grad():
        model.hsd.router.serving_RD.normal_()
    return model


def is_blind_to_the_future(model, batch):
    """Change all that comes after each early readout; compare the readout bit for bit."""
    before = model.read(batch)
    for row in range(3):
        after = model.read(change_after(batch, 0, int(batch.readout_BR[0, row])))
        if not torch.equal(before.readout_MD[row], after.readout_MD[row]):
            return False
    return True


def is_blind_to_others(model, batch):
    """Read the first user alone and in a batch."""
    rows = int((batch.readout_BR[0] >= 0).sum())
    together = model.read(batch).readout_MD[:rows]
    alone = model.read(take_user(batch, 0)).readout_MD
    return torch.allclose(alone, together, atol=1e-5)


def best_of_the_sequence(router, x_GD, groups, taken):
    """Serve with the selection of training."""
    router.training = True
    step = HONEST(router, x_GD, groups, taken)
    router.training = False
    return step


def best_of_the_batch(router, x_GD, groups, taken):
    """Serve with the better half of all tokens of all users."""
    step = HONEST(router, x_GD, groups, taken)
    return step._replace(is_active_G=step.logit >= step.logit.median())


HONEST = ExpertChoice.choose


def test_serving_ignores_later_tokens_and_other_users():
    model, batch = make_router_model(), make_batch(USER, OTHER)
    shares_R = model.read(batch).routing.depth_share_R
    assert bool((shares_R > 0).all())
    assert is_blind_to_the_future(model, batch)
    assert is_blind_to_others(model, batch)


def test_the_check_finds_a_selection_over_the_whole_sequence(monkeypatch):
    monkeypatch.setattr(ExpertChoice, "choose", best_of_the_sequence)
    assert not is_blind_to_the_future(make_router_model(), make_batch(USER, OTHER))


def test_the_check_finds_a_selection_over_the_batch(monkeypatch):
    monkeypatch.setattr(ExpertChoice, "choose", best_of_the_batch)
    assert not is_blind_to_others(make_router_model(), make_batch(USER, OTHER))
