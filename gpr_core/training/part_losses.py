"""Losses and logged numbers of the parts of the model that can be switched on.

Letters: R recursions.

Source: specification 3.4 (router losses), 3.6.2 (denoising) and 3.6.3 (lazy decoder).
"""

from collections.abc import Mapping

from torch import Tensor

from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.models.states import ReadoutState
from gpr_core.training.batches import TrainBatch
from gpr_core.training.config import PartLossConfig
from gpr_core.training.totals import WHOLE, Share


def part_losses(
    model: GPR, state: ReadoutState, batch: TrainBatch, share: Share = WHOLE
) -> dict[str, Tensor]:
    """Collect the losses of the parts that are switched on.

    Denoising, lazy codes and small logits are means over readouts and tokens, so the shares of an
    update add up to its loss. Even use of depths and the auxiliary router are judged share by
    share and averaged by tokens: what they compare is not known before all shares are read.

    Args:
        model: The model.
        state: What it read from the batch.
        batch: Targets; the path of head 1 is what the refining diffusion is to find.
        share: How much of its update the batch is.

    Returns:
        Name, a field of `PartLossConfig` -> scalar, not weighted; empty if all parts are off.
    """
    losses = {}
    if state.routing is not None:
        losses["router_balance"] = share.tokens * state.routing.balance_loss
        losses["router_z"] = share.tokens * state.routing.z_loss
        losses["router_selection"] = share.tokens * state.routing.selection_loss
    if model.config.refine.kind == "diffusion":
        denoising = model.denoising_loss(state, batch.path_MJL[:, 0])
        losses["denoising"] = share.readouts * denoising
    if model.config.lazy_layers:
        losses["lazy_code"] = share.readouts * model.ptd.generate.lazy_loss(
            state.intent.start, batch.path_MJL, batch.ok_MJ, model.codes
        )
    return losses


def weighted_sum(losses: Mapping[str, Tensor], config: PartLossConfig) -> Tensor | float:
    """Add up the losses of the parts.

    Args:
        losses: From `part_losses`.
        config: Weights.

    Returns:
        Scalar; exactly 0 if all parts are off.
    """
    total: Tensor | float = 0.0
    for name, loss in losses.items():
        total = total + getattr(config, name) * loss
    return total


def part_columns(config: ModelConfig) -> tuple[str, ...]:
    """Name the numbers that `part_numbers` gives.

    Args:
        config: Switches of the model.

    Returns:
        Column names of the training curve; none if all parts are off.
    """
    columns: list[str] = []
    if config.recursion.router != "none":
        columns += ["router_balance_loss", "router_z_loss", "router_selection_loss"]
        columns += [f"depth_share_{depth + 1}" for depth in range(config.recursion.max_depth)]
        columns += ["router_agreement"]
    if config.refine.kind == "diffusion":
        columns += ["denoising_loss"]
    if config.lazy_layers:
        columns += ["lazy_code_loss"]
    return tuple(columns)


def part_numbers(
    losses: Mapping[str, Tensor], state: ReadoutState, share: Share = WHOLE
) -> dict[str, float]:
    """Collect what the training curve shows of the parts at one update.

    Args:
        losses: From `part_losses`.
        state: What the model read from the batch.
        share: How much of its update the batch is.

    Returns:
        Column -> number, in no particular order; the numbers of the shares of an update add up.
    """
    numbers = {f"{name}_loss": float(loss.detach()) for name, loss in losses.items()}
    if state.routing is not None:
        depth_shares = (share.tokens * state.routing.depth_share_R).tolist()
        numbers |= {f"depth_share_{depth}": one for depth, one in enumerate(depth_shares, start=1)}
        numbers["router_agreement"] = share.tokens * float(state.routing.agreement)
    return numbers
