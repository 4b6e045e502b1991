"""Progressive Token-wise Decoder: think, refine, generate.

Without thoughts the intent is the readout itself; without refining nothing is added to it.

Letters: B users, T tokens, D width, K thinking tokens, M flat rows (readouts).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gpr_core.models.code_decoder import CodeDecoder, DecoderStart
from gpr_core.models.config import ModelConfig
from gpr_core.models.decoder_layer import access_memory
from gpr_core.models.refining import DiffusionRefining
from gpr_core.models.thinking import Thinking


class Intent(NamedTuple):
    """What the decoder has understood about M readouts.

    Attributes:
        thought_MKD: [M, K, D] float, thinking tokens.
        intent_MD: [M, D] float, their sum, c; the readout if there are none.
        refined_MD: [M, D] float, refined token, r; zeros if there is none.
        start: State from which codes are generated.
    """

    thought_MKD: Tensor
    intent_MD: Tensor
    refined_MD: Tensor
    start: DecoderStart


class PTD(nn.Module):
    """Thinking tokens, a refined token, and code paths generated from both.

    Args:
        config: Sizes and switches.
        num_levels: L.

    Source:
        Paper section 2.2; specification 3.6.
    """

    def __init__(self, config: ModelConfig, num_levels: int) -> None:
        super().__init__()
        self.think = Thinking(config) if config.num_thoughts else None
        self.refine = _make_refining(config)
        self.generate = CodeDecoder(config, num_levels)

    @property
    def reads_memory(self) -> bool:
        """Whether anything of it reads more of a sequence than the readout."""
        return self.think is not None or self.generate.reads_memory

    def read(
        self,
        readout_MD: Tensor,
        memory_BTD: Tensor,
        row_batch_M: Tensor,
        visible_MT: Tensor,
        request_key_M: Tensor,
    ) -> Intent:
        """Think and refine for every readout.

        Args:
            readout_MD: [M, D] float, intent embedding at each request.
            memory_BTD: [B, T, D] float, intent embeddings of whole sequences; external knowledge
                stands behind them.
            row_batch_M: [M] int64, user of each readout.
            visible_MT: [M, T] causal cut: the states that each readout may read, bool, or float to
                be added to the attention scores.
            request_key_M: [M] int64, request of each readout, which fixes the noise of diffusion.

        Returns:
            Thoughts, condition and the state for generation.
        """
        access = access_memory(row_batch_M, visible_MT, len(memory_BTD))
        if self.think is None:
            thought_MKD, intent_MD = readout_MD[:, None][:, :0], readout_MD
        else:
            thought_MKD = self.think(readout_MD, memory_BTD, access)
            intent_MD = thought_MKD.sum(dim=1)
        if self.refine is None:
            refined_MD = torch.zeros_like(intent_MD)
        elif isinstance(self.refine, DiffusionRefining):
            refined_MD = self.refine(thought_MKD, intent_MD, request_key_M)
        else:
            refined_MD = self.refine(intent_MD)
        start = self.generate.start(
            (thought_MKD, intent_MD, refined_MD), memory_BTD, row_batch_M, visible_MT
        )
        return Intent(thought_MKD, intent_MD, refined_MD, start)


def _make_refining(config: ModelConfig) -> nn.Module | None:
    """Make what refines the intent, if anything does."""
    if config.refine.kind == "none":
        return None
    if config.refine.kind == "linear":
        return nn.Linear(config.width, config.width, bias=False)
    return DiffusionRefining(config)
