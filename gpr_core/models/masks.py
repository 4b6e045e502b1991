"""Which token may see which in the sequence-wise decoder, and which ones a readout may read.

Letters: B users, T tokens, R readouts, M flat rows (valid readouts in (b, r) order).
"""

import torch
from torch import Tensor

from gpr_core.data.tables import TokenKind
from gpr_core.features.batch import TimelineBatch
from gpr_core.support.errors import LeakageError


def causal_mask(kind_BT: Tensor) -> Tensor:
    """Let every token see itself and what came before.

    Args:
        kind_BT: [B, T] int64, `TokenKind`.

    Returns:
        [B, T, T] bool, True where query i (second axis) may see key j (third axis). A padding
        token sees only itself, so that no row is empty.
    """
    valid_BT = kind_BT != TokenKind.PAD
    position_T = torch.arange(kind_BT.shape[1], device=kind_BT.device)
    before_TT = position_T[:, None] >= position_T[None, :]
    visible_BTT = before_TT & valid_BT[:, :, None] & valid_BT[:, None, :]
    return visible_BTT | (position_T[:, None] == position_T[None, :])


def segment_hybrid_mask(kind_BT: Tensor, seg_BT: Tensor) -> Tensor:
    """Let the prompt tokens of one request see one another, and everything else only the past.

    The printed Eq 2 leaves i = j undefined and, with several requests in one sequence, shows the
    prompt of later requests to earlier readouts. A segment ends with the environment token of its
    request, so a readout is the last token of its segment and, at any depth, depends only on
    tokens up to itself.

    Args:
        kind_BT: [B, T] int64, `TokenKind`.
        seg_BT: [B, T] int64, number of environment tokens strictly before the position. Counting
            item tokens instead would leak.

    Returns:
        [B, T, T] bool, True where query i (second axis) may see key j (third axis).

    Source:
        Paper Eq 2, in the reading of specification 3.3 (segment-hybrid mask).

    Example:
        >>> kind = torch.tensor([[0, 1, 2, 3]])  # user, organic, environment, item
        >>> segment_hybrid_mask(kind, torch.tensor([[0, 0, 0, 1]]))[0].int().tolist()
        [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    """
    prompt_BT = (kind_BT != TokenKind.ITEM) & (kind_BT != TokenKind.PAD)
    same_segment_BTT = seg_BT[:, :, None] == seg_BT[:, None, :]
    both_prompt_BTT = prompt_BT[:, :, None] & prompt_BT[:, None, :]
    return causal_mask(kind_BT) | (same_segment_BTT & both_prompt_BTT)


def causal_peers(kind_BT: Tensor) -> Tensor:
    """Give `causal_mask` as one number per token.

    Args:
        kind_BT: [B, T] int64, `TokenKind`.

    Returns:
        [B, T] int64. A token sees itself, what came before, and every token with its number; no
        number is there twice.
    """
    position_T = torch.arange(kind_BT.shape[1], device=kind_BT.device)
    return (-1 - position_T).expand_as(kind_BT)


def segment_hybrid_peers(kind_BT: Tensor, seg_BT: Tensor) -> Tensor:
    """Give `segment_hybrid_mask` as one number per token.

    Args:
        kind_BT: [B, T] int64, `TokenKind`; padding is on the right.
        seg_BT: [B, T] int64, number of environment tokens strictly before the position.

    Returns:
        [B, T] int64. A token sees itself, what came before, and every token with its number. It is
        the position of the last prompt token of the segment, or negative for tokens that are not
        of the prompt.

    Example:
        >>> kind = torch.tensor([[0, 1, 2, 3, 1]])  # user, organic, environment, item, organic
        >>> segment_hybrid_peers(kind, torch.tensor([[0, 0, 0, 1, 1]])).tolist()
        [[2, 2, 2, -4, 4]]
    """
    is_prompt_BT = (kind_BT != TokenKind.ITEM) & (kind_BT != TokenKind.PAD)
    position_T = torch.arange(kind_BT.shape[1], device=kind_BT.device)
    last_BS = torch.full_like(seg_BT, -1).scatter_reduce(
        1, seg_BT, torch.where(is_prompt_BT, position_T, -1), "amax"
    )
    return torch.where(is_prompt_BT, last_BS.gather(1, seg_BT), -1 - position_T)


def bidirectional_peers(kind_BT: Tensor) -> Tensor:
    """Let all valid tokens of a sequence see one another.

    Args:
        kind_BT: [B, T] int64, `TokenKind`; padding is on the right.

    Returns:
        [B, T] int64. A token sees itself, what came before, and every token with its number, which
        is the position of the last valid token; negative on padding.
    """
    is_valid_BT = kind_BT != TokenKind.PAD
    position_T = torch.arange(kind_BT.shape[1], device=kind_BT.device)
    last_B = is_valid_BT.sum(dim=1) - 1
    return torch.where(is_valid_BT, last_B[:, None], -1 - position_T)


def memory_mask(
    kind_BT: Tensor, row_batch_M: Tensor, position_M: Tensor, memory_tokens: int
) -> Tensor:
    """Say which hidden states each readout may read as its memory.

    Hidden states after the readout know the future, so the cut is mandatory.

    Args:
        kind_BT: [B, T] int64, `TokenKind`.
        row_batch_M: [M] int64, user of each readout.
        position_M: [M] int64, position of each readout in its sequence.
        memory_tokens: How many of the latest tokens are kept, the readout included.

    Returns:
        [M, T] bool, True for the latest tokens up to the readout and for the user token in force,
        which is the last one at or before it.

    Source:
        Specification 3.6 (causal cut, last tokens plus U).
    """
    kind_MT = kind_BT.index_select(0, row_batch_M)
    position_T = torch.arange(kind_BT.shape[1], device=kind_BT.device)
    past_MT = (position_T[None, :] <= position_M[:, None]) & (kind_MT != TokenKind.PAD)
    recent_MT = position_T[None, :] > position_M[:, None] - memory_tokens
    user_MT = past_MT & (kind_MT == TokenKind.USER)
    last_user_M = torch.where(user_MT, position_T, -1).amax(dim=1)
    return (past_MT & recent_MT) | (user_MT & (position_T[None, :] == last_user_M[:, None]))


def peers_of(mask: str, batch: TimelineBatch) -> Tensor:
    """Say which tokens see each other although one comes later.

    Args:
        mask: `segment_hybrid`, `causal` or `bidirectional`.
        batch: Timelines.

    Returns:
        [B, T] int64, as `causal_peers`.

    Raises:
        LeakageError: If a bidirectional model is to read out what is not the last token.
    """
    if mask == "segment_hybrid":
        return segment_hybrid_peers(batch.kind_BT, batch.seg_BT)
    if mask == "causal":
        return causal_peers(batch.kind_BT)
    last_B = (batch.kind_BT != TokenKind.PAD).sum(dim=1) - 1
    # In a sequence where all see all, an earlier request would know what came after it.
    if bool(((batch.readout_BR >= 0) & (batch.readout_BR != last_B[:, None])).any()):
        raise LeakageError(
            "a bidirectional model reads out a request that is not the last token",
            where="TimelineBatch.readout_BR",
            fix="set sequence.layout to prefix: one sequence per request",
        )
    return bidirectional_peers(batch.kind_BT)
