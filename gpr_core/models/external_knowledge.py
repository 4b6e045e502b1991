"""External knowledge: a text about a user becomes vectors that the token-wise decoder may read.

The vectors stand beside the intent embeddings in the memory. They take no place in the sequence, so
no mask of the sequence has to know them, and each readout sees only those of its own thought.

Letters: B users, T intent embeddings, R readouts, P words of a thought, I vectors of a thought,
D width, M flat rows (readouts), X the vectors of all R readouts, Z = T + X memory tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.features.batch import NUM_WORD_BUCKETS
from gpr_core.models.config import ModelConfig
from gpr_core.support.errors import ConfigError, ContractError
from gpr_core.support.shapes import check_shape

_FIRST_GATE = 0.1
_SMALLEST_WEIGHT = 1e-30


class ExternalKnowledge(nn.Module):
    """Reads a thought: mean of its word embeddings, then a network with I vectors as output.

    The gate tanh(g) multiplies the attention weight of the vectors, not the vectors: a vector of
    zeros still takes its share of a softmax, and the model with g = 0 would not be the model
    without thoughts.

    Args:
        config: Sizes; `knowledge_vectors` is not 0.

    Source:
        Paper section 2.2 (thought process of a language model, tokenized and integrated into the
        intent embeddings); specification 3.5.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.num_vectors = config.knowledge_vectors
        self.word_VD = nn.Parameter(torch.randn(NUM_WORD_BUCKETS, width) * width**-0.5)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, self.num_vectors * width)
        self.norm = nn.LayerNorm(width)
        self.kind_D = nn.Parameter(torch.randn(width) * width**-0.5)
        self.gate = nn.Parameter(torch.tensor(_FIRST_GATE))

    def forward(
        self,
        thought_BRP: Tensor,
        row_batch_M: Tensor,
        column_M: Tensor,
        memory_BTD: Tensor,
        visible_MT: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Put the vectors of all thoughts into the memory.

        Args:
            thought_BRP: [B, R, P] int64, words of the thought at each readout, 0 = no word.
            row_batch_M: [M] int64, user of each readout.
            column_M: [M] int64, place of each readout among those of its user.
            memory_BTD: [B, T, D] float, intent embeddings.
            visible_MT: [M, T] bool, embeddings that each readout may read.

        Returns:
            [B, Z, D] float, the memory; and [M, Z] float to add to the attention
            scores of each readout, -inf for what it may not read. An empty thought is not read.

        Raises:
            ShapeError: If there is not one thought per readout.
            ConfigError: If nobody asked for thoughts where the timelines were loaded.
            ContractError: If a word is outside its range.
        """
        readouts = thought_BRP.shape[1]
        check_shape("thought_BRP", thought_BRP, (len(memory_BTD), readouts, None))
        _check_asked(thought_BRP)
        _check_words(thought_BRP)
        vector_BXD = self._encode(thought_BRP).flatten(1, 2)
        memory_BZD = torch.cat([memory_BTD, vector_BXD], dim=1)

        has_words_M = (thought_BRP[row_batch_M, column_M] > 0).any(dim=1)
        is_own_MR = column_M[:, None] == torch.arange(readouts, device=column_M.device)
        is_own_MX = (is_own_MR & has_words_M[:, None]).repeat_interleave(self.num_vectors, dim=1)
        weight = torch.tanh(self.gate).abs().clamp(min=_SMALLEST_WEIGHT)
        own_MX = torch.where(is_own_MX, weight.log(), -torch.inf)
        past_MT = torch.zeros_like(visible_MT, dtype=own_MX.dtype)
        past_MT = past_MT.masked_fill(~visible_MT, -torch.inf)
        return memory_BZD, torch.cat([past_MT, own_MX], dim=1)

    def add_to_readout(
        self, thought_BRP: Tensor, row_batch_M: Tensor, column_M: Tensor, readout_MD: Tensor
    ) -> Tensor:
        """Add the mean vector of its thought to each readout, for a model without memory.

        Args:
            thought_BRP: [B, R, P] int64, words of the thought at each readout, 0 = no word.
            row_batch_M: [M] int64, user of each readout.
            column_M: [M] int64, place of each readout among those of its user.
            readout_MD: [M, D] float, intent embeddings.

        Returns:
            [M, D] float; a readout without a thought is unchanged.

        Raises:
            ContractError: If a word is outside its range.
        """
        _check_words(thought_BRP)
        thought_MP = thought_BRP[row_batch_M, column_M]
        mean_MD = self._encode(thought_MP[:, None])[:, 0].mean(dim=1)
        has_words_M1 = (thought_MP > 0).any(dim=1, keepdim=True)
        return readout_MD + torch.where(has_words_M1, torch.tanh(self.gate) * mean_MD, 0.0)

    def _encode(self, thought_BRP: Tensor) -> Tensor:
        """Turn words into vectors, [B, R, I, D]."""
        is_word_BRP1 = (thought_BRP > 0).unsqueeze(-1)
        word_BRPD = F.embedding(thought_BRP, self.word_VD)
        total_BRD = torch.where(is_word_BRP1, word_BRPD, 0.0).sum(dim=2)
        mean_BRD = total_BRD / is_word_BRP1.sum(dim=2).clamp(min=1)
        vector_BRX = self.outer(F.silu(self.inner(mean_BRD)))
        vector_BRID = vector_BRX.unflatten(-1, (self.num_vectors, -1))
        encoded_BRID: Tensor = self.norm(vector_BRID) + self.kind_D
        return encoded_BRID


def _check_asked(thought_BRP: Tensor) -> None:
    """Refuse timelines without thoughts: read as empty ones, they would hide that a step forgot."""
    if thought_BRP.shape[2] == 0:
        raise ConfigError(
            "the model reads external knowledge, but its timelines were loaded without thoughts",
            where="TimelineBatch.thought_BRP",
            fix="set corpus_curation.thoughts.provider: template (or language_model), or train "
            "with mtp_pretrain.model.knowledge_vectors: 0; code gives thoughts to TimelineStore",
        )


def _check_words(thought_BRP: Tensor) -> None:
    """Refuse words that have no embedding."""
    is_bad_BRP = (thought_BRP < 0) | (thought_BRP >= NUM_WORD_BUCKETS)
    if bool(is_bad_BRP.any()):
        raise ContractError(
            f"{int(is_bad_BRP.sum())} words of thoughts are outside [0, {NUM_WORD_BUCKETS})",
            where="TimelineBatch.thought_BRP",
            fix="encode texts with gpr_core.knowledge.words",
        )
