"""Feed-forward networks of the token-wise decoder: one plain network, or a mixture of experts.

Letters: N rows, D width, E experts, C chosen experts of a row, G pairs of row and chosen expert.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.models.config import ModelConfig
from gpr_core.models.products import swiglu_by_set


class FeedForward(nn.Module):
    """SwiGLU network.

    Args:
        width: D.
        multiple: Hidden width as a multiple of D.
    """

    def __init__(self, width: int, multiple: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, 2 * multiple * width, bias=False)
        self.outer = nn.Linear(multiple * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform every position on its own.

        Args:
            x: [..., D] float.

        Returns:
            [..., D] float.
        """
        gate, inner = self.inner(x).chunk(2, dim=-1)
        out: Tensor = self.outer(F.silu(gate) * inner)
        return out


class Experts(nn.Module):
    """Several SwiGLU networks, of which each position uses the few that its router prefers.

    The load is balanced without a loss: an expert that got more than its share in an update is
    preferred a little less from then on. The preference decides who is chosen; what a chosen
    expert contributes is weighted by the router alone.

    Args:
        config: Sizes; there is at least one expert.

    Source:
        OneRec (specification 3.9) names experts with a balance loss of 0.01; the balance by a bias
        is that of Wang et al., Auxiliary-Loss-Free Load Balancing (2024), which adds no gradient
        that competes with the task.
    """

    preference_E: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, experts = config.width, config.experts
        hidden, bound = config.decoder_ffn_multiple * width, width**-0.5
        self.num_chosen, self.balance_rate = experts.per_token, experts.balance_rate
        self.router = nn.Linear(width, experts.count, bias=False)
        self.inner_EDX = nn.Parameter(
            torch.empty(experts.count, width, 2 * hidden).uniform_(-bound, bound)
        )
        self.outer_EXD = nn.Parameter(
            torch.empty(experts.count, hidden, width).uniform_(-(hidden**-0.5), hidden**-0.5)
        )
        self.register_buffer("preference_E", torch.zeros(experts.count))

    def forward(self, x: Tensor) -> Tensor:
        """Transform every position by its chosen experts; in training, move the preferences.

        Args:
            x: [..., D] float.

        Returns:
            [..., D] float.
        """
        x_ND = x.reshape(-1, x.shape[-1])
        score_NE = torch.sigmoid(self.router(x_ND))
        chosen_NC = torch.topk(score_NE + self.preference_E, self.num_chosen, dim=1).indices
        weight_NC = score_NE.gather(1, chosen_NC)
        weight_NC = weight_NC / weight_NC.sum(dim=1, keepdim=True)
        load_E = torch.bincount(chosen_NC.flatten(), minlength=len(self.preference_E))
        if self.training:
            crowded_E = torch.sign(load_E - load_E.double().mean())
            self.preference_E.sub_(self.balance_rate * crowded_E.to(self.preference_E))
        order_G = torch.argsort(chosen_NC.flatten(), stable=True)
        row_G = order_G // self.num_chosen
        out_GD = swiglu_by_set(
            x_ND.index_select(0, row_G), self.inner_EDX, self.outer_EXD, tuple(load_E.tolist())
        )
        weighted_GD = out_GD * weight_NC.flatten().index_select(0, order_G)[:, None]
        back_G = torch.argsort(order_G)
        sum_ND = weighted_GD.index_select(0, back_G).view(*chosen_NC.shape, -1).sum(dim=1)
        return sum_ND.view_as(x)
