"""T01: a readout must not depend on anything after itself, at any depth.

Broken twins: Eq 2 as it is printed, and segments counted by item tokens.
"""

import torch

import gpr_core.models.gpr
from gpr_core.data.tables import TokenKind
from gpr_core.models import masks
from gpr_core.models.masks import segment_hybrid_peers
from tests.timelines import change_after, make_batch, make_model

# An organic token stands between the first request and its impression: the classic leak.
USER = "UOOEOIOEIOIEOOEIE"
OTHER = "UOEIOEIIEOE"
NUM_CHECKED = 3


def is_blind_to_the_future(model, batch):
    """Change all that comes after each early readout; compare the readout bit for bit."""
    before = model.read(batch)
    for row in range(NUM_CHECKED):
        changed = change_after(batch, 0, int(batch.readout_BR[0, row]))
        after = model.read(changed)
        if not torch.equal(before.readout_MD[row], after.readout_MD[row]):
            return False
    return True


def later_gradient(model, batch, row):
    """Largest gradient of one readout with respect to embedded tokens after it."""
    embedded = []
    handle = model.inputs.register_forward_hook(lambda _module, _args, out: embedded.append(out))
    try:
        state = model.read(batch)
    finally:
        handle.remove()
    [gradient_GD] = torch.autograd.grad(state.readout_MD[row].square().sum(), embedded)
    source_G = gpr_core.models.gpr.group_tokens(batch.kind_BT).source_G
    is_later_G = (source_G > int(batch.readout_BR[0, row])) & (source_G < batch.kind_BT.shape[1])
    return float(gradient_GD[is_later_G].abs().max())


def literal_equation_2(kind_BT, seg_BT):
    """Let all prompt tokens of a sequence see each other, as printed."""
    return segment_hybrid_peers(kind_BT, torch.zeros_like(seg_BT))


def count_items(batch):
    """Number segments by item tokens instead of environment tokens."""
    is_item_BT = (batch.kind_BT == TokenKind.ITEM).long()
    return batch._replace(seg_BT=is_item_BT.cumsum(1) - is_item_BT)


class ItemSegments:
    """A model that is handed the wrong segments."""

    def __init__(self, model):
        self.model = model

    def read(self, batch):
        """Read with segments that end at impressions."""
        return self.model.read(count_items(batch))


def test_readouts_ignore_everything_after_them():
    assert is_blind_to_the_future(make_model(), make_batch(USER, OTHER))


def test_readouts_have_no_gradient_from_later_tokens():
    batch, model = make_batch(USER, OTHER), make_model()
    assert [later_gradient(model, batch, row) for row in range(NUM_CHECKED)] == [0.0, 0.0, 0.0]


def test_the_check_finds_the_printed_mask(monkeypatch):
    monkeypatch.setattr(masks, "segment_hybrid_peers", literal_equation_2)
    batch, model = make_batch(USER, OTHER), make_model()
    assert not is_blind_to_the_future(model, batch)
    assert later_gradient(model, batch, 0) > 0.0


def test_the_check_finds_segments_counted_by_items():
    batch, model = make_batch(USER, OTHER), make_model()
    assert not is_blind_to_the_future(ItemSegments(model), batch)
    assert later_gradient(model, count_items(batch), 0) > 0.0
