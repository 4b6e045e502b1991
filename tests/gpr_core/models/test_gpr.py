"""Tests of the whole model: its two interfaces agree, and layouts and batches do not matter."""

import dataclasses
import itertools

import pytest
import torch

from gpr_core.models.gpr import GPR
from gpr_core.objectives.code_loss import code_loss, path_logp
from gpr_core.objectives.masked_softmax import masked_log_softmax
from gpr_core.support.errors import ConfigError, ContractError, ShapeError
from gpr_core.support.seeding import seed_global_torch, torch_stream
from tests.prefixes import logits_after
from tests.timelines import SIZES, SMALL, make_batch, make_model, take_user

USERS = ("UOOEIOEIIOE", "UEOOIEOUE", "UOE")
HEADS = SMALL.num_heads


def draw_paths(rows, heads=HEADS):
    """Draw [M, J, L] paths."""
    draw = torch_stream(1, "paths")
    levels = [torch.randint(0, size, (rows, heads), generator=draw) for size in SIZES]
    return torch.stack(levels, dim=-1)


def all_rows(state):
    """Number of readouts of a state."""
    return len(state.row_batch_M)


def test_there_is_one_row_per_valid_readout_in_user_order():
    state = make_model().read(make_batch(*USERS))
    assert state.row_batch_M.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert state.readout_MD.shape == (7, SMALL.width)
    assert state.intent.thought_MKD.shape == (7, SMALL.num_thoughts, SMALL.width)


def test_prefix_and_interleaved_layouts_read_the_same():
    model = make_model()
    users = ["UOOEIOEIIOE", "UEOOIEOUEI", "UOUOEOIEE", "UEIOIOEOOE"]
    batch = make_batch(*users, seed=3)
    state = model.read(batch)
    paths_MJL = draw_paths(all_rows(state))
    logits = model.path_logits(state, paths_MJL)
    for row, user in enumerate(state.row_batch_M.tolist()):
        position = batch.readout_BR[user][batch.readout_BR[user] >= 0][
            row - int((state.row_batch_M < user).sum())
        ]
        alone = model.read(take_user(batch, user, int(position) + 1))
        torch.testing.assert_close(alone.readout_MD[0], state.readout_MD[row], atol=1e-5, rtol=1e-5)
        for level, found in enumerate(model.path_logits(alone, paths_MJL[row : row + 1])):
            torch.testing.assert_close(found[0], logits[level][row], atol=1e-5, rtol=1e-5)


def test_one_user_alone_and_in_a_batch_are_read_alike():
    model = make_model()
    batch = make_batch(*USERS, num_readouts=1)
    together = model.read(batch)
    rows, heads = torch.arange(3), torch.tensor([1, 0, 1])
    prefix = torch.tensor([[1, 2], [0, 1], [3, 0]])
    logits = logits_after(model, together, rows, heads, prefix)
    values = model.prefix_values(together, rows, prefix[:, :1])
    for user in range(3):
        alone = model.read(take_user(batch, user))
        zero = torch.tensor([0])
        one = slice(user, user + 1)
        found = logits_after(model, alone, zero, heads[one], prefix[one])
        torch.testing.assert_close(found, logits[one], atol=1e-5, rtol=1e-5)
        found = model.prefix_values(alone, zero, prefix[one, :1])
        torch.testing.assert_close(found, values[one], atol=1e-5, rtol=1e-5)


def test_children_of_prefixes_and_whole_paths_have_the_same_logits():
    model = make_model()
    state = model.read(make_batch(*USERS))
    paths_MJL = draw_paths(all_rows(state))
    whole = model.path_logits(state, paths_MJL)
    pairs = torch.cartesian_prod(torch.arange(all_rows(state)), torch.arange(HEADS))
    order = torch.randperm(len(pairs), generator=torch_stream(0, "order"))
    rows, heads = pairs[order].T
    for level in range(len(SIZES)):
        prefix = paths_MJL[rows, heads, :level]
        found = logits_after(model, state, rows, heads, prefix)
        torch.testing.assert_close(found, whole[level][rows, heads], atol=1e-5, rtol=1e-5)


