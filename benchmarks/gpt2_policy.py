"""GPT-2 weights behind the decoder's own interface, with one copy of every key and value.

Tokens are numbered level by level behind `first_token`. A code attends to the prompt of its request
and to the codes before it as GPR's own decoder does: the keys of the prompt are kept once.

Letters: B requests, T prompt tokens, D width, H attention heads, E head width, M given prefixes, N
prefixes, V codes.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2LMHeadModel

from gpr_core.models.attention import merge_heads, split_heads
from gpr_core.models.grouping import group_rows
from gpr_core.models.path_attention import attend_along_paths
from gpr_core.support.matmul import fast_float32_matmul

_MANY_ROWS = 512
_EPSILON = 1e-5
# 2 u = 2 sqrt(2 / pi) (x + 0.044715 x^3)
_GELU = torch.tensor(2 * (2 / math.pi) ** 0.5)
_GELU_CUBE = 0.044715 * 2 * (2 / math.pi) ** 0.5


class Prompt(NamedTuple):
    """What is known after the prompt.

    Attributes:
        shared: Per layer, keys and values [B, H, T, E].
        hidden_BD: [B, D], last position.
        length: T.
    """

    shared: list[tuple[Tensor, Tensor]]
    hidden_BD: Tensor
    length: int


class CodePrefixes(NamedTuple):
    """Prefixes of one length.

    Attributes:
        row_N: [N] int64, request, ascending.
        shared: As in `Prompt`.
        chains: Per layer, keys and values [N, 2, H, E] of the codes of each prefix, level by
            level.
        hidden_ND: [N, D], last position.
        position: Tokens before the next code.
        level: Codes of the prefixes.
    """

    row_N: Tensor
    shared: list[tuple[Tensor, Tensor]]
    chains: list[list[Tensor]]
    hidden_ND: Tensor
    position: int
    level: int


class GPT2Policy:
    """Proposes codes with the weights of a GPT-2.

    Args:
        model: The model, in evaluation mode.
        codebook_sizes: Codes per level.
        first_token: Token of the first code of the first level.
        precision: Of the products with weights; everything else is float32.
    """

    def __init__(
        self,
        model: GPT2LMHeadModel,
        codebook_sizes: Sequence[int],
        first_token: int,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.head_weights_J = torch.ones(1)
        body = model.transformer
        self._token_VD, self._position_TD = body.wte.weight, body.wpe.weight
        self._blocks = [_Block.of(block, precision) for block in body.h]
        self._final_norm = _Affine.of(body.ln_f)
        self._num_heads = model.config.n_head
        self._known: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._offsets = [
            first_token + sum(codebook_sizes[:level]) for level in range(len(codebook_sizes))
        ]
        self._logits = [
            model.lm_head.weight[start : start + size]
            for start, size in zip(self._offsets, codebook_sizes, strict=True)
        ]

    def read(self, token_BT: Tensor) -> Prompt:
        """Run a prompt.

        Args:
            token_BT: [B, T] int64, all of one length.

        Returns:
            Keys and values, and the last hidden state.
        """
        length = token_BT.shape[1]
        x_BTD = F.embedding(token_BT, self._token_VD) + self._position_TD[:length]
        shared = []
        for block in self._blocks:
            parts = _linear(block.project, _norm(block.norm_1, x_BTD))
            query, key, value = split_heads(parts, 3 * self._num_heads).chunk(3, dim=1)
            is_last = block is self._blocks[-1]
            if is_last:
                # Nothing reads the other positions any more.
                query, x_BTD = query[:, :, -1:], x_BTD[:, -1:]
            attended = F.scaled_dot_product_attention(query, key, value, is_causal=not is_last)
            x_BTD = self._finish(block, x_BTD, merge_heads(attended))
            shared.append((key.contiguous(), value.contiguous()))
        return Prompt(shared, x_BTD[:, -1], length)

    def begin(self, state: Prompt, rows_N: Tensor, _heads_N: Tensor) -> CodePrefixes:
        """Start paths; there is one head.

        Args:
            state: From `read`.
            rows_N: [N] int64, ascending.

        Returns:
            Empty prefixes.
        """
        chains: list[list[Tensor]] = [[] for _ in self._blocks]
        hidden_ND = state.hidden_BD[rows_N]
        return CodePrefixes(rows_N, state.shared, chains, hidden_ND, state.length, 0)

    def extend(self, prefixes: CodePrefixes, parents_N: Tensor, codes_N: Tensor) -> CodePrefixes:
        """Choose the next code of prefixes.

        Args:
            prefixes: M prefixes.
            parents_N: [N] int64, ascending by request.
            codes_N: [N] int64.

        Returns:
            N prefixes that are one code longer.
        """
        row_N = prefixes.row_N.index_select(0, parents_N)
        requests = group_rows(row_N, prefixes.shared[0][0].shape[0])
        entered = self._entered(prefixes.level, prefixes.position)
        x_ND, parts = (table.index_select(0, codes_N) for table in entered)
        chains = []
        for layer, block in enumerate(self._blocks):
            if layer:
                parts = _linear(block.project, _norm(block.norm_1, x_ND))
            parts_N3HE = parts.view(row_N.shape[0], 3, self._num_heads, -1)
            chain = [own.index_select(0, parents_N) for own in prefixes.chains[layer]]
            chain.append(parts_N3HE[:, 1:])
            attended = attend_along_paths(parts_N3HE[:, 0], prefixes.shared[layer], chain, requests)
            x_ND = self._finish(block, x_ND, attended.flatten(1))
            chains.append(chain)
        return CodePrefixes(
            row_N, prefixes.shared, chains, x_ND, prefixes.position + 1, prefixes.level + 1
        )

    def child_logits(self, prefixes: CodePrefixes) -> Tensor:
        """Score the next codes.

        Args:
            prefixes: N prefixes.

        Returns:
            [N, V].
        """
        return _norm(self._final_norm, prefixes.hidden_ND) @ self._logits[prefixes.level].T

    def _entered(self, level: int, position: int) -> tuple[Tensor, Tensor]:
        """What enters the first layer, [V, D], and its projection, [V, 3 * D], of all codes.

        They depend on the code and its position only, so that they are computed once.
        """
        if (level, position) not in self._known:
            first, size = self._offsets[level], self._logits[level].shape[0]
            x_VD = self._token_VD[first : first + size] + self._position_TD[position]
            block = self._blocks[0]
            parts = _linear(block.project, _norm(block.norm_1, x_VD))
            self._known[level, position] = (x_VD, parts)
        return self._known[level, position]

    def _finish(self, block: "_Block", x: Tensor, attended: Tensor) -> Tensor:
        """Merge heads and run the feed-forward network."""
        x = _linear(block.merge, attended).add_(x)
        inner = _linear(block.widen, _norm(block.norm_2, x))
        return _linear(block.narrow, _gelu(inner)).add_(x)


class _Affine(NamedTuple):
    """Parameters of a linear or a normalization layer."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: Any, precision: torch.dtype = torch.float32) -> "_Affine":
        """Take them out of a module."""
        return cls(layer.weight.to(precision), layer.bias.to(precision))


