"""GPR on item tokens: what a state sees, what items are made of, what the heads learn."""

import numpy as np
import pytest
import torch

from gpr_core.models.config import ModelConfig
from gpr_core.sequential.gpr import ItemCatalog, SequenceGpr
from gpr_core.sequential.item_attributes import ItemAttributes
from gpr_core.sequential.sequences import Histories
from gpr_core.support.seeding import seed_global_torch, torch_stream

PATHS = np.array([[0, 1], [0, 0], [1, 1], [1, 0], [1, 1]])
ATTRIBUTES = ItemAttributes(
    attribute_N=np.array([0, 0, 1, 2]),
    offset_A=np.array([0, 1, 3, 3, 4]),
    num_attributes=3,
    texts=("",) * 5,
)
NOTHING = ItemAttributes(np.zeros(0, np.int64), np.zeros(5, np.int64), 0, ("",) * 5)


def make(*, attributes=ATTRIBUTES, num_heads=1, future_weight=0.5):
    seed_global_torch(0, "test")
    config = ModelConfig(
        width=8,
        attention_heads=2,
        hsd_layers=1,
        mask="causal",
        dropout=0.0,
        num_heads=num_heads,
        max_distance=8,
    )
    catalog = ItemCatalog(PATHS, (2, 2), attributes)
    return SequenceGpr(catalog, config, max_items=4, future_weight=future_weight).eval()


def stream():
    return torch_stream(0, "test")


def states(model, items):
    return model._understand(items, model.item_vectors())


def test_an_item_is_its_codes_its_attributes_and_itself():
    model = make()
    level_1, level_2 = model.codes.level(0), model.codes.level(1)
    vector = model.item_vectors()
    expected = level_1[0] + level_2[0] + model.attribute_FD[0] + model.attribute_FD[1]
    assert torch.allclose(vector[1], expected + model.item_AD[1], atol=1e-6)
    # Item 2 has no attribute.
    assert torch.allclose(vector[2], level_1[1] + level_2[1] + model.item_AD[2], atol=1e-6)


def test_items_without_attributes_are_codes_and_themselves():
    model = make(attributes=NOTHING)
    codes = model.codes.level(0)[1] + model.codes.level(1)[1]
    assert torch.allclose(model.item_vectors()[4], codes + model.item_AD[4], atol=1e-6)


def test_a_state_depends_on_every_item_up_to_its_own_and_on_none_after():
    model = make()
    items = torch.tensor([[0, 1, 2, 3]])
    before = states(model, items)
    for changed in range(4):
        other = items.clone()
        other[0, changed] = 4
        moved = (states(model, other) - before).abs().amax(-1)[0] > 1e-6
        assert moved.tolist() == [position >= changed for position in range(4)]


def test_longer_neighbours_change_nothing():
    model = make()
    alone = states(model, torch.tensor([[3, 1]]))
    beside = states(model, torch.tensor([[3, 1, -1, -1], [0, 1, 2, 3]]))
    assert torch.allclose(beside[:1, :2], alone, atol=1e-6)


def test_scores_are_log_probabilities_of_the_item_after_the_last_one():
    model = make()
    history = Histories(np.array([0, 1, 2, 3, 4, 2]), np.array([0, 5, 6]))
    score = torch.from_numpy(model.score(history))
    assert torch.allclose(score.exp().sum(1), torch.ones(2))
    last = states(model, torch.tensor([[1, 2, 3, 4]]))[0, -1] @ model.item_vectors().T
    assert torch.allclose(score[0], last.log_softmax(0), atol=1e-5)


def test_the_product_of_level_conditionals_is_the_softmax_over_items():
    model = make()
    probability = np.exp(model.score(Histories(np.array([0]), np.array([0, 1])))[0])
    for item, path in enumerate(PATHS):
        product, below = 1.0, np.ones(len(PATHS), dtype=bool)
        for level, code in enumerate(path):
            deeper = below & (PATHS[:, level] == code)
            product *= probability[deeper].sum() / probability[below].sum()
            below = deeper
        product *= probability[item] / probability[below].sum()
        assert product == pytest.approx(probability[item], rel=1e-5)


def test_the_first_head_predicts_the_next_item_and_the_others_those_after():
    model = make(num_heads=3, future_weight=0.6)
    items = torch.tensor([[0, 1, 2, 3], [4, 2, -1, -1]])
    state, vector = states(model, items[:, :-1]), model.item_vectors()

    def loss(pairs, head):
        scores = [(head(state[row, at]) @ vector.T).log_softmax(0)[item] for row, at, item in pairs]
        return -torch.stack(scores).mean()

    first = loss([(0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 0, 2)], lambda x: x)
    second = loss([(0, 0, 2), (0, 1, 3)], model.heads[0])
    third = loss([(0, 0, 3)], model.heads[1])
    # One over the distance, together 0.6: distances 1 and 2.
    expected = first + 0.4 * second + 0.2 * third
    assert model.loss(items, stream()).item() == pytest.approx(expected.item(), rel=1e-5)


def test_sequences_too_short_for_a_head_teach_the_others():
    model = make(num_heads=4)
    loss = model.loss(torch.tensor([[0, 1]]), stream())
    assert loss.item() == pytest.approx(make().loss(torch.tensor([[0, 1]]), stream()).item())
