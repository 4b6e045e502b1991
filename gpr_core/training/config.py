"""Parameters of the supervised training steps; the defaults are the preset `tiny`."""

from dataclasses import dataclass, field
from typing import Literal

from gpr_core.models.config import ModelConfig
from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceConfig:
    """What one training sequence is and which requests it answers for.

    `mtp_pretrain` stores it in its checkpoint and every later step reads it there, so that all
    steps see the same sequences.
    """

    max_tokens: int = 128
    """Longest sequence T, tokens. >= 8."""
    new_tokens: int = 64
    """Consecutive tokens whose requests share a training window; the rest of the window is
    context. In [1, max_tokens - 1]."""
    layout: Literal["interleaved", "prefix"] = "interleaved"
    """Interleaved windows answer for all their requests at once; prefix gives every request a
    sequence of its own that ends with it, which encoder-decoders need and which reads every token
    as often as requests follow it. `new_tokens` and `max_readouts` have no effect then."""
    max_readouts: int = 8
    """Requests R of a window that enter the loss in one epoch; drawn anew each epoch. >= 1."""
    targets: Literal["next_distinct", "offset", "matching"] = "next_distinct"
    """What heads 2..J predict: the next ads of other interests in order of time, the next ads
    whatever they are, or the ads of `next_distinct` with each given to the head that fits best."""
    horizon_days: int = 7
    """How far heads 2..J look ahead for their targets, days. >= 1."""
    click_maturity_hours: int = 2
    """Age from which on a missing click counts as no click, and a missing hide as no hide. >= 0."""
    conversion_maturity_days: int = 5
    """Age from which on a missing conversion counts as none, days. >= 0."""
    gate_user_share: float = 0.3
    """Share of users whose requests of the last training day are kept out of every loss and
    target; the gates are measured on them. In (0, 1)."""

    def __post_init__(self) -> None:
        """Check ranges and the combination of window sizes."""
        check_range("max_tokens", self.max_tokens, 8, 1 << 20)
        check_range("max_readouts", self.max_readouts, 1, 4096)
        check_range("horizon_days", self.horizon_days, 1, 365)
        check_range("click_maturity_hours", self.click_maturity_hours, 0, 24 * 365)
        check_range("conversion_maturity_days", self.conversion_maturity_days, 0, 365)
        check_range("gate_user_share", self.gate_user_share, 1e-6, 1 - 1e-6)
        if not 1 <= self.new_tokens < self.max_tokens:
            raise ConfigError(
                f"new_tokens is {self.new_tokens} with max_tokens {self.max_tokens}; a window "
                "without context would hide the past from its first requests",
                fix="use 1 <= new_tokens < max_tokens, for example half",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """How weights are updated."""

    learning_rate: float = 2e-3
    """Largest rate of AdamW, reached after the warm-up. > 0; the specification's 1e-3 is for
    several passes, `tiny` makes one."""
    weight_decay: float = 0.01
    """Decoupled decay of matrices; vectors are not decayed. >= 0."""
    warmup_share: float = 0.05
    """Share of the updates in which the rate rises linearly. In [0, 1]."""
    final_rate_share: float = 0.1
    """Rate at the end of the cosine, as a share of `learning_rate`. In [0, 1]."""
    clip_norm: float = 1.0
    """Largest gradient norm, separately for the policy and for the value heads. > 0."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of large matrix products; weights, sums, softmax and losses are float32 in both. bfloat16
    changes nothing on a processor without instructions for it."""
    batch_windows: int = 16
    """Windows per update. >= 1."""
    accumulate: int = 1
    """Shares of an update that each process reads, one after the other, to need less memory. The
    update stays the same up to rounding and to what dropout draws. In [1, batch_windows]."""
    block_days: int = 7
    """Windows are ordered by blocks of this many days and shuffled inside a block. >= 1."""
    checkpoint_every: int = 100
    """Updates between two checkpoints that a crash can resume from. >= 1."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("learning_rate", self.learning_rate, 1e-9, 10.0)
        check_range("weight_decay", self.weight_decay, 0.0, 10.0)
        check_range("warmup_share", self.warmup_share, 0.0, 1.0)
        check_range("final_rate_share", self.final_rate_share, 0.0, 1.0)
        check_range("clip_norm", self.clip_norm, 1e-6, 1e6)
        check_range("batch_windows", self.batch_windows, 1, 1 << 20)
        check_range("accumulate", self.accumulate, 1, self.batch_windows)
        check_range("block_days", self.block_days, 1, 3650)
        check_range("checkpoint_every", self.checkpoint_every, 1, 1 << 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWeightConfig:
    """How the weights of the heads follow their losses, without gradient.

    Source: specification 3.7 (closed form of a softmax with a floor).
    """

    update_every: int = 20
    """Updates between two changes of the weights. >= 1."""
    warmup_updates: int = 100
    """Updates before the first change; until then the weights are uniform. >= 0."""
    adaptive_share: float = 0.5
    """Share of a weight that follows the losses; its floor is (1 - share) / J. In [0, 1]."""
    temperature: float = 1.0
    """Temperature of the softmax over negative losses; large values give equal weights. > 0."""
    ema_decay: float = 0.95
    """Decay per update of the running loss of each head. In [0, 1)."""
    match_balance: float = 0.5
    """Targets by matching: nats by which a head that gets e times its fair share of the targets
    has to fit better to get one more. >= 0."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("update_every", self.update_every, 1, 1 << 30)
        check_range("warmup_updates", self.warmup_updates, 0, 1 << 30)
        check_range("adaptive_share", self.adaptive_share, 0.0, 1.0)
        check_range("temperature", self.temperature, 1e-3, 1e3)
        check_range("ema_decay", self.ema_decay, 0.0, 1 - 1e-9)
        check_range("match_balance", self.match_balance, 0.0, 1e3)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueLossConfig:
    """Weights of the losses of the value heads, and whether they touch other parameters."""

    item: float = 1.0
    """Weight of the three outcome losses of the logged ad. >= 0."""
    level: float = 1.0
    """Weight of the regression of prefix values to the standardized final value. >= 0."""
    backbone_grad: float = 0.0
    """Share of the gradient of these losses that reaches the rest of the model; an ablation, since
    the paper stops it. In [0, 1]."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("item", self.item, 0.0, 1e6)
        check_range("level", self.level, 0.0, 1e6)
        check_range("backbone_grad", self.backbone_grad, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLossConfig:
    """Weights of losses that parts of the model bring along when they are switched on."""

    router_balance: float = 0.01
    """Token-choice recursion: even use of the depths; the loss is 1 when they are even. >= 0."""
    router_z: float = 1e-3
    """Token-choice recursion: small router logits. >= 0."""
    router_selection: float = 1.0
    """Expert-choice recursion: cross-entropy of the auxiliary router, which touches nothing else.
    >= 0."""
    denoising: float = 0.1
    """Refining by diffusion: error of denoised targets. >= 0."""
    lazy_code: float = 0.1
    """Lazy layers of code generation: cross-entropy of the later codes. >= 0."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("router_balance", "router_z", "router_selection", "denoising", "lazy_code"):
            check_range(name, getattr(self, name), 0.0, 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class MtpConfig:
    """Parameters of `mtp_pretrain`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """Size of the model."""
    sequence: SequenceConfig = field(default_factory=SequenceConfig)
    """Sequences and targets."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Updates."""
    heads: HeadWeightConfig = field(default_factory=HeadWeightConfig)
    """Weights of the heads."""
    value_loss: ValueLossConfig = field(default_factory=ValueLossConfig)
    """Losses of the value heads."""
    part_loss: PartLossConfig = field(default_factory=PartLossConfig)
    """Losses of switched-on parts of the model."""
    epochs: int = 1
    """Passes over the training requests from scratch. >= 1."""
    continue_epochs: int = 1
    """Passes when the run starts from the champion's weights. >= 1."""
    continue_days: int = 14
    """Days of requests that such a run trains on, the training day included; what came before is
    in the champion's weights. >= 1."""
    continue_learning_rate: float = 3e-4
    """Largest rate when the run starts from the champion's weights. > 0."""
    min_head_divergence: float = 0.02
    """Gate heads_differ: least mean Jensen-Shannon divergence, nats, between the level-1
    distributions of two heads. The specification asks for 0.05 after full training; one pass
    reaches 0.08 at `tiny` and 0.03 at `micro`. In [0, 0.693]."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("epochs", self.epochs, 1, 10_000)
        check_range("continue_epochs", self.continue_epochs, 1, 10_000)
        check_range("continue_days", self.continue_days, 1, 3650)
        check_range("continue_learning_rate", self.continue_learning_rate, 1e-9, 10.0)
        check_range("min_head_divergence", self.min_head_divergence, 0.0, 0.693)
        if self.model.mask == "bidirectional" and self.sequence.layout != "prefix":
            raise ConfigError(
                f"model.mask is bidirectional with sequence.layout {self.sequence.layout}: earlier "
                "requests of a sequence would know what came after them",
                fix="set sequence.layout to prefix, or model.mask to segment_hybrid",
            )


def _vaft_optimizer() -> OptimizerConfig:
    """A tenth of the rate of pre-training; the specification asks for 0.1 to 0.3 of it."""
    return OptimizerConfig(learning_rate=2e-4)


@dataclass(frozen=True, slots=True, kw_only=True)
class VaftConfig:
    """Parameters of `vaft`, value-aware fine-tuning; sequences are those of the checkpoint."""

    optimizer: OptimizerConfig = field(default_factory=_vaft_optimizer)
    """Updates."""
    heads: HeadWeightConfig = field(default_factory=HeadWeightConfig)
    """Weights of the heads; they go on from the checkpoint."""
    value_loss: ValueLossConfig = field(default_factory=ValueLossConfig)
    """Losses of the value heads."""
    part_loss: PartLossConfig = field(default_factory=PartLossConfig)
    """Losses of switched-on parts of the model."""
    epochs: int = 1
    """Passes over the requests of `recent_days`. >= 1."""
    recent_days: int = 14
    """Days of requests to fine-tune on, the training day included. >= 1."""
    unweighted_share: float = 0.2
    """Share of batches whose targets all weigh 1, which holds the hit rate. In [0, 1]."""
    max_hit_rate_drop: float = 0.05
    """Gate hit_rate_drop: largest relative loss of hit rate on the gate requests. In [0, 1]."""
    max_clipped_share: float = 0.05
    """Gate clipped_share: largest share of value weights at either bound. In [0, 1]."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("epochs", self.epochs, 1, 10_000)
        check_range("recent_days", self.recent_days, 1, 3650)
        check_range("unweighted_share", self.unweighted_share, 0.0, 1.0)
        check_range("max_hit_rate_drop", self.max_hit_rate_drop, 0.0, 1.0)
        check_range("max_clipped_share", self.max_clipped_share, 0.0, 1.0)
