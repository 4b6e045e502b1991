"""GPT-2 weights behind the decoder's own interface: keys and values of a prompt once per request.

Tokens are numbered level by level behind `first_token`. A prefix keeps keys and values of its own
codes only; all prefixes of a request read the prompt from one place.

Letters: B requests, T prompt tokens, D width, H attention heads, E head width, M given prefixes, N
prefixes, P codes of a prefix, S prefixes of one request (padded), V codes, X prompt tokens and
codes, Z cells of the [B, S] grid.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2LMHeadModel

from gpr_core.support.matmul import fast_float32_matmul

_MANY_ROWS = 512


class Prompt(NamedTuple):
    """What is known after the prompt.

    Attributes:
        keys: Per layer [B, H, T, E].
        values: Per layer [B, H, T, E].
        hidden_BD: [B, D], last position.
        length: T.
    """

    keys: list[Tensor]
    values: list[Tensor]
    hidden_BD: Tensor
    length: int


class CodePrefixes(NamedTuple):
    """Prefixes of one length.

    Attributes:
        prompt: What they start from.
        row_N: [N] int64, ascending.
        own: Per layer [N, 2, H, P, E], keys and values of the codes.
        hidden_ND: [N, D], last position.
    """

    prompt: Prompt
    row_N: Tensor
    own: list[Tensor]
    hidden_ND: Tensor


class GPT2Policy:
    """Proposes codes with the weights of a GPT-2.

    Args:
        model: The model, in evaluation mode.
        codebook_sizes: Codes per level.
        first_token: Token of the first code of the first level.
    """

    def __init__(
        self, model: GPT2LMHeadModel, codebook_sizes: Sequence[int], first_token: int
    ) -> None:
        self.head_weights_J = torch.ones(1)
        self._model, self._blocks = model.transformer, model.transformer.h
        self._num_heads = model.config.n_head
        self._offsets = [
            first_token + sum(codebook_sizes[:level]) for level in range(len(codebook_sizes))
        ]
        # Weights of GPT-2 are stored [in, out].
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
        x_BTD = self._model.wte(token_BT) + self._model.wpe.weight[:length]
        keys, values = [], []
        for block in self._blocks:
            query, key, value = self._project(block, x_BTD)
            is_last = block is self._blocks[-1]
            if is_last:
                # Nothing reads the other positions any more.
                query, x_BTD = query[:, :, -1:], x_BTD[:, -1:]
            attended = F.scaled_dot_product_attention(query, key, value, is_causal=not is_last)
            x_BTD = self._finish(block, x_BTD, attended.transpose(1, 2).flatten(2))
            keys.append(key)
            values.append(value)
        return Prompt(keys, values, x_BTD[:, -1], length)

    def begin(self, state: Prompt, rows_N: Tensor, _heads_N: Tensor) -> CodePrefixes:
        """Start paths; there is one head.

        Args:
            state: From `read`.
            rows_N: [N] int64, ascending.

        Returns:
            Empty prefixes.
        """
        shape = (len(rows_N), 2, self._num_heads, 0, state.keys[0].shape[3])
        nothing = [key.new_zeros(shape) for key in state.keys]
        return CodePrefixes(state, rows_N, nothing, state.hidden_BD[rows_N])

    def extend(self, prefixes: CodePrefixes, parents_N: Tensor, codes_N: Tensor) -> CodePrefixes:
        """Choose the next code of prefixes.

        Args:
            prefixes: M prefixes of P codes.
            parents_N: [N] int64, ascending by request.
            codes_N: [N] int64.

        Returns:
            N prefixes of P + 1 codes.
        """
        prompt, row_N = prefixes.prompt, prefixes.row_N[parents_N]
        length = prefixes.own[0].shape[3]
        x_ND = self._model.wte.weight[codes_N + self._offsets[length]]
        x_ND = x_ND + self._model.wpe.weight[prompt.length + length]
        grid = _grid(row_N, len(prompt.hidden_BD))
        owns = []
        for layer, block in enumerate(self._blocks):
            query_ND, new_NX = _linear(block.attn.c_attn, block.ln_1(x_ND)).tensor_split(
                [x_ND.shape[1]], dim=1
            )
            new = new_NX.view(len(x_ND), 2, self._num_heads, 1, -1)
            own = torch.cat([prefixes.own[layer].index_select(0, parents_N), new], dim=3)
            attended_ND = _attend(query_ND, own, (prompt.keys[layer], prompt.values[layer]), grid)
            x_ND = self._finish(block, x_ND, attended_ND)
            owns.append(own)
        return CodePrefixes(prompt, row_N, owns, x_ND)

    def child_logits(self, prefixes: CodePrefixes) -> Tensor:
        """Score the next codes.

        Args:
            prefixes: N prefixes of P codes.

        Returns:
            [N, V].
        """
        return self._model.ln_f(prefixes.hidden_ND) @ self._logits[prefixes.own[0].shape[3]].T

    def _project(self, block: torch.nn.Module, x_NPD: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values [N, H, P, E]."""
        parts = _linear(block.attn.c_attn, block.ln_1(x_NPD)).chunk(3, dim=-1)
        return tuple(part.unflatten(-1, (self._num_heads, -1)).transpose(1, 2) for part in parts)

    def _finish(self, block: torch.nn.Module, x_NPD: Tensor, attended_NPD: Tensor) -> Tensor:
        """Merge heads and run the feed-forward network."""
        x_NPD = x_NPD + _linear(block.attn.c_proj, attended_NPD)
        inner = F.gelu(_linear(block.mlp.c_fc, block.ln_2(x_NPD)), approximate="tanh")
        return x_NPD + _linear(block.mlp.c_proj, inner)


