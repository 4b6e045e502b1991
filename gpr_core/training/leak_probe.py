"""Does a readout change when only its future changes?

Letters: B users, T tokens, R readouts, M flat rows, J heads, L levels.

Source: specification T01 and T02.
"""

import numpy as np
import torch
from torch import Tensor

from gpr_core.data.tables import TokenKind
from gpr_core.features.batch import TimelineBatch
from gpr_core.models.gpr import GPR
from gpr_core.support.seeding import torch_stream
from gpr_core.training.examples import Examples

_PROBE_WINDOWS = 32


def perturb_future(batch: TimelineBatch, position_B: Tensor, *, seed: int) -> TimelineBatch:
    """Shuffle all tokens after a position of each user, and exchange their codes among users.

    The number of tokens of each kind per user stays the same, so that a model without a leak does
    the same arithmetic on the same rows and its results must be equal to the last bit.

    Args:
        batch: Sequences.
        position_B: [B] int64; tokens at positions above it change.
        seed: Seed of the shuffle.

    Returns:
        The changed sequences; `seg_BT` is counted anew, readouts are left out except the first.
    """
    users, tokens = batch.kind_BT.shape
    generator = torch_stream(seed, "leak probe")
    place_T = torch.arange(tokens)
    is_later_BT = (place_T > position_B[:, None]) & (batch.kind_BT != TokenKind.PAD)
    draw_BT = torch.rand(users, tokens, generator=generator)
    # Earlier tokens sort to the front in their order, padding to the back.
    key_BT = torch.where(is_later_BT, tokens + draw_BT, place_T.to(torch.float32))
    key_BT = torch.where(batch.kind_BT == TokenKind.PAD, 2.0 * tokens + place_T, key_BT)
    order_BT = key_BT.argsort(dim=1, stable=True)

    def shuffled(part: Tensor) -> Tensor:
        index = order_BT.reshape(users, tokens, *[1] * (part.ndim - 2)).expand_as(part)
        return part.gather(1, index)

    kind_BT, sid_BTL = shuffled(batch.kind_BT), shuffled(batch.sid_BTL)
    other_BTL = sid_BTL.flip(0).flip(1)
    is_item_BT = is_later_BT & shuffled(batch.has_sid_BT)
    is_request_BT = (kind_BT == TokenKind.ENVIRONMENT).to(torch.int64)
    later_ts_BT = shuffled(batch.ts_BT) + torch.where(is_later_BT, 7_777_777, 0)
    return batch._replace(
        kind_BT=kind_BT,
        sid_BTL=torch.where(is_item_BT[..., None], other_BTL, sid_BTL),
        has_sid_BT=shuffled(batch.has_sid_BT),
        feat_BTF=shuffled(batch.feat_BTF),
        ts_BT=later_ts_BT,
        seg_BT=is_request_BT.cumsum(1) - is_request_BT,
    )


def probe_batch(examples: Examples) -> TimelineBatch:
    """Choose real windows with the most requests, so that much lies after the first readout.

    Args:
        examples: Where the windows come from.

    Returns:
        Up to 32 sequences with all their loss positions as readouts.
    """
    windows = examples.windows
    count_W = windows.loss_end_W - windows.loss_begin_W
    ids_B = np.argsort(-count_W, kind="stable")[:_PROBE_WINDOWS]
    slot_R = np.arange(int(count_W[ids_B].max()))
    is_used_BR = slot_R < count_W[ids_B][:, None]
    place_BR = np.where(is_used_BR, windows.loss_begin_W[ids_B][:, None] + slot_R, 0)
    readout_BR = np.where(is_used_BR, windows.loss_M[place_BR], -1)
    return examples.store.window_batch(windows, ids_B, readout_BR)


@torch.no_grad()
def leak_probe(model: GPR, batch: TimelineBatch, *, seed: int) -> float:
    """Measure how much the future of the first readout of each user changes its logits.

    Args:
        model: In evaluation mode, so that dropout does not hide or fake a change.
        batch: Sequences on the CPU, whose first readouts are not their last tokens.
        seed: Seed of the perturbation.

    Returns:
        Largest absolute difference of any logit of any head; 0 for a model without a leak.
    """
    first_BR = batch.readout_BR.clone()
    first_BR[:, 1:] = -1
    original = batch._replace(readout_BR=first_BR)
    changed = perturb_future(original, first_BR[:, 0], seed=seed)
    rows = int((first_BR >= 0).sum())
    heads, levels = model.config.num_heads, model.num_levels
    path_MJL = torch.zeros(rows, heads, levels, dtype=torch.int64)
    device = model.head_weights_J.device
    logits = []
    for view in (original, changed):
        state = model.read(TimelineBatch(*(part.to(device) for part in view)))
        logits.append(model.path_logits(state, path_MJL.to(device)))
    differences = [
        float((before - after).abs().max()) for before, after in zip(*logits, strict=True)
    ]
    return max(differences)
