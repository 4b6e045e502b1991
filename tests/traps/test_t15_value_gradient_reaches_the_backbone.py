"""T15: no value loss may change HSD, PTD or the embeddings.

Broken twin: an evaluator whose inputs are not detached.
"""

import torch

from gpr_core.models.hte import HTE
from tests.timelines import make_batch, make_model


def losses(model):
    """The critic loss and the item loss of one batch."""
    state = model.read(make_batch("UOEIOE", "UEIE"))
    rows = torch.arange(len(state.row_batch_M))
    paths_NL = torch.tensor([[0, 1, 2], [3, 2, 1], [1, 0, 4], [2, 2, 0]])
    value_losses = [
        (model.prefix_values(state, rows, paths_NL[:, :length]) - 1.0).square().mean()
        for length in range(3)
    ]
    items = model.item_values(state, rows, paths_NL, torch.ones(4, 5, dtype=torch.int64))
    return [sum(value_losses), items.p_ctcvr_N.log().mean() + items.p_neg_N.mean()]


def touched(model, loss):
    """Top-level modules that get a gradient from a loss."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}


def test_value_losses_touch_the_evaluator_only():
    model = make_model()
    assert [touched(model, loss) for loss in losses(model)] == [{"hte"}, {"hte"}]


def test_the_check_finds_an_evaluator_that_is_not_detached(monkeypatch):
    monkeypatch.setattr(HTE, "state", lambda _self, *parts: torch.cat(parts, dim=1))
    model = make_model()
    assert {"hsd", "ptd", "inputs"} <= touched(model, losses(model)[0])
