"""Layers with own parameters per token kind, on tokens packed kind by kind.

Padding is dropped when tokens are packed, so padding rows go nowhere and come back as zeros.

Letters: B users, T tokens, D width, G packed tokens (all valid tokens of a batch, sorted by kind),
S parameter sets (one per kind, or a single shared one).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.data.tables import TokenKind
from gpr_core.models.products import swiglu_by_set

NUM_KINDS = int(TokenKind.PAD)


class TokenGroups(NamedTuple):
    """Where the valid tokens of a batch are, kind by kind.

    Attributes:
        source_G: [G] int64, place of each packed token in the flattened [B * T] grid.
        target_N: [B * T] int64, place of each grid token among the packed ones; G for padding.
        kind_G: [G] int64, `TokenKind`, ascending.
        sizes: Number of tokens of each kind.
        grid: (B, T).
    """

    source_G: Tensor
    target_N: Tensor
    kind_G: Tensor
    sizes: tuple[int, ...]
    grid: tuple[int, int]


def group_tokens(kind_BT: Tensor) -> TokenGroups:
    """Sort the valid tokens of a batch by kind.

    Args:
        kind_BT: [B, T] int64, `TokenKind`.

    Returns:
        The groups; inside a kind the tokens keep their order.

    Example:
        >>> groups = group_tokens(torch.tensor([[0, 3, 1], [1, 4, 4]]))
        >>> groups.source_G.tolist(), groups.sizes
        ([0, 2, 3, 1], (1, 2, 0, 1))
    """
    kind_N = kind_BT.flatten()
    sizes = tuple(torch.bincount(kind_N, minlength=NUM_KINDS)[:NUM_KINDS].tolist())
    source_G = torch.argsort(kind_N, stable=True)[: sum(sizes)]
    target_N = torch.full_like(kind_N, len(source_G))
    target_N[source_G] = torch.arange(len(source_G), device=kind_N.device)
    rows, columns = kind_BT.shape
    return TokenGroups(source_G, target_N, kind_N[source_G], sizes, (rows, columns))


def pack(x_BTD: Tensor, groups: TokenGroups) -> Tensor:
    """Take the valid tokens out of the grid.

    Args:
        x_BTD: [B, T, D], any dtype.
        groups: Groups of the batch.

    Returns:
        [G, D], same dtype.
    """
    return x_BTD.flatten(0, 1).index_select(0, groups.source_G)


def unpack(x_GD: Tensor, groups: TokenGroups) -> Tensor:
    """Put packed tokens back into the grid.

    Args:
        x_GD: [G, D] float.
        groups: Groups of the batch.

    Returns:
        [B, T, D] float, zeros on padding.
    """
    padded = torch.cat([x_GD, x_GD.new_zeros(1, x_GD.shape[1])])
    return padded.index_select(0, groups.target_N).view(*groups.grid, x_GD.shape[1])


def apply_by_kind(
    x_GD: Tensor, sizes: tuple[int, ...], function: Callable[[int, Tensor], Tensor]
) -> Tensor:
    """Apply one function per kind to the packed tokens of that kind.

    Args:
        x_GD: [G, D] float.
        sizes: Number of tokens of each kind, or (G,) where one set serves all.
        function: Takes the set and the [g, D] tokens of one kind, returns [g, D'].

    Returns:
        [G, D'] float.
    """
    parts = torch.split(x_GD, list(sizes))
    return torch.cat([function(idx, part_gD) for idx, part_gD in enumerate(parts)])


class TokenAwareLinear(nn.Module):
    """Linear layer with own weights per token kind.

    Args:
        width: D of input and output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight_SDD = _uniform(NUM_KINDS, width, width)
        self.bias_SD = nn.Parameter(torch.zeros(NUM_KINDS, width))

    def forward(self, x_GD: Tensor, groups: TokenGroups) -> Tensor:
        """Apply the layer.

        Args:
            x_GD: [G, D] float, packed.
            groups: Groups of the batch.

        Returns:
            [G, D] float.
        """
        return apply_by_kind(
            x_GD,
            groups.sizes,
            lambda idx, x_gD: torch.addmm(self.bias_SD[idx], x_gD, self.weight_SDD[idx]),
        )


class TokenAwareNorm(nn.Module):
    """Layer normalization with own scale and shift per token kind.

    The statistics are those of the single token, so nothing passes between tokens.

    Args:
        width: D.
        is_token_aware: False keeps one shared scale and shift.

    Source:
        Paper section 2.2 (Token-Aware Normalization).
    """

    def __init__(self, width: int, *, is_token_aware: bool) -> None:
        super().__init__()
        num_sets = NUM_KINDS if is_token_aware else 1
        self.scale_SD = nn.Parameter(torch.ones(num_sets, width))
        self.shift_SD = nn.Parameter(torch.zeros(num_sets, width))

    def forward(self, x_GD: Tensor, groups: TokenGroups) -> Tensor:
        """Normalize every token.

        Args:
            x_GD: [G, D] float, packed.
            groups: Groups of the batch.

        Returns:
            [G, D] float.
        """
        shape = x_GD.shape[1:]
        # The gradient of one set cut out by its index would be as large as that of all sets.
        scales, shifts = self.scale_SD.unbind(), self.shift_SD.unbind()
        return apply_by_kind(
            x_GD,
            _sizes_for(self.scale_SD, groups),
            lambda idx, x_gD: F.layer_norm(x_gD, shape, scales[idx], shifts[idx]),
        )


class TokenAwareFeedForward(nn.Module):
    """SwiGLU feed-forward network with own weights per token kind.

    Args:
        width: D.
        multiple: Hidden width as a multiple of D.
        is_token_aware: False keeps one shared network.

    Source:
        Paper section 2.2 (improved FFN per token type); SwiGLU is specification 3.2.
    """

    def __init__(self, width: int, multiple: int, *, is_token_aware: bool) -> None:
        super().__init__()
        num_sets = NUM_KINDS if is_token_aware else 1
        hidden = width * multiple
        self.inner_SDD = _uniform(num_sets, width, 2 * hidden)
        self.outer_SDD = _uniform(num_sets, hidden, width)

    def forward(self, x_GD: Tensor, groups: TokenGroups) -> Tensor:
        """Transform every token on its own.

        Args:
            x_GD: [G, D] float, packed.
            groups: Groups of the batch.

        Returns:
            [G, D] float.
        """
        sizes = _sizes_for(self.inner_SDD, groups)
        return swiglu_by_set(x_GD, self.inner_SDD, self.outer_SDD, sizes)


def _sizes_for(parameter_S: Tensor, groups: TokenGroups) -> tuple[int, ...]:
    """Give one group per kind, or one for all tokens if there is a single shared set."""
    return groups.sizes if parameter_S.shape[0] == NUM_KINDS else (len(groups.source_G),)


def _uniform(num_sets: int, fan_in: int, fan_out: int) -> nn.Parameter:
    """Draw weights like `nn.Linear` does: uniform in +-1/sqrt(fan_in)."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(num_sets, fan_in, fan_out).uniform_(-bound, bound))
