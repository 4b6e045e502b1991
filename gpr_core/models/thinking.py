"""Thinking tokens: what a readout distills from its memory before it generates.

Letters: D width, K thinking tokens, M flat rows (readouts).
"""

import torch
from torch import Tensor, nn

from gpr_core.models.config import ModelConfig
from gpr_core.models.decoder_layer import DecoderStack, MemoryAccess


class Thinking(nn.Module):
    """K learned queries that read the memory in one parallel pass.

    Args:
        config: Sizes.

    Source:
        Paper section 2.2 (thinking tokens); specification 3.6.1, `think: parallel`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        # Queries outweigh what the first layers add to all of them alike, else slots are copies.
        self.query_KD = nn.Parameter(0.5 * torch.randn(config.num_thoughts, config.width))
        self.condition = nn.Linear(config.width, config.width, bias=False)
        self.decoder = DecoderStack(config)
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
        thought_MKD = self.query_KD + self.condition(readout_MD)[:, None]
        slots = len(self.query_KD)
        causal_KK = torch.ones(slots, slots, dtype=torch.bool, device=memory_BTD.device).tril()
        for layer in self.decoder.layers:
            thought_MKD, _ = layer(
                thought_MKD,
                mask_PS=causal_KK,
                past=None,
                memory=layer.read_memory(memory_BTD),
                access=access,
            )
        normed: Tensor = self.norm(thought_MKD)
        return normed