def test_probabilities_sum_to_one_at_each_level_and_over_all_paths():
    model = make_model()
    state = model.read(make_batch("UOE"))
    paths = [(0, 0, 0), (0, 0, 4), (0, 2, 1), (3, 1, 1), (3, 1, 2), (3, 1, 3)]
    paths_NL = torch.tensor(paths)
    zeros = torch.zeros(len(paths), dtype=torch.int64)
    for head in range(HEADS):
        logits = model.candidate_logits(state, zeros, zeros + head, paths_NL)
        total_N = torch.zeros(len(paths))
        for level, logits_NV in enumerate(logits):
            legal_NV = torch.zeros_like(logits_NV, dtype=torch.bool)
            for row, other in itertools.product(range(len(paths)), paths):
                if other[:level] == paths[row][:level]:
                    legal_NV[row, other[level]] = True
            logp_NV = masked_log_softmax(logits_NV, legal_NV)
            torch.testing.assert_close(logp_NV.exp().sum(dim=1), torch.ones(len(paths)))
            total_N += logp_NV.gather(1, paths_NL[:, level, None])[:, 0]
        torch.testing.assert_close(total_N.exp().sum(), torch.tensor(1.0))


def only_first_head(model):
    """Copy a model, keeping its first head alone."""
    single = GPR(dataclasses.replace(SMALL, num_heads=1), SIZES)
    tensors = model.state_dict()
    width = SMALL.width
    for name in ("ptd.generate.head_JD", "ptd.generate.project_out_JDD"):
        tensors[name] = tensors[name][:1]
    for name in ("ptd.generate.project_bos.weight", "ptd.generate.project_bos.bias"):
        tensors[name] = tensors[name][:width]
    tensors["head_weights_J"] = torch.ones(1)
    single.load_state_dict(tensors)
    return single.eval()


def test_heads_do_not_see_each_other():
    model = make_model()
    single = only_first_head(model)
    batch = make_batch(*USERS)
    paths_MJL = draw_paths(7)
    both = model.path_logits(model.read(batch), paths_MJL)
    alone = single.path_logits(single.read(batch), paths_MJL[:, :1])
    for level in range(len(SIZES)):
        torch.testing.assert_close(alone[level][:, 0], both[level][:, 0], atol=1e-5, rtol=1e-5)


def test_one_head_is_next_token_prediction():
    model = only_first_head(make_model())
    state = model.read(make_batch(*USERS))
    paths_MJL, ok_MJ = draw_paths(7, heads=1), torch.ones(7, 1, dtype=torch.bool)
    legal = [torch.ones(7, 1, size, dtype=torch.bool) for size in SIZES]
    logp_MJL = path_logp(model.path_logits(state, paths_MJL), paths_MJL, legal, ok_MJ)
    found = code_loss(logp_MJL, ok_MJ, model.head_weights_J).loss
    rows, heads = torch.arange(7), torch.zeros(7, dtype=torch.int64)
    per_level = [
        torch.nn.functional.cross_entropy(
            logits_after(model, state, rows, heads, paths_MJL[:, 0, :level]), paths_MJL[:, 0, level]
        )
        for level in range(len(SIZES))
    ]
    torch.testing.assert_close(found, torch.stack(per_level).mean())


def test_equal_parameters_of_all_kinds_are_the_shared_model():
    aware = make_model()
    shared = GPR(
        dataclasses.replace(SMALL, token_aware_norm=False, token_aware_ffn=False), SIZES
    ).eval()
    tensors = aware.state_dict()
    for name, tensor in shared.state_dict().items():
        if tensor.shape != tensors[name].shape:
            tensors[name] = tensors[name][:1].expand_as(tensors[name])
    aware.load_state_dict(tensors)
    shared.load_state_dict(
        {name: tensors[name][: len(t)] if t.ndim else t for name, t in shared.state_dict().items()}
    )
    batch = make_batch(*USERS)
    torch.testing.assert_close(
        aware.read(batch).readout_MD, shared.read(batch).readout_MD, atol=1e-5, rtol=1e-5
    )


def test_the_causal_mask_is_another_model():
    causal = GPR(dataclasses.replace(SMALL, mask="causal"), SIZES).eval()
    model = make_model()
    causal.load_state_dict(model.state_dict())
    batch = make_batch(*USERS)
    assert not torch.equal(causal.read(batch).readout_MD, model.read(batch).readout_MD)


