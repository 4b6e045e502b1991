"""Prefixes that grow code by code."""

import torch

from tests.timelines import SIZES, make_batch, make_model


def make_prefixes():
    """Three prefixes of two readouts, and the model."""
    model = make_model()
    state = model.read(make_batch("UOEIOE", "UEIE"))
    return model, state, model.begin(state, torch.tensor([0, 3, 0]), torch.tensor([1, 0, 0]))


def test_siblings_share_a_parent_and_are_scored_as_whole_paths():
    model, state, roots = make_prefixes()
    parents, codes = torch.tensor([2, 0, 0, 1]), torch.tensor([1, 3, 0, 3])
    children = model.extend(roots, parents, codes)
    rows, heads = torch.tensor([0, 0, 0, 3]), torch.tensor([0, 1, 1, 0])
    paths = torch.nn.functional.pad(codes[:, None], (0, len(SIZES) - 1))
    expected = model.candidate_logits(state, rows, heads, paths)[1]
    torch.testing.assert_close(model.child_logits(children), expected, atol=1e-5, rtol=1e-5)


def test_extending_leaves_the_parents_as_they_are():
    model, _, roots = make_prefixes()
    before = model.child_logits(roots)
    model.extend(roots, torch.tensor([0, 0]), torch.tensor([1, 2]))
    assert torch.equal(model.child_logits(roots), before)
    assert roots.codes_NP.shape == (3, 0)


def test_only_the_new_code_is_computed(monkeypatch):
    model, _, roots = make_prefixes()
    layer = type(model.ptd.generate.decoder.layers[0])
    run, seen = layer.step, []

    def spy(self, x_ND, **others):
        seen.append(len(x_ND))
        return run(self, x_ND, **others)

    monkeypatch.setattr(layer, "step", spy)
    monkeypatch.setattr(layer, "forward", None)
    longer = model.extend(roots, torch.tensor([0, 1]), torch.tensor([1, 2]))
    model.extend(longer, torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1]))
    num_layers = len(model.ptd.generate.decoder.layers)
    assert seen == [2] * num_layers + [3] * num_layers


def test_joined_prefixes_go_on_as_they_would_alone():
    model, _, roots = make_prefixes()
    one = model.extend(roots, torch.tensor([0]), torch.tensor([3]))
    other = model.extend(roots, torch.tensor([2, 1]), torch.tensor([0, 2]))
    both = model.join([one, other])
    assert both.codes_NP.tolist() == [[3], [0], [2]]
    longer = model.extend(both, torch.tensor([2, 0]), torch.tensor([1, 1]))
    alone = model.extend(other, torch.tensor([1]), torch.tensor([1]))
    torch.testing.assert_close(
        model.child_logits(longer)[:1], model.child_logits(alone), atol=1e-6, rtol=0
    )
