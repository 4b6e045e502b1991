"""Mixture of Recursions: HSD with more depth, and no more blocks.

The first and the last block are applied once, the blocks between them up to R times. A router says
how often for each token.

Every recursion computes all tokens and keeps the old state of those that it leaves out. Gathering
only the active ones would save their time, but then the shape of every matrix product, and with it
the rounding of a readout, would depend on how deep later tokens and other users go.

Letters: B users, T tokens, D width, G packed tokens, R recursions.
"""

from typing import cast

import torch
from torch import Tensor, nn

from gpr_core.models.config import ModelConfig
from gpr_core.models.hsd import HSDBlock
from gpr_core.models.relation import Relation, hide_keys
from gpr_core.models.routing import ExpertChoice, Router, Routing, Step, TokenChoice
from gpr_core.models.token_aware import TokenAwareNorm, TokenGroups, unpack


class RecursiveHSD(nn.Module):
    """A first block, shared middle blocks applied again and again, a last block.

    It has the parameters of the plain stack with the same `hsd_layers`, and a router.

    Args:
        config: Sizes and switches; `recursion.router` is not none.

    Source:
        Paper section 2.2 (names Mixture of Recursions, says nothing about it); specification 3.4
        (middle cycle).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.max_depth = config.recursion.max_depth
        self.shares_keys = config.recursion.keys == "share"
        self.blocks = nn.ModuleList(HSDBlock(config) for _ in range(config.hsd_layers))
        self.norm_out = TokenAwareNorm(config.width, is_token_aware=config.token_aware_norm)
        routers = {"token_choice": TokenChoice, "expert_choice": ExpertChoice}
        self.router = routers[config.recursion.router](config.width, self.max_depth)

    def forward(
        self, x_GD: Tensor, groups: TokenGroups, relation: Relation
    ) -> tuple[Tensor, Routing]:
        """Understand the sequence.

        Args:
            x_GD: [G, D] float, embedded tokens, packed.
            groups: Groups of the batch.
            relation: How the tokens stand to one another, visibility included.

        Returns:
            [B, T, D] float, intent embeddings, zeros on padding; and what the router did.
        """
        first, *shared, last = self.blocks
        router = cast("Router", self.router)
        x_GD = first(x_GD, groups, relation)
        sources: list[Tensor] = []
        taken: list[Step] = []
        for _ in range(self.max_depth):
            step = router.choose(x_GD, groups, taken)
            taken.append(step)
            seen = relation if self.shares_keys else hide_keys(relation, ~step.is_active_G)
            deeper_GD = x_GD
            for idx, block in enumerate(shared):
                if len(taken) == 1:
                    sources.append(deeper_GD)
                source_GD = sources[idx] if self.shares_keys and len(taken) > 1 else None
                deeper_GD = block(deeper_GD, groups, seen, source_GD)
            # lerp with weight 1 is exactly its end: one recursion of weight 1 is the plain stack.
            moved_GD = torch.lerp(x_GD, deeper_GD, step.weight_G[:, None])
            x_GD = torch.where(step.is_active_G[:, None], moved_GD, x_GD)
        x_GD = last(x_GD, groups, relation)
        hidden_BTD = unpack(self.norm_out(x_GD, groups), groups)
        return hidden_BTD, router.summarize(taken, groups)
