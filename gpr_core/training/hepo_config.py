"""Parameters of post-training with HEPO; the defaults are the preset `tiny`."""

from dataclasses import dataclass, field

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticConfig:
    """How the critic is fitted before the policy moves."""

    learning_rate: float = 1e-3
    """Rate of AdamW for the critic. > 0."""
    batch_candidates: int = 2048
    """Candidates per update of the warm-up. >= 1."""
    warmup_epochs: int = 20
    """Passes over the rollouts at most before the first policy step of an iteration. >= 1."""
    patience: int = 3
    """Passes without a better held-out R2 after which the warm-up ends. >= 1."""
    min_r2: float = 0.05
    """Gate critic_r2: held-out share of the variance of returns that the critic must explain
    before the first policy step; below it coarse levels would follow noise. The specification asks
    for more than 0 as a gate and for 0.1 of a good warm-up. In [0, 1)."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("learning_rate", self.learning_rate, 1e-9, 10.0)
        check_range("batch_candidates", self.batch_candidates, 1, 1 << 30)
        check_range("warmup_epochs", self.warmup_epochs, 1, 10_000)
        check_range("patience", self.patience, 1, 10_000)
        check_range("min_r2", self.min_r2, 0.0, 1.0 - 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageConfig:
    """Process rewards and advantages.

    Source: paper Eq 6 to 8 prints no numbers; specification 4.4.
    """

    process_scale: tuple[float, ...] = (0.5, 0.25)
    """Factor of the process reward of each coarse level in units of the terminal reward's
    deviation; shorter tuples repeat their last value. >= 0; zeros are the control without process
    rewards (T21)."""
    process_scale_floor: float = 0.05
    """The factors are halved each iteration, down to this. >= 0."""
    gamma: float = 1.0
    """Discount per level. In [0, 1]."""
    lam: float = 0.95
    """GAE trade-off of the coarse levels. In [0, 1]."""
    std_eps: float = 1e-6
    """Added to the deviation of a request's rewards. > 0."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("process_scale_floor", self.process_scale_floor, 0.0, 100.0)
        check_range("gamma", self.gamma, 0.0, 1.0)
        check_range("lam", self.lam, 0.0, 1.0)
        check_range("std_eps", self.std_eps, 1e-12, 1.0)
        if not self.process_scale or min(self.process_scale) < 0:
            raise ConfigError(
                f"process_scale is {self.process_scale}, expected factors >= 0",
                fix="for example [0.5, 0.25]; [0.0] switches process rewards off",
            )

    def scales(self, num_coarse: int, iteration: int) -> list[float]:
        """Give the factor of each coarse level.

        Args:
            num_coarse: Coarse levels L - 1.
            iteration: 0-based iteration.

        Returns:
            L - 1 factors.

        Example:
            >>> AdvantageConfig().scales(2, 1)
            [0.25, 0.125]
        """
        last = len(self.process_scale) - 1
        chosen = [self.process_scale[min(level, last)] for level in range(num_coarse)]
        # A factor that starts below the floor stays where it is, zero included.
        return [
            max(scale * 0.5**iteration, min(scale, self.process_scale_floor)) for scale in chosen
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class HepoConfig:
    """Parameters of `hepo`."""

    iterations: int = 2
    """Rounds of rollout and improvement. >= 1."""
    epochs: int = 1
    """Passes over the rollouts of a round at most. >= 1; at the default rates one pass uses up the
    trust region, and fresh rollouts help more than a second pass."""
    num_candidates: int = 40
    """Candidates per request (paper: K = 40). >= 2."""
    batch_requests: int = 32
    """Requests per update. >= 1."""
    learning_rate: float = 1e-4
    """Rate of AdamW for the policy. > 0."""
    clip: float = 0.2
    """Half-width of the trust interval around ratio 1. In (0, 1)."""
    clip_norm: float = 1.0
    """Largest gradient norm, separately for policy and critic. > 0."""
    kl_cap: float = 0.02
    """Largest mean divergence from the policy that made the rollouts, nats per choice, measured
    on held-out requests (gate kl_cap). > 0."""
    max_clip_share: float = 0.3
    """Share of ratios outside the trust interval that ends a round. In (0, 1]."""
    kl_weight: float = 0.01
    """Weight of the divergence from the starting policy in the loss. >= 0."""
    vaft_weight: float = 0.15
    """Weight of the value-aware code loss that holds the hit rate. >= 0."""
    holdout_share: float = 0.2
    """Share of the snapshot's requests that never enter a loss: critic R2, divergence and
    acceptance are measured on them. In (0, 1)."""
    advantage: AdvantageConfig = field(default_factory=AdvantageConfig)
    """Rewards and advantages."""
    critic: CriticConfig = field(default_factory=CriticConfig)
    """Critic."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("iterations", self.iterations, 1, 10_000)
        check_range("epochs", self.epochs, 1, 10_000)
        check_range("num_candidates", self.num_candidates, 2, 10_000)
        check_range("batch_requests", self.batch_requests, 1, 1 << 20)
        check_range("learning_rate", self.learning_rate, 1e-9, 10.0)
        check_range("clip", self.clip, 1e-6, 1.0 - 1e-6)
        check_range("clip_norm", self.clip_norm, 1e-6, 1e6)
        check_range("kl_cap", self.kl_cap, 1e-9, 100.0)
        check_range("max_clip_share", self.max_clip_share, 1e-6, 1.0)
        check_range("kl_weight", self.kl_weight, 0.0, 1e6)
        check_range("vaft_weight", self.vaft_weight, 0.0, 1e6)
        check_range("holdout_share", self.holdout_share, 1e-6, 1.0 - 1e-6)


DEFAULTS = HepoConfig()
