"""Tests of external knowledge in the memory."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from gpr_core.models.external_knowledge import ExternalKnowledge
from gpr_core.models.gpr import GPR
from gpr_core.support.errors import ConfigError, ContractError, ShapeError
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.leak_probe import leak_probe
from tests.prefixes import logits_after
from tests.timelines import SIZES, SMALL, make_batch, make_model

CONFIG = dataclasses.replace(SMALL, knowledge_vectors=2, dropout=0.0)
USERS = ("UOOEIOEIIOE", "UEOOIEOUE")
ROWS, COLUMNS = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])


def make():
    """Make the module, a memory of four tokens and what three readouts of two users may read."""
    seed_global_torch(0, "knowledge")
    knowledge = ExternalKnowledge(CONFIG)
    memory_BTD = torch.randn(2, 4, SMALL.width)
    visible_MT = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]]).bool()
    return knowledge, memory_BTD, visible_MT


def outputs(model, batch):
    """Level-1 logits and values of all readouts."""
    state = model.read(batch)
    rows = torch.arange(len(state.row_batch_M))
    nothing = torch.zeros(len(rows), 0, dtype=torch.int64)
    logits = logits_after(model, state, rows, rows * 0, nothing)
    return [logits, model.prefix_values(state, rows, nothing)]


def test_a_readout_reads_its_own_thought_only():
    knowledge, memory_BTD, visible_MT = make()
    thought_BRP = torch.tensor([[[5, 6], [7, 0]], [[8, 8], [0, 0]]])
    memory_BZD, score_MZ = knowledge(thought_BRP, ROWS, COLUMNS, memory_BTD, visible_MT)
    assert memory_BZD.shape == (2, 8, SMALL.width)
    assert torch.equal(memory_BZD[:, :4], memory_BTD)
    assert score_MZ.isfinite().int().tolist() == [
        [1, 1, 0, 0, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0, 1, 1],
        [0, 1, 0, 0, 1, 1, 0, 0],
    ]
    weight = torch.tanh(torch.tensor(0.1))
    torch.testing.assert_close(score_MZ[0, 4:6].exp(), weight.expand(2))
    assert score_MZ[0, :2].tolist() == [0.0, 0.0]


def test_a_thought_is_the_mean_of_its_words_through_the_network():
    knowledge, memory_BTD, visible_MT = make()
    thought_BRP = torch.tensor([[[5, 6, 0], [7, 0, 0]], [[8, 8, 3], [0, 0, 0]]])
    memory_BZD, _ = knowledge(thought_BRP, ROWS, COLUMNS, memory_BTD, visible_MT)
    mean_D = (knowledge.word_VD[5] + knowledge.word_VD[6]) / 2
    out_X = knowledge.outer.weight @ F.silu(
        knowledge.inner.weight @ mean_D + knowledge.inner.bias
    ) + (knowledge.outer.bias)
    expected_ID = F.layer_norm(out_X.view(2, -1), (SMALL.width,)) + knowledge.kind_D
    torch.testing.assert_close(memory_BZD[0, 4:6], expected_ID)


def test_an_empty_thought_is_not_read():
    knowledge, memory_BTD, visible_MT = make()
    nothing_BRP = torch.zeros(2, 2, 3, dtype=torch.int64)
    _, score_MZ = knowledge(nothing_BRP, ROWS, COLUMNS, memory_BTD, visible_MT)
    assert not score_MZ[:, 4:].isfinite().any()


def without_knowledge(model):
    """The model without thoughts that has the other weights of a model."""
    plain = GPR(dataclasses.replace(CONFIG, knowledge_vectors=0), SIZES).eval()
    weights = model.state_dict()
    plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
    return plain


def test_a_closed_gate_is_the_model_without_thoughts():
    model, batch = make_model(CONFIG), make_batch(*USERS)
    expected = outputs(without_knowledge(model), batch)
    assert not torch.allclose(outputs(model, batch)[0], expected[0], atol=1e-4)
    with torch.no_grad():
        model.knowledge.gate.zero_()
    for found, plain in zip(outputs(model, batch), expected, strict=True):
        torch.testing.assert_close(found, plain, atol=1e-6, rtol=1e-6)


def test_where_nothing_is_said_it_is_the_model_without_thoughts():
    model, batch = make_model(CONFIG), make_batch(*USERS)
    expected = outputs(without_knowledge(model), batch)
    found = outputs(model, batch._replace(thought_BRP=torch.zeros_like(batch.thought_BRP)))
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-6, rtol=1e-6)


def test_timelines_of_a_step_that_forgot_thoughts_are_refused():
    batch = make_batch(*USERS)
    forgot = batch._replace(thought_BRP=batch.thought_BRP[:, :, :0])
    with pytest.raises(ConfigError, match="its timelines were loaded without thoughts"):
        make_model(CONFIG).read(forgot)
    make_model().read(forgot)


def test_the_model_without_the_part_ignores_thoughts():
    batch = make_batch(*USERS)
    other = batch._replace(thought_BRP=batch.thought_BRP + 1)
    assert torch.equal(outputs(make_model(), batch)[0], outputs(make_model(), other)[0])


def test_thoughts_do_not_open_the_sequence():
    assert leak_probe(make_model(CONFIG), make_batch("UOEOIOEIE", "UOEIOEIE"), seed=0) == 0.0


def test_all_of_it_learns():
    model = make_model(CONFIG)
    outputs(model, make_batch(*USERS))[0].square().sum().backward()
    for name, parameter in model.knowledge.named_parameters():
        assert bool(parameter.grad.any()), name
        assert bool(parameter.grad.isfinite().all()), name


def test_shuffling_thoughts_between_users_removes_the_gain():
    # All users have the same history: only the thought tells which ad is next.
    one = make_batch("UOE")
    batch = type(one)(*(part.expand(8, *part.shape[1:]) for part in one))
    target_M = torch.arange(8) % 4
    words_BRP = torch.stack([target_M + 10, target_M * 0 + 50], dim=1)[:, None]
    batch = batch._replace(thought_BRP=words_BRP)
    model = make_model(CONFIG).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def loss(thoughts_BRP):
        logits = outputs(model, batch._replace(thought_BRP=thoughts_BRP))[0]
        return F.cross_entropy(logits, target_M)

    for _ in range(60):
        value = loss(words_BRP)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    own, other = loss(words_BRP).item(), loss(words_BRP.roll(1, dims=0)).item()
    uniform = torch.tensor(4.0).log().item()
    assert own < 0.3 * uniform < uniform < other


def test_words_and_shapes_are_checked():
    model, batch = make_model(CONFIG), make_batch("UOE")
    with pytest.raises(ContractError, match=r"1 words of thoughts are outside \[0, 8192\)"):
        model.read(batch._replace(thought_BRP=torch.tensor([[[8192]]])))
    with pytest.raises(ShapeError, match=r"thought_BRP has shape \[2, 1, 1\]"):
        model.read(batch._replace(thought_BRP=torch.zeros(2, 1, 1, dtype=torch.int64)))


def test_a_model_without_memory_gets_the_mean_vector_in_its_readout():
    knowledge, *_ = make()
    thought_BRP = torch.tensor([[[5, 6], [7, 0]], [[0, 0], [8, 8]]])
    readout_MD = torch.randn(3, SMALL.width)
    added_MD = knowledge.add_to_readout(thought_BRP, ROWS, COLUMNS, readout_MD) - readout_MD
    assert not added_MD[2].any()
    memory_BZD, _ = knowledge(
        thought_BRP, ROWS, COLUMNS, torch.zeros(2, 0, SMALL.width), torch.ones(3, 0).bool()
    )
    expected_D = torch.tanh(torch.tensor(0.1)) * memory_BZD[0, 2:4].mean(0)
    torch.testing.assert_close(added_MD[1], expected_D)


def test_knowledge_in_the_readout_stays_with_its_request():
    config = dataclasses.replace(CONFIG, num_thoughts=0, generates_from_memory=False)
    assert leak_probe(make_model(config), make_batch(*USERS), seed=0) == 0.0
