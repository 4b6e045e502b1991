"""The loss of one supervised update, shared by pre-training and value-aware fine-tuning.

    loss = L_MTP (Eq 3; Eq 4 with value weights) + item losses + level losses + losses of parts

Item and level losses reach the value heads only, unless `backbone_grad` opens their inputs. A part
of the model that is off adds no loss. Everything adds up over the shares of an update.

Letters: M flat rows (readouts), J heads, L levels, N flat rows (paths).

Source: specification 3.8, 4.1, 4.2 and appendix D.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.models.states import ReadoutState
from gpr_core.objectives.code_loss import CodeLoss, code_loss, path_logp
from gpr_core.objectives.head_weights import head_weights, update_average
from gpr_core.training.batches import TrainBatch
from gpr_core.training.config import HeadWeightConfig, PartLossConfig, ValueLossConfig
from gpr_core.training.examples import Examples
from gpr_core.training.matching import HeadMatcher
from gpr_core.training.part_losses import part_columns, part_losses, part_numbers, weighted_sum
from gpr_core.training.totals import Share, Totals

_SMALLEST_STD = 1e-6


class SupervisedLoss(NamedTuple):
    """Loss of a batch and its parts.

    Attributes:
        loss: Scalar to minimize.
        code: Loss of the code paths, with the unweighted loss of each head.
        item: Scalar without gradient, mean of the three outcome losses.
        level: Scalar without gradient, squared error of the prefix values.
        parts: Column -> number of the switched-on parts.
    """

    loss: Tensor
    code: CodeLoss
    item: Tensor
    level: Tensor
    parts: Mapping[str, float]

    def sums(self) -> dict[str, Tensor]:
        """Give the numbers that add up over the shares of an update.

        Returns:
            Name -> float64 tensor without gradient, shaped as `no_sums` says.
        """
        numbers = {
            "code_loss": self.code.loss.detach(),
            "item_loss": self.item,
            "level_loss": self.level,
            "nll_JL": self.code.sum_JL,
            "count_J": self.code.count_J,
            **{name: torch.tensor(one, dtype=torch.float64) for name, one in self.parts.items()},
        }
        return {name: number.to(torch.float64) for name, number in numbers.items()}


class HeadBalance(nn.Module):
    """Running loss of each head, from which the head weights follow in closed form.

    Args:
        num_heads: Heads J.
        config: Decay, rhythm and floor.
    """

    average_J: Tensor

    def __init__(self, num_heads: int, config: HeadWeightConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("average_J", torch.full((num_heads,), torch.nan))

    def observe(self, code: CodeLoss) -> None:
        """Move the running losses towards those of a batch.

        Args:
            code: Losses of the batch.
        """
        self.average_J.copy_(
            update_average(self.average_J, code.nll_J, code.count_J, decay=self.config.ema_decay)
        )

    def apply_to(self, model: GPR, update: int) -> None:
        """Set the head weights, if it is time to.

        Args:
            model: Its `head_weights_J` is changed in place.
            update: 0-based update that has just finished.
        """
        done = update + 1
        if done > self.config.warmup_updates and done % self.config.update_every == 0:
            weights_J = head_weights(
                self.average_J,
                adaptive_share=self.config.adaptive_share,
                temperature=self.config.temperature,
            )
            model.head_weights_J.copy_(weights_J)


def supervised_loss(
    model: GPR,
    batch: TrainBatch,
    config: ValueLossConfig,
    part_config: PartLossConfig,
    *,
    use_omega: bool,
    matcher: HeadMatcher | None = None,
    totals: Totals | None = None,
) -> SupervisedLoss:
    """Compute the loss of one batch, or of one share of an update.

    Args:
        model: The model.
        batch: Sequences and targets.
        config: Weights of the value losses.
        part_config: Weights of the losses of switched-on parts.
        use_omega: Weigh each target by its value (Eq 4).
        matcher: Gives targets to heads; None keeps the order of time.
        totals: Counts of the update that the batch is a share of; None if it is all of it.

    Returns:
        The loss and its parts; those of all shares add up to those of the update.

    Raises:
        LegalityError: If a target is not in its legal set.
    """
    own = batch.totals()
    totals = own if totals is None else totals
    share = Share(own.readouts / totals.readouts, own.tokens / totals.tokens)
    state = model.read(batch.timeline)
    wanted = batch if matcher is None else matcher.match(model, state, batch)
    logits = model.path_logits(state, wanted.path_MJL)
    logp_MJL = path_logp(logits, wanted.path_MJL, wanted.legal, wanted.ok_MJ)
    # W counts readouts with an exposed ad, whichever head a matcher gave it to.
    omega_MJ, total = (wanted.omega_MJ, totals.omega) if use_omega else (None, totals.targets)
    code = code_loss(logp_MJL, wanted.ok_MJ, model.head_weights_J, omega_MJ, total)
    # Values are about the ad that was shown, whichever head has it as its target.
    valued = model.open_values(state, config.backbone_grad) if config.backbone_grad > 0 else state
    item = item_loss(model, valued, batch, totals)
    level = share.readouts * level_loss(model, valued, batch)
    parts = part_losses(model, state, batch, share)
    loss = code.loss + config.item * item + config.level * level + weighted_sum(parts, part_config)
    numbers = part_numbers(parts, state, share)
    return SupervisedLoss(loss, code, item.detach(), level.detach(), numbers)


def item_loss(
    model: GPR, state: ReadoutState, batch: TrainBatch, totals: Totals | None = None
) -> Tensor:
    """Cross-entropy of click, click-and-conversion and hide of the exposed ad.

    Conversions are predicted over all impressions, not over clicks only, which would select.

    Args:
        model: Its item heads are scored.
        state: What it read from the batch.
        batch: Exposed ads and matured outcomes.
        totals: Counts of the update that the batch is a share of; None if it is all of it.

    Returns:
        Scalar: sum of the three means over impressions whose outcome is known.

    Source:
        Specification 3.8 (entire-space modelling).
    """
    rows_N = torch.arange(len(batch.ts_M), device=batch.ts_M.device)
    values = model.item_values(state, rows_N, batch.path_MJL[:, 0], batch.ad_feature_MF)
    click_M, conversion_M, hide_M = batch.label_M3.unbind(1)
    log_both_M = F.logsigmoid(values.ctr_logit_N) + F.logsigmoid(values.cvr_logit_N)
    # 1 - p is taken in the log domain: p is near 0 for conversions and may round to 1 early on.
    log_not_both_M = torch.log(-torch.expm1(log_both_M.clamp(max=-1e-6)))
    losses_M3 = torch.stack(
        [
            F.binary_cross_entropy_with_logits(values.ctr_logit_N, click_M, reduction="none"),
            -(conversion_M * log_both_M + (1 - conversion_M) * log_not_both_M),
            F.binary_cross_entropy_with_logits(values.neg_logit_N, hide_M, reduction="none"),
        ],
        dim=1,
    )
    count_3 = batch.is_mature_M3.sum(0) if totals is None else totals.mature_3
    return (torch.where(batch.is_mature_M3, losses_M3, 0.0).sum(0) / count_3.clamp(min=1)).sum()


def level_loss(model: GPR, state: ReadoutState, batch: TrainBatch) -> Tensor:
    """Squared error of the value of every proper prefix of the exposed ad's path.

    Args:
        model: Its prefix values are scored.
        state: What it read from the batch.
        batch: Exposed ads and their final values.

    Returns:
        Scalar, mean over requests and prefix lengths 0..L-1, standardized units.

    Source:
        Specification 3.8 (expectation under the logging policy).
    """
    rows_N = torch.arange(len(batch.ts_M), device=batch.ts_M.device)
    target_M = (batch.value_M - model.value_mean) / model.value_std
    errors = [
        model.prefix_values(state, rows_N, batch.path_MJL[:, 0, :length]) - target_M
        for length in range(model.num_levels)
    ]
    return torch.stack(errors).square().mean()


def fit_value_scale(model: GPR, examples: Examples) -> None:
    """Set what the value heads start from: mean and spread of values, base rates of outcomes.

    Args:
        model: `value_mean`, `value_std` and the biases of the item heads are changed in place.
        examples: Decisions that enter the loss are counted.
    """
    value = examples.value_X[examples.is_loss_X]
    model.value_mean.fill_(float(value.mean()))
    model.value_std.fill_(max(float(value.std()), _SMALLEST_STD))
    known_X3 = examples.is_mature_X3 & examples.is_loss_X[:, None]
    # One pseudo-count each way keeps the logit finite when an outcome never happened.
    happened = (examples.label_X3 * known_X3).sum(0) + 1.0
    click, conversion, hide = happened / (known_X3.sum(0) + 2.0)
    rates = torch.tensor([click, min(conversion / click, 0.5), hide], dtype=torch.float32)
    with torch.no_grad():
        model.hte.item_bias_X.copy_(torch.logit(rates))


def curve_columns(config: ModelConfig) -> tuple[str, ...]:
    """Name the numbers that `curve_numbers` gives.

    Args:
        config: Heads and switches of the model.

    Returns:
        Column names of the training curve.
    """
    heads = range(1, config.num_heads + 1)
    return (
        "code_loss",
        "item_loss",
        "level_loss",
        *(f"nll_head_{head}" for head in heads),
        *(f"weight_head_{head}" for head in heads),
        *part_columns(config),
    )


def no_sums(config: ModelConfig, num_levels: int) -> dict[str, Tensor]:
    """Give the sums of an update before its first share.

    Args:
        config: Heads and switches of the model.
        num_levels: Code levels L.

    Returns:
        Name -> float64 zeros; `nll_JL` [J, L] and `count_J` [J], the others scalars.
    """
    names = ("code_loss", "item_loss", "level_loss", *part_columns(config))
    sums = {name: torch.zeros((), dtype=torch.float64) for name in names}
    sums["nll_JL"] = torch.zeros(config.num_heads, num_levels, dtype=torch.float64)
    sums["count_J"] = torch.zeros(config.num_heads, dtype=torch.float64)
    return sums


def curve_numbers(
    sums: Mapping[str, Tensor], balance: HeadBalance, model: GPR
) -> Mapping[str, float]:
    """Collect what the training curve shows of one update.

    The losses of the heads are unweighted running means per code, so that no change of the weights
    can make the curve fall (T07).

    Args:
        sums: Sums over all shares of the update.
        balance: Running losses, the update included.
        model: Its head weights.

    Returns:
        Column -> number; NaN for the loss of a head that has had no target yet.
    """
    numbers = [float(sums[name]) for name in ("code_loss", "item_loss", "level_loss")]
    numbers += balance.average_J.tolist() + model.head_weights_J.tolist()
    numbers += [float(sums[name]) for name in part_columns(model.config)]
    return dict(zip(curve_columns(model.config), numbers, strict=True))
