"""GPR without ads and users: item tokens only, read by the decoder of the pipeline.

An item is its semantic id, its attributes and a vector of its own, which is the leaf level that
makes a path unique. Codes are tied over levels: the weight of a node is the sum of the weights of
the items below it, so that the product of the level conditionals along a path,

    P(z_1) P(z_2 | z_1) .. P(item | z_1 .. z_L) = exp(h e_item) / sum over items of exp(h e),

is one softmax over the items. A trie beam and a full ranking then agree, and a catalog of some ten
thousand items is ranked in full.

Letters: B users, T items of a sequence, G packed tokens, M predicted interactions, A items, L
levels, D width, J heads, F attributes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.data.tables import TokenKind
from gpr_core.models.config import ModelConfig
from gpr_core.models.hsd import HSD
from gpr_core.models.inputs import CodeEmbedding
from gpr_core.models.masks import causal_peers
from gpr_core.models.relation import relate
from gpr_core.models.token_aware import group_tokens, pack
from gpr_core.sequential.encoders import last_states
from gpr_core.sequential.item_attributes import ItemAttributes
from gpr_core.sequential.ranking import Scores
from gpr_core.sequential.sequences import Histories, Ints
from gpr_core.sequential.softmax_loss import softmax_loss

_INIT_SCALE = 0.4


class ItemCatalog(NamedTuple):
    """What GPR knows of items.

    Attributes:
        path_AL: [A, L] int64, semantic ids.
        codebook_sizes: V of each level.
        attributes: Attributes of the items.
    """

    path_AL: Ints
    codebook_sizes: tuple[int, ...]
    attributes: ItemAttributes


class SequenceGpr(nn.Module):
    """Item vectors, HSD, and heads for the next items.

    Head 1 ranks. The other heads predict the items after the next one; they only teach (multi-token
    prediction).

    Args:
        catalog: Semantic ids and attributes.
        config: Sizes and switches of the model; `num_heads` heads predict.
        max_items: Latest items T that are read.
        future_weight: Weight of all heads but the first together, >= 0; a head that predicts
            further ahead weighs less, as 1 over its distance.

    Source:
        Paper sections 2.1 to 2.3, as far as they speak of sequences alone; specification 3.7.
    """

    def __init__(
        self, catalog: ItemCatalog, config: ModelConfig, *, max_items: int, future_weight: float
    ) -> None:
        super().__init__()
        width, scale = config.width, _INIT_SCALE * config.width**-0.5
        num_items = len(catalog.path_AL)
        self.codes = CodeEmbedding(catalog.codebook_sizes, width)
        self.attribute_FD = nn.Parameter(
            torch.randn(catalog.attributes.num_attributes, width) * scale
        )
        self.item_AD = nn.Parameter(torch.randn(num_items, width) * scale)
        with torch.no_grad():
            self.codes.table_VE.mul_(_INIT_SCALE)
        self.register_buffer("path_AL", torch.from_numpy(catalog.path_AL), persistent=False)
        for name in ("attribute_N", "offset_A"):
            values = torch.from_numpy(getattr(catalog.attributes, name))
            self.register_buffer(name, values, persistent=False)
        self.hsd = HSD(config)
        self.heads = nn.ModuleList(nn.Linear(width, width) for _ in range(config.num_heads - 1))
        self.dropout = nn.Dropout(config.dropout)
        self.max_items = max_items
        self.max_distance = config.max_distance
        self.future_weight = future_weight

    def item_vectors(self) -> Tensor:
        """Put items together from codes, attributes and what is their own.

        Returns:
            [A, D] float.
        """
        vector_AD: Tensor = self.codes(self.get_buffer("path_AL")) + self.item_AD
        if len(self.attribute_FD):
            attribute_N, offset_A = self.get_buffer("attribute_N"), self.get_buffer("offset_A")
            vector_AD = vector_AD + F.embedding_bag(
                attribute_N, self.attribute_FD, offset_A, mode="sum"
            )
        return vector_AD

    def loss(self, item_BT: Tensor, generator: torch.Generator) -> Tensor:
        """Predict the next items from those before.

        Args:
            item_BT: [B, T + 1] int64, left-aligned, -1 behind the end.
            generator: Not used: no item is sampled.

        Returns:
            [] float, mean over the predicted items, summed over heads with their weights.
        """
        del generator
        vector_AD = self.item_vectors()
        state_BTD = self._understand(item_BT[:, :-1], vector_AD)
        next_BT = item_BT[:, 1:]
        losses = softmax_loss(state_BTD[next_BT >= 0], vector_AD, next_BT[next_BT >= 0])
        total = sum(1 / ahead for ahead in range(1, len(self.heads) + 1)) or 1.0
        share = self.future_weight / total
        for ahead, head in enumerate(self.heads, start=1):
            later_BT = F.pad(next_BT[:, ahead:], (0, ahead), value=-1)
            if bool((later_BT >= 0).any()):
                state_MD = head(state_BTD[later_BT >= 0])
                later = softmax_loss(state_MD, vector_AD, later_BT[later_BT >= 0])
                losses = losses + share / ahead * later
        return losses

    @torch.no_grad()
    def score(self, history: Histories) -> Scores:
        """Score every item as the next one.

        Args:
            history: Sequences of B users, none of them empty.

        Returns:
            [B, A] float32, log-probabilities.
        """
        item_BT = torch.from_numpy(history.latest(self.max_items))
        vector_AD = self.item_vectors()
        state_BD = last_states(self._understand(item_BT, vector_AD), history)
        scores: Scores = torch.log_softmax(state_BD @ vector_AD.T, dim=1).numpy()
        return scores

    def _understand(self, item_BT: Tensor, vector_AD: Tensor) -> Tensor:
        """Run HSD over item tokens: [B, T, D], zeros on padding."""
        kind_BT = torch.where(item_BT >= 0, int(TokenKind.ITEM), int(TokenKind.PAD))
        groups = group_tokens(kind_BT)
        # The files have no times, so all pairs fall into one class of time.
        relation = relate(
            torch.zeros_like(item_BT), causal_peers(kind_BT), groups, self.max_distance
        )
        item_G = pack(item_BT[..., None], groups)[:, 0]
        embedded_GD = self.dropout(F.embedding(item_G, vector_AD))
        state_BTD: Tensor = self.hsd(embedded_GD, groups, relation)
        return state_BTD
