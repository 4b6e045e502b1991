"""Size and switches of the GPR model."""

from dataclasses import dataclass, field
from typing import Literal

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class RecursionConfig:
    """Mixture of Recursions: blocks between the first and the last are applied repeatedly.

    Source: specification 3.4.
    """

    router: Literal["none", "token_choice", "expert_choice"] = "none"
    """None is the plain stack. Otherwise who decides how deep a token goes: the token itself, or
    each recursion, which takes the best tokens and needs an auxiliary router in serving."""
    max_depth: int = 2
    """Most recursions R of the shared blocks; 1 is the plain stack."""
    keys: Literal["share", "active"] = "share"
    """What later recursions attend to: the keys and values of all tokens from the first one, or
    the tokens that are still active."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("max_depth", self.max_depth, 1, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefiningConfig:
    """How the refined token comes from the thoughts.

    Source: specification 3.6.2 and appendix C.
    """

    kind: Literal["none", "linear", "diffusion"] = "linear"
    """None is no refined token; linear is r = W c; diffusion denoises seeded noise under the
    condition c."""
    layers: int = 1
    """Layers of the denoiser. >= 1."""
    noise_levels: int = 50
    """Noise levels S that the denoiser is trained on. >= 1."""
    sampling_steps: int = 4
    """Calls of the denoiser per refined token; in [1, noise_levels]."""
    guidance: float = 1.0
    """How far a guess is moved away from that without condition; 1 is no guidance, more follows
    the condition more closely and costs another call. >= 1."""
    start: Literal["noise", "hypothesis"] = "noise"
    """What is denoised: noise, or the last thought under half of it (DiffuReason)."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("layers", self.layers, 1, 64)
        check_range("noise_levels", self.noise_levels, 1, 10_000)
        check_range("sampling_steps", self.sampling_steps, 1, self.noise_levels)
        check_range("guidance", self.guidance, 1.0, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertsConfig:
    """Mixture of experts in the feed-forward networks of code generation.

    Source: specification 3.9 (OneRec).
    """

    count: int = 0
    """Experts E per layer; 0 is one plain network."""
    per_token: int = 2
    """Experts that each position uses; in [1, count]."""
    balance_rate: float = 0.001
    """Step by which the router's preference for a crowded expert falls per update. >= 0."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("count", self.count, 0, 1024)
        if self.count:
            check_range("per_token", self.per_token, 1, self.count)
        check_range("balance_rate", self.balance_rate, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Architecture of GPR; the defaults are the preset `tiny`.

    With every part switched off it is the HSTU of the paper's Table 2 (`gpr_core.models.variants`).

    Source: specification 3 and appendix C; the paper prints no sizes.
    """

    width: int = 64
    """Width D of token embeddings, hidden states and intent; a multiple of `attention_heads`."""
    table_width: int = 0
    """Width of the look-up tables of codes and fields, from which a matrix makes `width`; 0 is
    `width` itself. A large model need not have large tables."""
    attention_heads: int = 4
    """Attention heads H of every attention."""
    hsd_layers: int = 4
    """Blocks of the sequence-wise decoder, 1 or more."""
    ptd_layers: int = 2
    """Layers of thinking, and again of code generation, 1 or more."""
    ffn_multiple: int = 2
    """Hidden width of the feed-forward networks of the sequence-wise decoder as a multiple of
    `width`; 0 leaves them out."""
    decoder_ffn_multiple: int = 2
    """The same of the token-wise decoder, 1 or more."""
    num_thoughts: int = 4
    """Thinking tokens K (paper: K, value not printed); 0 leaves thinking out, and the intent is
    the intent embedding of the request."""
    think: Literal["parallel", "sequential"] = "parallel"
    """Whether all thinking tokens are made in one pass, or each starts from the one before."""
    num_heads: int = 4
    """Parallel prediction heads J (paper: N = 4); 1 is next-token prediction."""
    mask: Literal["segment_hybrid", "causal", "bidirectional"] = "segment_hybrid"
    """Which tokens see each other in the sequence-wise decoder; bidirectional, all see all, needs
    sequences that end with their only request."""
    attention: Literal["softmax", "pointwise"] = "softmax"
    """Weights of the sequence-wise decoder: a softmax over the visible tokens, or SiLU of every
    single score (HSTU)."""
    gated: bool = True
    """Multiply attended values by a gate; false is the block of a plain Transformer."""
    token_aware_norm: bool = True
    """Own normalization per token kind; false is one shared copy."""
    token_aware_ffn: bool = True
    """Own feed-forward network per token kind; false is one shared copy."""
    norm_before_gate: bool = True
    """Normalize the attended values before the gate (HSTU); false is the printed Eq 1."""
    max_distance: int = 64
    """Token distance from which on all positions share one attention bias."""
    memory_tokens: int = 64
    """Latest tokens, the readout included, that the token-wise decoder may read, beside the user
    token in force."""
    generates_from_memory: bool = True
    """Code generation reads the memory; false gives it intent and refined token alone."""
    knowledge_vectors: int = 0
    """Vectors per thought of external knowledge in the memory of the token-wise decoder; 0 is the
    model without external knowledge (specification: 4)."""
    dropout: float = 0.1
    """Dropout rate of every residual branch during training, in [0, 0.9]."""
    recursion: RecursionConfig = field(default_factory=RecursionConfig)
    """Repeated application of shared blocks of the sequence-wise decoder."""
    refine: RefiningConfig = field(default_factory=RefiningConfig)
    """Refining of the thoughts before generation."""
    copies_history: bool = False
    """Codes of ads that the user was shown before get a learned bonus; not in the paper. It raises
    hit rates, but not of new ads (docs/model_study.md); off because heads that copy become
    alike where training is short (T06)."""
    lazy_layers: int = 0
    """Layers of code generation that run once for all levels, without the codes chosen before
    (GR4AD: 6 of 9); below `ptd_layers`."""
    experts: ExpertsConfig = field(default_factory=ExpertsConfig)
    """Experts of code generation."""

    def __post_init__(self) -> None:
        """Check ranges and the combination of width and heads."""
        for name, low, high in (
            ("width", 4, 4096),
            ("table_width", 0, 4096),
            ("attention_heads", 1, 64),
            ("hsd_layers", 1, 64),
            ("ptd_layers", 1, 64),
            ("lazy_layers", 0, self.ptd_layers - 1),
            ("ffn_multiple", 0, 64),
            ("decoder_ffn_multiple", 1, 64),
            ("num_thoughts", 0, 64),
            ("num_heads", 1, 64),
            ("max_distance", 1, 65536),
            ("memory_tokens", 1, 65536),
            ("knowledge_vectors", 0, 64),
            ("dropout", 0.0, 0.9),
        ):
            check_range(name, getattr(self, name), low, high)
        if self.width % self.attention_heads:
            raise ConfigError(
                f"width {self.width} is not a multiple of attention_heads {self.attention_heads}",
                fix=f"set width to a multiple of {self.attention_heads}",
            )
        if self.recursion.router != "none" and self.hsd_layers < 3:
            raise ConfigError(
                f"hsd_layers is {self.hsd_layers} with a recursion router, but blocks between the "
                "first and the last are what is repeated",
                fix="set hsd_layers to 3 or more, or recursion.router to none",
            )


DEFAULTS = ModelConfig()