class _Block(NamedTuple):
    """Parameters of a layer. Modules are looked up and called in a tenth of a request's time."""

    norm_1: _Affine
    project: _Affine
    merge: _Affine
    norm_2: _Affine
    widen: _Affine
    narrow: _Affine

    @classmethod
    def of(cls, block: Any, precision: torch.dtype) -> "_Block":
        """Take them out of a module; products are computed in the given precision."""
        attention, mlp = block.attn, block.mlp
        products = (attention.c_attn, attention.c_proj, mlp.c_fc, mlp.c_proj)
        project, merge, widen, narrow = (_Affine.of(layer, precision) for layer in products)
        norms = map(_Affine.of, (block.ln_1, block.ln_2))
        return cls(next(norms), project, merge, next(norms), widen, narrow)


def _norm(layer: _Affine, x: Tensor) -> Tensor:
    """Normalize."""
    return torch.layer_norm(x, layer.bias.shape, layer.weight, layer.bias, _EPSILON)


def _linear(layer: _Affine, x: Tensor) -> Tensor:
    """Multiply by a weight, stored [in, out], with the library that is faster for the size."""
    rows_ND = x if x.dim() == 2 else x.flatten(0, -2)
    if layer.weight.dtype != x.dtype:
        out = torch.addmm(layer.bias, rows_ND.to(layer.weight.dtype), layer.weight).to(x.dtype)
    elif rows_ND.shape[0] < _MANY_ROWS:
        out = torch.addmm(layer.bias, rows_ND, layer.weight)
    else:
        with fast_float32_matmul():
            out = torch.addmm(layer.bias, rows_ND, layer.weight)
    return out if x.dim() == 2 else out.view(*x.shape[:-1], -1)


def _gelu(x: Tensor) -> Tensor:
    """GELU in its tanh form, x (1 + tanh u) / 2 = x sigmoid(2 u), in half of torch's time."""
    return torch.addcmul(_GELU, x, x, value=_GELU_CUBE).mul_(x).sigmoid_().mul_(x)
