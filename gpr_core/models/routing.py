"""Routers of the Mixture of Recursions: how often the shared blocks are applied to each token.

A router chooses step by step. In the step of recursion r it says which tokens that recursion
changes, and how far: x + weight (F(x) - x).

Letters: B users, T tokens, D width, G packed tokens, R recursions.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.data.tables import TokenKind
from gpr_core.models.token_aware import TokenGroups


class Step(NamedTuple):
    """What a router chose for one recursion.

    Attributes:
        is_active_G: [G] bool, tokens that the recursion changes.
        weight_G: [G] float in [0, 1], how far it changes them.
        logit: What the choice was made from: [G, R] float for a choice at the entry, [G] float for
            a choice at this recursion.
        serving_logit_G: [G] float, positive where the auxiliary router would select the token;
            None for a router that selects the same way in training and in serving.
    """

    is_active_G: Tensor
    weight_G: Tensor
    logit: Tensor
    serving_logit_G: Tensor | None = None


class Routing(NamedTuple):
    """What the routers of one pass did.

    Attributes:
        depth_share_R: [R] float without gradient, share of the tokens whose depth is r + 1.
        balance_loss: Scalar, R sum_r f_r P_r; 1 if depths are used evenly.
        z_loss: Scalar, mean squared logsumexp of the logits.
        selection_loss: Scalar, cross-entropy of the auxiliary router.
        agreement: Scalar without gradient, share of free choices of training in which the auxiliary
            router would choose the same; 1 in evaluation mode and for a router without one.
    """

    depth_share_R: Tensor
    balance_loss: Tensor
    z_loss: Tensor
    selection_loss: Tensor
    agreement: Tensor


class Router(Protocol):
    """Chooses the tokens of each recursion."""

    def choose(self, x_GD: Tensor, groups: TokenGroups, taken: Sequence[Step]) -> Step:
        """Choose the tokens of the next recursion.

        Args:
            x_GD: [G, D] float, tokens as the recursion finds them.
            groups: Groups of the batch.
            taken: Steps of the recursions before it.

        Returns:
            The step.
        """
        ...

    def summarize(self, taken: Sequence[Step], groups: TokenGroups) -> Routing:
        """Tell what all steps of a pass amount to.

        Args:
            taken: Steps of all recursions.
            groups: Groups of the batch.

        Returns:
            Losses and shares.
        """
        ...


class TokenChoice(nn.Module):
    """Every token chooses its own depth at the entry, from its own state alone.

    The state of a token depends on nothing that the token may not see, so the choice does not
    either: causal by construction.

    Args:
        width: D.
        max_depth: R.

    Source:
        Mixture of Recursions (Bae et al., 2025), named by the paper in section 2.2; specification
        3.4.
    """

    def __init__(self, width: int, max_depth: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, max_depth, bias=False)

    def choose(self, x_GD: Tensor, groups: TokenGroups, taken: Sequence[Step]) -> Step:  # noqa: ARG002 - the interface of all routers
        """Choose the tokens of the next recursion.

        Args:
            x_GD: [G, D] float, tokens as the recursion finds them.
            groups: Groups of the batch.
            taken: Steps of the recursions before it; only the first chooses.

        Returns:
            The step. The last recursion of a token is weighed by the probability of its depth,
            through which the router learns.
        """
        logit_GR = taken[0].logit if taken else self.project(x_GD)
        p_G, depth_G = torch.softmax(logit_GR, dim=-1).max(dim=-1)
        recursion = len(taken)
        weight_G = torch.where(depth_G == recursion, p_G, 1.0)
        return Step(depth_G >= recursion, weight_G, logit_GR)

    def summarize(self, taken: Sequence[Step], groups: TokenGroups) -> Routing:  # noqa: ARG002 - the interface of all routers
        """Tell what all steps of a pass amount to.

        Args:
            taken: Steps of all recursions.
            groups: Groups of the batch.

        Returns:
            Losses and shares; there is no auxiliary router.
        """
        logit_GR = taken[0].logit
        share_R = _depth_shares(taken)
        p_R = torch.softmax(logit_GR, dim=-1).mean(dim=0)
        return Routing(
            depth_share_R=share_R,
            balance_loss=len(taken) * (share_R * p_R).sum(),
            z_loss=torch.logsumexp(logit_GR, dim=-1).square().mean(),
            selection_loss=share_R.new_zeros(()),
            agreement=share_R.new_ones(()),
        )


class ExpertChoice(nn.Module):
    """Every recursion after the first keeps the best of the tokens that the one before kept.

    Recursion r of R keeps the share (R - r + 1) / R of the tokens of each user. The best of a whole
    sequence are not known before it ends, so in evaluation mode an auxiliary router decides token
    by token; it is trained to foresee the selection and sends no gradient into the model. User and
    environment tokens are always kept.

    Args:
        width: D.
        max_depth: R.

    Source:
        Mixture of Recursions (Bae et al., 2025); specification 3.4 (serving mode, kept tokens).
    """

    def __init__(self, width: int, max_depth: int) -> None:
        super().__init__()
        self.max_depth = max_depth
        self.score_RD = nn.Parameter(torch.randn(max_depth - 1, width) * width**-0.5)
        self.serving_RD = nn.Parameter(torch.zeros(max_depth - 1, width))
        self.serving_bias_R = nn.Parameter(torch.zeros(max_depth - 1))

    def choose(self, x_GD: Tensor, groups: TokenGroups, taken: Sequence[Step]) -> Step:
        """Choose the tokens of the next recursion.

        Args:
            x_GD: [G, D] float, tokens as the recursion finds them.
            groups: Groups of the batch.
            taken: Steps of the recursions before it; the first takes all tokens.

        Returns:
            The step, with what the auxiliary router says beside it.
        """
        if not taken:
            everything_G = torch.ones_like(groups.kind_G, dtype=torch.bool)
            one_G = x_GD.new_ones(len(x_GD))
            return Step(everything_G, one_G, one_G)
        row = len(taken) - 1
        logit_G = x_GD @ self.score_RD[row]
        serving_G = x_GD.detach() @ self.serving_RD[row] + self.serving_bias_R[row]
        is_open_G = taken[-1].is_active_G
        if self.training:
            is_chosen_G = self._best(logit_G, is_open_G, groups, kept=self.max_depth - len(taken))
        else:
            is_chosen_G = serving_G > 0
        is_active_G = is_open_G & (is_chosen_G | _is_always_kept(groups))
        return Step(is_active_G, torch.sigmoid(logit_G), logit_G, serving_G)

    def summarize(self, taken: Sequence[Step], groups: TokenGroups) -> Routing:
        """Tell what all steps of a pass amount to.

        Args:
            taken: Steps of all recursions.
            groups: Groups of the batch.

        Returns:
            Losses and shares; capacities are fixed, so nothing has to be balanced.
        """
        share_R = _depth_shares(taken)
        zero = share_R.new_zeros(())
        loss, wrong, free = zero, zero, zero
        for before, step in pairwise(taken):
            if step.serving_logit_G is None:
                continue
            is_free_G = before.is_active_G & ~_is_always_kept(groups)
            guess_g = step.serving_logit_G[is_free_G]
            truth_g = step.is_active_G[is_free_G]
            total = F.binary_cross_entropy_with_logits(
                guess_g, truth_g.to(guess_g.dtype), reduction="sum"
            )
            loss = loss + total / max(len(guess_g), 1)
            wrong = wrong + ((guess_g > 0) != truth_g).sum()
            free = free + len(guess_g)
        return Routing(
            depth_share_R=share_R,
            balance_loss=zero,
            z_loss=zero,
            selection_loss=loss,
            agreement=1 - wrong / free.clamp(min=1),
        )

    def _best(
        self, logit_G: Tensor, is_open_G: Tensor, groups: TokenGroups, *, kept: int
    ) -> Tensor:
        """Mark the best open tokens of each user: `kept` / R of all its tokens, rounded up."""
        users, tokens = groups.grid
        user_G = groups.source_G // tokens
        limit_B = -(-torch.bincount(user_G, minlength=users) * kept // self.max_depth)
        is_first_G = is_open_G & _is_always_kept(groups)
        # Kept tokens come first, then open ones by score, then those that are no longer open.
        tier_G = torch.where(is_first_G, 0, torch.where(is_open_G, 1, 2))
        order_G = torch.argsort(logit_G.detach(), descending=True, stable=True)
        order_G = order_G[torch.argsort(tier_G[order_G], stable=True)]
        order_G = order_G[torch.argsort(user_G[order_G], stable=True)]
        count_B = torch.bincount(user_G, minlength=users)
        first_B = count_B.cumsum(0) - count_B
        place_G = torch.empty_like(order_G)
        sorted_user_G = user_G[order_G]
        place_G[order_G] = (
            torch.arange(len(order_G), device=order_G.device) - first_B[sorted_user_G]
        )
        return is_open_G & (place_G < limit_B[user_G])


def _is_always_kept(groups: TokenGroups) -> Tensor:
    """Mark user and environment tokens, [G] bool: readouts stand on them."""
    kind_G = groups.kind_G
    return (kind_G == TokenKind.USER) | (kind_G == TokenKind.ENVIRONMENT)


def _depth_shares(taken: Sequence[Step]) -> Tensor:
    """Share of the tokens that stop after each recursion, [R] float."""
    depth_G = torch.stack([step.is_active_G for step in taken]).sum(dim=0)
    count_R = torch.bincount(depth_G, minlength=len(taken) + 1)[1:]
    return count_R.to(taken[0].weight_G.dtype) / max(len(depth_G), 1)
