"""Configurations of the model that the studies compare: baselines, and one part at a time.

HSTU is GPR with every part switched off, so each row of the paper's Table 2 differs from it in the
part that it names and in nothing else. OneRec and TIGER are encoder-decoders of the same class:
plain Transformer blocks in which all tokens see each other, and a code decoder that reads them.

Source: paper Table 2; specification 3.9 and 7.1.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from gpr_core.models.config import ExpertsConfig, ModelConfig, RecursionConfig, RefiningConfig

Change = Callable[[ModelConfig], ModelConfig]


def hstu(full: ModelConfig) -> ModelConfig:
    """Switch every part off: pointwise gated attention, one head, a code decoder of one layer.

    Args:
        full: The model whose width, depth, heads and dropout are kept.

    Returns:
        The base of all rows.
    """
    return replace(
        full,
        attention="pointwise",
        mask="causal",
        ffn_multiple=0,
        token_aware_norm=False,
        token_aware_ffn=False,
        recursion=RecursionConfig(),
        knowledge_vectors=0,
        num_thoughts=0,
        refine=RefiningConfig(kind="none"),
        generates_from_memory=False,
        copies_history=False,
        ptd_layers=1,
        num_heads=1,
    )


def tiger(full: ModelConfig) -> ModelConfig:
    """Give the encoder-decoder of semantic ids; it needs the sequence layout `prefix`.

    Args:
        full: The model whose width, depth, heads and dropout are kept.

    Returns:
        A bidirectional encoder and an autoregressive decoder with cross-attention.
    """
    return replace(
        hstu(full),
        attention="softmax",
        mask="bidirectional",
        gated=False,
        ffn_multiple=full.decoder_ffn_multiple,
        generates_from_memory=True,
        ptd_layers=full.ptd_layers,
    )


def one_rec(full: ModelConfig, *, experts: int = 24) -> ModelConfig:
    """Give the encoder-decoder with experts; it needs the sequence layout `prefix`.

    Args:
        full: The model whose width, depth, heads and dropout are kept.
        experts: Experts per decoder layer, two of which serve each position.

    Returns:
        `tiger` with a mixture of experts in its decoder.
    """
    return replace(tiger(full), experts=ExpertsConfig(count=experts))


SINGLE_PARTS: Mapping[str, Change] = {
    "hybrid_attention": lambda base: replace(base, attention="softmax", mask="segment_hybrid"),
    "token_aware_ffn": lambda base: replace(base, ffn_multiple=2, token_aware_ffn=True),
    "token_aware_norm": lambda base: replace(base, token_aware_norm=True),
    "recursion": lambda base: replace(base, recursion=RecursionConfig(router="token_choice")),
    "external_knowledge": lambda base: replace(base, knowledge_vectors=4),
    "thinking": lambda base: replace(base, num_thoughts=4),
    "refining": lambda base: replace(base, refine=RefiningConfig(kind="diffusion")),
    "mtp": lambda base: replace(base, num_heads=4),
}
"""Row of Table 2 -> what it adds to `hstu`."""

OWN_PARTS: Mapping[str, Change] = {
    "copying": lambda base: replace(base, copies_history=True),
}
"""Row -> what it adds to `hstu` that is not in the paper."""

CONTROLS: Mapping[str, Change] = {
    "softmax_attention": lambda base: replace(base, attention="softmax"),
    "shared_ffn": lambda base: replace(base, ffn_multiple=2),
    "shared_ffn_wide": lambda base: replace(base, ffn_multiple=8),
}
"""What separates a part from its parameters: attention without the mask, a feed-forward network
that all token kinds share, and one that is as large as the four of `token_aware_ffn`."""


def full_gpr(full: ModelConfig) -> ModelConfig:
    """Switch every part of Table 2 on, and what is our own off.

    Args:
        full: A model with the defaults of GPR.

    Returns:
        The same with recursion, external knowledge and refining by diffusion.
    """
    return replace(
        full,
        copies_history=False,
        recursion=RecursionConfig(router="token_choice"),
        knowledge_vectors=4,
        refine=RefiningConfig(kind="diffusion"),
    )
