"""Forward and backward pass of two HSD blocks against padded implementations.

    python -m benchmarks.training_step

8,192 padded tokens, about 5,000 of them real, one thread, processor time. All contenders start from
kinds, times and embedded tokens, have the same weights and end with the gradients of all of them.
Useful operations are those of real tokens and of pairs that see each other. Writes
docs/benchmarks/training_step.json.

Letters: B users, T tokens, D width, G packed tokens.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from benchmarks.record import write_result
from benchmarks.tokenizer_workload import compare, float32_limit_gflops, spread
from benchmarks.training_step_baselines import Style, padded_block, pairs_of
from gpr_core.data.tables import TokenKind
from gpr_core.features.batch import TimelineBatch
from gpr_core.models.config import ModelConfig
from gpr_core.models.hsd import HSDBlock
from gpr_core.models.masks import segment_hybrid_mask, segment_hybrid_peers
from gpr_core.models.relation import relate
from gpr_core.models.token_aware import group_tokens, pack, unpack
from gpr_core.support.matmul import bfloat16_products, has_bfloat16_products, one_torch_thread
from gpr_core.support.seeding import seed_global_torch, torch_stream

_SEED, _PADDED_TOKENS, _BLOCKS, _HEADS = 0, 8192, 2, 4
_WIDTHS, _LENGTHS = (128, 256), (256, 512, 1024)
# Shares of user, organic, environment and item tokens.
_KINDS = torch.tensor([0.03, 0.6, 0.12, 0.25])
_LARGEST_GAP_MS = 40 * 60_000
_REPEATS: dict[Style, int] = {"naive": 2, "strong": 3}
_PADDING_SHARES, _PADDING_WIDTH, _PADDING_LENGTH = (0.0, 0.2, 0.4, 0.6), 128, 256
_PADDING_TOKENS, _PADDING_ROUNDS, _SHORT_SHARE = 5120, 7, 0.2


class Step:
    """Two blocks and a batch.

    Args:
        lengths: Tokens of each user.
        padded_to: Length of the grid.
        width: D.
    """

    def __init__(self, lengths: Sequence[int], padded_to: int, width: int) -> None:
        self.config = ModelConfig(width=width, attention_heads=_HEADS, dropout=0.0)
        seed_global_torch(_SEED, "benchmark", "blocks")
        self.blocks = [HSDBlock(self.config) for _ in range(_BLOCKS)]
        for block in self.blocks:
            torch.nn.init.normal_(block.bias.time_HC)
        self.batch = _make_batch(lengths, padded_to)
        self.groups = group_tokens(self.batch.kind_BT)
        stream = torch_stream(_SEED, "benchmark", "tokens")
        shape = (sum(lengths), width)
        self.x_GD = torch.randn(shape, generator=stream).requires_grad_()
        self.upstream_GD = torch.randn(shape, generator=stream)
        self.x_BTD = unpack(self.x_GD.detach(), self.groups).requires_grad_()
        self.upstream_BTD = unpack(self.upstream_GD, self.groups)

    def ours(self, *, in_bfloat16: bool = False) -> Tensor:
        """Run our blocks.

        Args:
            in_bfloat16: Whether products are made in bfloat16.

        Returns:
            [G, D] float32; gradients are in the leaves.
        """
        self._forget()
        kind_BT, seg_BT = self.batch.kind_BT, self.batch.seg_BT
        with bfloat16_products() if in_bfloat16 else nullcontext():
            groups = group_tokens(kind_BT)
            peers_BT = segment_hybrid_peers(kind_BT, seg_BT)
            relation = relate(self.batch.ts_BT, peers_BT, groups, self.config.max_distance)
            x_GD = self.x_GD
            for block in self.blocks:
                x_GD = block(x_GD, groups, relation)
        torch.autograd.backward(x_GD, self.upstream_GD)
        return x_GD.detach()

    def padded(self, style: Style) -> Tensor:
        """Run the same blocks on the padded grid.

        Args:
            style: How it is written.

        Returns:
            [G, D] float32; gradients are in the leaves.
        """
        self._forget()
        pairs = pairs_of(self.batch, self.config.max_distance)
        x_BTD = self.x_BTD
        for block in self.blocks:
            x_BTD = padded_block(block, x_BTD, self.batch.kind_BT, pairs, style)
        torch.autograd.backward(x_BTD, self.upstream_BTD)
        return pack(x_BTD.detach(), self.groups)

    def gradients(self) -> list[Tensor]:
        """Give the gradients of the last run.

        Returns:
            Those of the tokens, packed, and of all parameters.
        """
        x_grad = self.x_GD.grad
        if x_grad is None:
            x_grad = pack(_gradient(self.x_BTD), self.groups)
        return [x_grad, *(_gradient(weight) for weight in self._parameters())]

    def useful_operations(self) -> int:
        """Count multiplications and additions of real tokens and visible pairs.

        Returns:
            Floating-point operations of one run.
        """
        width, real = self.config.width, len(self.x_GD)
        per_token = (5 + 3 * self.config.ffn_multiple) * width**2
        visible_BTT = segment_hybrid_mask(self.batch.kind_BT, self.batch.seg_BT)
        num_pairs = int(visible_BTT.sum()) - (self.batch.kind_BT.numel() - real)
        # Twice for multiply and add, three times for the forward and the backward pass.
        return 2 * 3 * _BLOCKS * (per_token * real + 2 * width * num_pairs)

    def _parameters(self) -> list[Tensor]:
        return [weight for block in self.blocks for weight in block.parameters()]

    def _forget(self) -> None:
        for leaf in (self.x_GD, self.x_BTD, *self._parameters()):
            leaf.grad = None


def measure(width: int, length: int) -> dict[str, Any]:
    """Compare at one size.

    Args:
        width: D.
        length: Padded length, S.

    Returns:
        Ratios, share of the limit, largest differences.
    """
    stream = torch_stream(_SEED, "benchmark", "lengths", length)
    share_B = 0.2 + 0.8 * torch.rand(_PADDED_TOKENS // length, generator=stream)
    step = Step((share_B * length).long().tolist(), length, width)
    row: dict[str, Any] = {"width": width, "length": length, "real_tokens": len(step.x_GD)}
    limit = float32_limit_gflops()
    out_GD, gradients = step.ours(), step.gradients()
    styles: tuple[Style, ...] = ("naive", "strong")
    for style in styles:
        row[f"differences_{style}"] = _differences(step, step.padded(style), out_GD, gradients)
        row[style] = compare(
            step.ours, lambda style=style: step.padded(style), threads=1, repeats=_REPEATS[style]
        )
    operations = step.useful_operations()
    row["useful_gflop"] = round(operations / 1e9, 2)
    row["limit_gflops"] = limit
    seconds = min(row[style]["ours_s"] for style in styles)
    row["ours_gflops"] = round(operations / seconds / 1e9, 1)
    row["share_of_limit"] = round(operations / seconds / 1e9 / limit, 3)
    if has_bfloat16_products():
        difference_GD = step.ours(in_bfloat16=True) - out_GD
        row["bfloat16"] = {
            "relative_difference": float(difference_GD.norm() / out_GD.norm()),
            **compare(
                lambda: step.ours(in_bfloat16=True),
                step.ours,
                threads=1,
                repeats=_REPEATS["strong"],
            ),
        }
    return row


def measure_padding() -> list[dict[str, Any]]:
    """Measure how the cost of a real token depends on the share of padding.

    The tokens of a user are padded to a longer grid; or users become uneven while real tokens and
    visible pairs per token stay about the same. All cases are run in turn.

    Returns:
        One row per case, cost relative to no padding.
    """
    cases: list[tuple[str, Step]] = []
    for share in _PADDING_SHARES:
        lengths = [_PADDING_LENGTH] * (_PADDING_TOKENS // _PADDING_LENGTH)
        grid = round(_PADDING_LENGTH / (1 - share))
        cases.append(("longer grid", Step(lengths, grid, _PADDING_WIDTH)))
    for share in _PADDING_SHARES[1:]:
        lengths = _uneven_lengths(share)
        cases.append(("uneven users", Step(lengths, max(lengths), _PADDING_WIDTH)))
    rounds = [
        [_seconds(step.ours) / len(step.x_GD) for _, step in cases] for _ in range(_PADDING_ROUNDS)
    ][1:]
    return [
        {
            "case": name,
            "padding_share": round(1 - len(step.x_GD) / step.batch.kind_BT.numel(), 3),
            "real_tokens": len(step.x_GD),
            "useful_operations_per_token": round(step.useful_operations() / len(step.x_GD)),
            "microseconds_per_token": round(statistics.median(row[idx] for row in rounds) * 1e6, 2),
            "relative_cost": spread([row[idx] / row[0] for row in rounds]),
        }
        for idx, (name, step) in enumerate(cases)
    ]


def _uneven_lengths(share: float) -> list[int]:
    """Long and short users with a share of padding and as many pairs per token as equal ones."""
    long_share = (1 - share - _SHORT_SHARE) / (1 - _SHORT_SHARE)
    squares = long_share + (1 - long_share) * _SHORT_SHARE**2
    longest = round(_PADDING_LENGTH * (1 - share) / squares)
    users = round(_PADDING_TOKENS / (longest * (1 - share)))
    num_long = round(users * long_share)
    return [longest] * num_long + [round(longest * _SHORT_SHARE)] * (users - num_long)


def _make_batch(lengths: Sequence[int], padded_to: int) -> TimelineBatch:
    """Draw kinds and times of users; a batch of blocks needs no content."""
    stream = torch_stream(_SEED, "benchmark", "timelines")
    shape = (len(lengths), padded_to)
    is_padding_BT = torch.arange(padded_to) >= torch.tensor(lengths)[:, None]
    drawn_N = torch.multinomial(_KINDS, shape[0] * shape[1], replacement=True, generator=stream)
    kind_BT = drawn_N.view(shape).masked_fill(is_padding_BT, TokenKind.PAD)
    is_request_BT = (kind_BT == TokenKind.ENVIRONMENT).long()
    gap_BT = torch.randint(0, _LARGEST_GAP_MS, shape, generator=stream)
    nothing_B1 = torch.zeros(shape[0], 1, dtype=torch.int64)
    batch = dict.fromkeys(TimelineBatch._fields, nothing_B1)
    batch["kind_BT"] = kind_BT
    batch["ts_BT"] = gap_BT.cumsum(1).masked_fill(is_padding_BT, 0)
    batch["seg_BT"] = is_request_BT.cumsum(1) - is_request_BT
    return TimelineBatch(**batch)


def _differences(
    step: Step, out_GD: Tensor, ours_GD: Tensor, gradients: Sequence[Tensor]
) -> dict[str, float]:
    """Largest differences of outputs and of gradients, relative to the largest entry of each."""
    pairs = zip(gradients, step.gradients(), strict=True)
    return {
        "outputs": float((out_GD - ours_GD).abs().max() / out_GD.abs().max()),
        "gradients": max(
            float((mine - other).abs().max() / other.abs().max()) for mine, other in pairs
        ),
    }


def _gradient(leaf: Tensor) -> Tensor:
    """Take the gradient of a leaf that has one."""
    if leaf.grad is None:
        raise RuntimeError("a leaf has no gradient; run forward and backward first")
    return leaf.grad


def _seconds(work: Callable[[], object]) -> float:
    """Time one run."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    with one_torch_thread():
        padding = measure_padding()
        runs = [measure(width, length) for width in _WIDTHS for length in _LENGTHS]
    result = {
        "seeds": [_SEED],
        "blocks": _BLOCKS,
        "attention_heads": _HEADS,
        "ffn_multiple": ModelConfig().ffn_multiple,
        "padded_tokens": _PADDED_TOKENS,
        "targets": {
            "naive": {"128": 5.0, "256": 8.0},
            "strong": {"128": 2.2, "256": 2.7},
            "share_of_limit": {"128": 0.35, "256": 0.52},
            "relative_cost_of_padding": 1.1,
        },
        "runs": runs,
        "padding": padding,
    }
    print(write_result("training_step", result))  # noqa: T201
