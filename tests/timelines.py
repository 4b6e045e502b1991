"""Small timelines and models for tests: a user is a word over U, O, E, I."""

import torch

from gpr_core.data.tables import TokenKind
from gpr_core.features.batch import TimelineBatch
from gpr_core.features.fields import FIELDS, NUM_FIELDS
from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.support.seeding import seed_global_torch, torch_stream

SIZES = (4, 3, 5)
KINDS = {"U": 0, "O": 1, "E": 2, "I": 3, ".": 4}
SMALL = ModelConfig(
    width=16,
    attention_heads=2,
    hsd_layers=3,
    ptd_layers=2,
    num_thoughts=3,
    num_heads=2,
    max_distance=8,
    memory_tokens=64,
)


def make_kinds(*users):
    """Turn words like "UOE" into [B, T] kinds, padded to the longest."""
    longest = max(map(len, users))
    return torch.tensor([[KINDS[letter] for letter in word.ljust(longest, ".")] for word in users])


def make_segments(kind_BT):
    """Count the environment tokens strictly before each position."""
    is_environment_BT = (kind_BT == TokenKind.ENVIRONMENT).long()
    return is_environment_BT.cumsum(1) - is_environment_BT


def make_batch(*users, seed=0, num_readouts=None, sizes=SIZES):
    """Make a batch with random content; every E is a readout, or the last `num_readouts` do."""
    draw = torch_stream(seed, "test-timelines")
    kind_BT = make_kinds(*users)
    shape = kind_BT.shape
    has_sid_BT = (kind_BT == TokenKind.ORGANIC) | (kind_BT == TokenKind.ITEM)
    codes = [torch.randint(0, size, shape, generator=draw) for size in sizes]
    feat_BTF = torch.zeros(*shape, NUM_FIELDS, dtype=torch.int64)
    for kind, fields in FIELDS.items():
        for idx, field in enumerate(fields):
            value_BT = torch.randint(0, field.size, shape, generator=draw)
            feat_BTF[..., idx] = torch.where(kind_BT == kind, value_BT, feat_BTF[..., idx])
    gap_BT = torch.randint(0, 9_000_000, shape, generator=draw)
    is_real_BT = kind_BT != TokenKind.PAD
    places = [torch.nonzero(row_T == TokenKind.ENVIRONMENT)[:, 0].tolist() for row_T in kind_BT]
    places = [row if num_readouts is None else row[-num_readouts:] for row in places]
    longest = max(map(len, places))
    readout_BR = torch.tensor([row + [-1] * (longest - len(row)) for row in places])
    return TimelineBatch(
        kind_BT=kind_BT,
        sid_BTL=torch.stack(codes, dim=-1) * has_sid_BT[..., None],
        has_sid_BT=has_sid_BT,
        feat_BTF=feat_BTF,
        ts_BT=gap_BT.cumsum(1) * is_real_BT,
        seg_BT=make_segments(kind_BT),
        readout_BR=readout_BR,
        request_key_BR=torch.where(readout_BR >= 0, readout_BR + 100, 0),
        user_key_B=torch.arange(1, len(users) + 1),
        thought_BRP=torch.randint(0, 100, (*readout_BR.shape, 5), generator=draw),
    )


def take_user(batch, user, length=None):
    """Cut one user out of a batch, to its first `length` tokens."""
    cut = slice(None, length)
    one = batch._replace(
        **{
            name: getattr(batch, name)[user : user + 1, cut]
            for name in ("kind_BT", "sid_BTL", "has_sid_BT", "feat_BTF", "ts_BT", "seg_BT")
        },
        readout_BR=batch.readout_BR[user : user + 1],
        request_key_BR=batch.request_key_BR[user : user + 1],
        user_key_B=batch.user_key_B[user : user + 1],
        thought_BRP=batch.thought_BRP[user : user + 1],
    )
    if length is None:
        return one
    column = batch.readout_BR[user].tolist().index(length - 1)
    return one._replace(
        readout_BR=torch.tensor([[length - 1]]),
        request_key_BR=batch.request_key_BR[user : user + 1, column : column + 1],
        thought_BRP=batch.thought_BRP[user : user + 1, column : column + 1],
    )


def make_model(config=SMALL, *, sizes=SIZES, seed=0):
    """Make a model in evaluation mode whose parameters are all non-trivial."""
    seed_global_torch(seed, "test-model")
    model = GPR(config, sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2 or not bool(parameter.abs().sum() > 0):
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
        for block in model.hsd.blocks:
            block.bias.time_HC.normal_()
            block.bias.distance_HC.normal_()
    return model.eval()


def change_after(batch, user, position, *, seed=9):
    """Change everything that comes after a position of one user, times and kinds included.

    Kinds are permuted, so that each kind keeps its number of tokens and every matrix product its
    shape: what remains equal must be equal bit for bit.
    """
    draw = torch_stream(seed, "test-change")
    later = slice(position + 1, None)
    order = torch.randperm(batch.kind_BT.shape[1] - position - 1, generator=draw)
    changed = {name: getattr(batch, name).clone() for name in batch._fields}
    changed["kind_BT"][user, later] = batch.kind_BT[user, later][order]
    kind_BT = changed["kind_BT"]
    other = make_batch(*("".join("UOEI."[int(kind)] for kind in row) for row in kind_BT), seed=seed)
    changed["readout_BR"] = other.readout_BR
    for name in ("sid_BTL", "has_sid_BT", "feat_BTF", "seg_BT"):
        changed[name][user, later] = getattr(other, name)[user, later]
    last = changed["ts_BT"][user, position]
    changed["ts_BT"][user, later] = last + other.ts_BT[user, later]
    return TimelineBatch(**changed)
