"""T02: thoughts, codes and values must not read intent embeddings after the readout.

Broken twin: a memory of the whole sequence.
"""

import torch

import gpr_core.models.gpr
from gpr_core.data.tables import TokenKind
from tests.timelines import SMALL, change_after, make_batch, make_model

USER = "UOOEOIOEIOIEOOEIE"
OTHER = "UOEIOEIIEOE"


def outputs(model, batch, row):
    """Everything that the model says about one readout."""
    state = model.read(batch)
    rows = torch.full((2 * SMALL.num_heads,), row)
    heads = torch.arange(SMALL.num_heads).repeat(2)
    paths_NL = torch.tensor([[1, 2, 0], [0, 0, 4], [3, 1, 1], [2, 0, 3]])
    logits = model.candidate_logits(state, rows, heads, paths_NL)
    items = model.item_values(state, rows, paths_NL, torch.ones(len(rows), 5, dtype=torch.int64))
    values = model.prefix_values(state, rows, paths_NL[:, :2])
    return [state.intent.thought_MKD[row], *logits, *items, values]


def is_blind_to_the_future(model, batch):
    """Change all that comes after each early readout; compare all outputs bit for bit."""
    for row in range(3):
        changed = change_after(batch, 0, int(batch.readout_BR[0, row]))
        before, after = outputs(model, batch, row), outputs(model, changed, row)
        if not all(torch.equal(one, two) for one, two in zip(before, after, strict=True)):
            return False
    return True


def whole_sequence(kind_BT, row_batch_M, position_M, memory_tokens):
    """Let every readout read all valid tokens of its user."""
    return (kind_BT != TokenKind.PAD).index_select(0, row_batch_M)


def test_generation_and_values_ignore_everything_after_the_readout():
    assert is_blind_to_the_future(make_model(), make_batch(USER, OTHER))


def test_the_check_finds_a_memory_of_the_whole_sequence(monkeypatch):
    monkeypatch.setattr(gpr_core.models.gpr, "memory_mask", whole_sequence)
    assert not is_blind_to_the_future(make_model(), make_batch(USER, OTHER))