def _linear(layer: torch.nn.Module, x_NPD: Tensor) -> Tensor:
    """Multiply by a weight, stored [in, out], with the library that is faster for the size."""
    rows_ND = x_NPD.flatten(0, -2)
    with fast_float32_matmul() if len(rows_ND) >= _MANY_ROWS else nullcontext():
        out = torch.addmm(layer.bias, rows_ND, layer.weight)
    return out.unflatten(0, x_NPD.shape[:-1])


class _Grid(NamedTuple):
    """Prefixes of each request side by side.

    Attributes:
        slots: S.
        slot_N: [N] int64, place of each prefix in the flattened [B * S] grid; None if every request
            has S of them and nothing has to move.
    """

    slots: int
    slot_N: Tensor | None


def _grid(row_N: Tensor, num_requests: int) -> _Grid:
    """Arrange prefixes by request."""
    count_B = torch.bincount(row_N, minlength=num_requests)
    slots = int(count_B.max())
    if slots * num_requests == len(row_N):
        return _Grid(slots, None)
    first_B = count_B.cumsum(0) - count_B
    return _Grid(slots, torch.arange(len(row_N)) - first_B[row_N] + row_N * slots)


def _attend(
    query_ND: Tensor, own_N2HPE: Tensor, prompt: tuple[Tensor, Tensor], grid: _Grid
) -> Tensor:
    """Attend to the prompt of the request and to own codes in one softmax: [N, D]."""
    key_BHTE, value_BHTE = prompt
    requests, heads, tokens, width = key_BHTE.shape
    query_BSHE = _spread((query_ND * width**-0.5).unflatten(1, (heads, width)), grid, requests)
    key_BSHPE, value_BSHPE = _spread(own_N2HPE, grid, requests).unbind(2)
    far_BHST = query_BSHE.transpose(1, 2) @ key_BHTE.transpose(2, 3)
    near_BSHP = (query_BSHE[..., None, :] @ key_BSHPE.transpose(3, 4))[..., 0, :]
    score_BHSX = torch.cat([far_BHST, near_BSHP.transpose(1, 2)], dim=3)
    weight_BHSX = torch.softmax(score_BHSX, dim=3)
    near_BSH1P = weight_BHSX[..., tokens:].transpose(1, 2)[..., None, :]
    out_BSHE = (weight_BHSX[..., :tokens] @ value_BHTE).transpose(1, 2)
    out_ZD = (out_BSHE + (near_BSH1P @ value_BSHPE)[..., 0, :]).reshape(-1, heads * width)
    return out_ZD if grid.slot_N is None else out_ZD[grid.slot_N]


def _spread(part_N: Tensor, grid: _Grid, requests: int) -> Tensor:
    """Put rows into the grid: [B, S, ...]."""
    if grid.slot_N is not None:
        spread_Z = part_N.new_zeros((requests * grid.slots, *part_N.shape[1:]))
        spread_Z[grid.slot_N] = part_N
        part_N = spread_Z
    return part_N.unflatten(0, (requests, grid.slots))
