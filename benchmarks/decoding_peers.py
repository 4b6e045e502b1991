"""Constrained beam search of Hugging Face `transformers` on the catalog of the decoding benchmark.

Legality is a `prefix_allowed_tokens_fn` over a tree of dictionaries, and scores are normalized over
the legal set (`renormalize_logits`), as ours are.

Letters: B requests, T prompt tokens, K candidates, L levels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from gpr_core.support.seeding import seed_global_torch

FIRST_TOKEN = 2
_WIDTH, _LAYERS, _HEADS = 128, 4, 4


def make_gpt2(num_codes: int, longest: int) -> GPT2LMHeadModel:
    """Make a GPT-2 with random weights.

    Args:
        num_codes: Codes of all levels.
        longest: Tokens of prompt and path.

    Returns:
        The model, 128 wide, 4 layers, in evaluation mode.
    """
    seed_global_torch(0, "benchmark", "gpt2")
    config = GPT2Config(
        vocab_size=num_codes + FIRST_TOKEN,
        n_positions=longest,
        n_embd=_WIDTH,
        n_layer=_LAYERS,
        n_head=_HEADS,
        bos_token_id=0,
        eos_token_id=None,
        pad_token_id=1,
    )
    return GPT2LMHeadModel(config).eval()


def make_t5(num_codes: int) -> T5ForConditionalGeneration:
    """Make a T5 with random weights and as many layers in encoder and decoder.

    Args:
        num_codes: Codes of all levels.

    Returns:
        The model, in evaluation mode.
    """
    seed_global_torch(0, "benchmark", "t5")
    config = T5Config(
        vocab_size=num_codes + FIRST_TOKEN,
        d_model=_WIDTH,
        d_kv=_WIDTH // _HEADS,
        d_ff=4 * _WIDTH,
        num_layers=_LAYERS,
        num_decoder_layers=_LAYERS,
        num_heads=_HEADS,
        decoder_start_token_id=0,
        eos_token_id=None,
        pad_token_id=1,
    )
    return T5ForConditionalGeneration(config).eval()


class DictionaryTree:
    """The legal next tokens, as most implementations keep them.

    Args:
        path_AL: [A, L] int16 paths.
        codebook_sizes: Codes per level.
    """

    def __init__(self, path_AL: npt.NDArray[np.int16], codebook_sizes: tuple[int, ...]) -> None:
        starts = FIRST_TOKEN + np.cumsum([0, *codebook_sizes[:-1]])
        self._root: dict[int, Any] = {}
        for path in (path_AL + starts).tolist():
            node = self._root
            for token in path:
                node = node.setdefault(token, {})

    def allowed(self, codes: list[int]) -> list[int]:
        """List the tokens that may follow.

        Args:
            codes: Tokens of a prefix.

        Returns:
            Legal next tokens.
        """
        node = self._root
        for token in codes:
            node = node[token]
        return list(node)


@torch.inference_mode()
def beam_search(
    model: Any, token_BT: Tensor, tree: DictionaryTree, *, beams: int, levels: int
) -> Tensor:
    """Run the constrained beam search of `transformers`.

    Args:
        model: GPT-2 or T5.
        token_BT: [B, T] int64 prompt.
        tree: Legal tokens.
        beams: K.
        levels: L.

    Returns:
        [B, K, L] int64 tokens, best first.
    """
    skipped = 1 if model.config.is_encoder_decoder else token_BT.shape[1]
    found: Tensor = model.generate(
        token_BT,
        attention_mask=torch.ones_like(token_BT),
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=levels,
        do_sample=False,
        prefix_allowed_tokens_fn=lambda _, tokens: tree.allowed(tokens[skipped:].tolist()),
        renormalize_logits=True,
        length_penalty=0.0,
        early_stopping=False,
    )
    return found[:, skipped:].view(len(token_BT), beams, levels)
