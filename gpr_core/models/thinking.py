"""Thinking tokens: what a readout distills from its memory before it generates.

Letters: D width, K thinking tokens, M flat rows (readouts).
"""

import torch
from torch import Tensor, nn

from gpr_core.models.config import ModelConfig
from gpr_core.models.decoder_layer import DecoderStack, KeyValue, MemoryAccess


class Thinking(nn.Module):
    """K learned queries that read the memory, in one parallel pass or one after the other.

    Each thought sees the thoughts before it. In parallel it sees their states layer by layer; in
    sequence it also starts from the finished thought before it, which is K times as deep. Both have
    the same parameters.

    Args:
        config: Sizes and switches; there is at least one thought.

    Source:
        Paper section 2.2 (thinking tokens); specification 3.6.1.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.is_sequential = config.think == "sequential"
        # Queries outweigh what the first layers add to all of them alike, else slots are copies.
        self.query_KD = nn.Parameter(0.5 * torch.randn(config.num_thoughts, config.width))
        self.condition = nn.Linear(config.width, config.width, bias=False)
        self.decoder = DecoderStack(config, reads_memory=True, has_experts=False)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, readout_MD: Tensor, memory_BTD: Tensor, access: MemoryAccess) -> Tensor:
        """Think about each readout.

        Args:
            readout_MD: [M, D] float, intent embedding at the request.
            memory_BTD: [B, T, D] float, intent embeddings.
            access: What each of the M readouts may read.

        Returns:
            [M, K, D] float, thinking tokens.
        """
        memories = [layer.read_memory(memory_BTD) for layer in self.decoder.layers]
        if self.is_sequential:
            return self._one_by_one(readout_MD, memories, access)
        thought_MKD = self.query_KD + self.condition(readout_MD)[:, None]
        slots = len(self.query_KD)
        causal_KK = torch.ones(slots, slots, dtype=torch.bool, device=memory_BTD.device).tril()
        for layer, memory in zip(self.decoder.layers, memories, strict=True):
            thought_MKD, _ = layer(
                thought_MKD, mask_PS=causal_KK, past=None, memory=memory, access=access
            )
        normed: Tensor = self.norm(thought_MKD)
        return normed

    def _one_by_one(
        self, readout_MD: Tensor, memories: list[KeyValue | None], access: MemoryAccess
    ) -> Tensor:
        """Think in sequence: [M, K, D], the first from the readout, each from the one before."""
        thought_MD = self.condition(readout_MD)
        past: list[KeyValue | None] = [None] * len(memories)
        thoughts = []
        for slot, query_D in enumerate(self.query_KD):
            x_M1D = (query_D + thought_MD)[:, None]
            everything = torch.ones(1, slot + 1, dtype=torch.bool, device=readout_MD.device)
            for idx, layer in enumerate(self.decoder.layers):
                x_M1D, past[idx] = layer(
                    x_M1D, mask_PS=everything, past=past[idx], memory=memories[idx], access=access
                )
            thought_MD = self.norm(x_M1D)[:, 0]
            thoughts.append(thought_MD)
        return torch.stack(thoughts, dim=1)