def test_a_short_memory_forgets_old_tokens_but_not_the_user():
    batch = make_batch("UOOOOE")
    short = make_model(dataclasses.replace(SMALL, memory_tokens=1))
    seen = short.read(batch).intent.start.visible_MT
    assert seen.int().tolist() == [[1, 0, 0, 0, 0, 1]]


def train_twice(num_updates):
    """Train a fresh model and give its weights."""
    model = make_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    batch, paths_MJL = make_batch(*USERS), draw_paths(7)
    ok_MJ = torch.ones(7, HEADS, dtype=torch.bool)
    legal = [torch.ones(7, HEADS, size, dtype=torch.bool) for size in SIZES]
    losses = []
    for update in range(num_updates):
        seed_global_torch(0, "dropout", update)
        logits = model.path_logits(model.read(batch), paths_MJL)
        loss = code_loss(path_logp(logits, paths_MJL, legal, ok_MJ), ok_MJ, model.head_weights_J)
        optimizer.zero_grad()
        loss.loss.backward()
        optimizer.step()
        losses.append(loss.loss.item())
    return losses, model.state_dict()


def test_training_is_deterministic_and_learns_by_heart():
    losses, weights = train_twice(60)
    losses_again, weights_again = train_twice(60)
    assert losses == losses_again
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)
    assert losses[-1] < 0.25 * losses[0]


def test_every_parameter_learns_from_codes_or_values():
    model = make_model()
    state = model.read(make_batch(*USERS))
    logits = model.path_logits(state, draw_paths(7))
    rows, paths_NL = torch.arange(7), draw_paths(7)[:, 0]
    ads = torch.ones(7, 5, dtype=torch.int64)
    items = model.item_values(state, rows, paths_NL, ads)
    total = sum(level.square().sum() for level in logits) + items.p_ctcvr_N.sum()
    total = total + items.p_neg_N.sum() + model.prefix_values(state, rows, paths_NL[:, :2]).sum()
    total.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_two_code_levels_or_one_work_too():
    for sizes in ((4, 3), (4,)):
        model = make_model(sizes=sizes)
        state = model.read(make_batch("UOE", sizes=sizes))
        paths_MJL = torch.zeros(1, HEADS, len(sizes), dtype=torch.int64)
        shapes = [tuple(level.shape) for level in model.path_logits(state, paths_MJL)]
        assert shapes == [(1, HEADS, size) for size in sizes]


def test_the_heads_start_with_equal_weights():
    assert make_model().head_weights_J.tolist() == [0.5, 0.5]


def test_a_batch_without_readouts_is_refused():
    batch = make_batch("UOE")
    with pytest.raises(ShapeError, match="the batch has no valid readout"):
        make_model().read(batch._replace(readout_BR=torch.tensor([[-1]])))


def test_a_readout_that_is_no_request_is_refused():
    batch = make_batch("UOE")
    with pytest.raises(
        ContractError, match=r"1 values are no readout of this model, first at \[0, 1\]"
    ):
        make_model().read(batch._replace(readout_BR=torch.tensor([[2, 1]])))


def test_a_complete_path_has_no_children_and_no_value():
    model = make_model()
    state = model.read(make_batch("UOE"))
    zero = torch.tensor([0])
    with pytest.raises(ShapeError, match="codes_NP has 3 codes per row, expected at most 2"):
        logits_after(model, state, zero, zero, torch.tensor([[0, 0, 0]]))
    with pytest.raises(ShapeError, match="codes_NP has 3 codes per row, expected at most 2"):
        model.prefix_values(state, zero, torch.tensor([[0, 0, 0]]))


def test_arguments_of_different_length_are_refused():
    model = make_model()
    state = model.read(make_batch("UOE"))
    with pytest.raises(ShapeError, match="rows_N has shape"):
        model.prefix_values(state, torch.tensor([0, 0]), torch.tensor([[1]]))


def test_an_empty_codebook_is_refused():
    with pytest.raises(ConfigError, match=r"codebook_sizes\[1\] is 0"):
        GPR(SMALL, (4, 0))
