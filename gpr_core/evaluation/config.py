"""Parameters of the steps `evaluation` and `model_push`."""

from dataclasses import dataclass, field

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictConfig:
    """Rules of the verdict: what a policy must show before it may become the champion."""

    max_hit_rate_loss: float = 0.05
    """Share of the champion's hit rate that may be lost, at the interval's lower end. [0, 1]."""
    max_final_value_loss: float = 0.05
    """Share of the champion's mean final value that may be lost, at the lower end. [0, 1]."""
    max_true_value_loss: float = 0.0
    """Share of the true final value that reinforcement may surely lose while simulated value rises
    above it (reward hacking), where the truth is known. [0, 1]; specification 6.1 grants none."""
    min_fidelity: float = 0.5
    """Least mean rank correlation of simulated and true value, where the truth is known. [-1, 1].
    The specification asks for 0.7 on `small` and larger presets, whose rankers see more clicks."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range("max_hit_rate_loss", self.max_hit_rate_loss, 0.0, 1.0)
        check_range("max_final_value_loss", self.max_final_value_loss, 0.0, 1.0)
        check_range("max_true_value_loss", self.max_true_value_loss, 0.0, 1.0)
        check_range("min_fidelity", self.min_fidelity, -1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """How the checkpoints are judged on the next day."""

    max_requests: int = 300
    """Requests of the next day that are evaluated, a keyed sample when there are more. >= 1."""
    batch_requests: int = 64
    """Requests read by the model at once; changes speed, never a result. >= 1."""
    hit_rate_ks: tuple[int, ...] = (1, 10, 50, 100)
    """List lengths K of the hit rates, ascending; the last is the length of the emitted list."""
    retrieval_width_factors: tuple[float, ...] = (0.8, 1.6, 1.6)
    """Beams per head and level of these lists, as multiples of the longest list; the default is
    what serving 40 candidates keeps. > 0."""
    headline_k: int = 10
    """The K of the verdict; one of `hit_rate_ks`. Specification 7.1."""
    max_headline_share: float = 0.01
    """Largest K / number of ads at which a hit rate may be called a headline (T24). (0, 1]."""
    value_candidates: int = 40
    """Candidates per request whose value is averaged, the paper's K. >= 1."""
    pool_size: int = 100
    """Ads of the fixed pool of the ranking metrics, the same for every method. >= 3."""
    pool_popular: int = 49
    """Ads of the pool taken by popularity; the rest, save the logged ad, is uniform."""
    min_relative_gap: float = 0.01
    """Pairs of ads whose gains differ by less, relatively, are not ordered in OPR. [0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples of users. >= 100."""
    confidence: float = 0.95
    """Confidence level of all intervals. (0.5, 1)."""
    popularity_half_life_days: float = 7.0
    """Age at which an exposure counts half in the popularity floor. > 0."""
    transition_window: int = 5
    """Largest distance d of two exposures in the transition floor; a pair counts 1/d. >= 1."""
    repeat_history: int = 50
    """Exposures remembered by the repeat-last floor. >= 1."""
    min_truth_eligible: float = 0.95
    """Gate: least share of evaluated requests whose exposed ad counts as eligible. [0, 1]. Below 1
    because curation hides the city of rare users, for whom ads of that city then do not count."""
    verdict: VerdictConfig = field(default_factory=VerdictConfig)
    """Rules of the verdict."""

    def __post_init__(self) -> None:
        """Check the ranges and what must fit together."""
        check_range("max_requests", self.max_requests, 1, 10_000_000)
        check_range("batch_requests", self.batch_requests, 1, 65_536)
        check_range("max_headline_share", self.max_headline_share, 1e-9, 1.0)
        check_range("value_candidates", self.value_candidates, 1, 10_000)
        check_range("pool_size", self.pool_size, 3, 100_000)
        check_range("pool_popular", self.pool_popular, 0, self.pool_size - 1)
        check_range("min_relative_gap", self.min_relative_gap, 0.0, 0.999)
        check_range("resamples", self.resamples, 100, 1_000_000)
        check_range("confidence", self.confidence, 0.501, 0.9999)
        check_range("popularity_half_life_days", self.popularity_half_life_days, 0.01, 10_000.0)
        check_range("transition_window", self.transition_window, 1, 1000)
        check_range("repeat_history", self.repeat_history, 1, 10_000)
        check_range("min_truth_eligible", self.min_truth_eligible, 0.0, 1.0)
        ks = self.hit_rate_ks
        if not ks or min(ks) < 1 or list(ks) != sorted(set(ks)):
            raise ConfigError(
                f"hit_rate_ks is {list(ks)}, expected ascending positive numbers",
                fix="write [1, 10, 50, 100]",
            )
        if self.headline_k not in ks:
            raise ConfigError(
                f"headline_k is {self.headline_k}, which is not among hit_rate_ks {list(ks)}",
                fix="add it to hit_rate_ks, or choose one of them",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionConfig:
    """How a bundle is tried before it becomes the champion."""

    smoke_requests: int = 100
    """Made-up requests that a fresh process must answer. >= 1; specification 0."""
    smoke_candidates: int = 10
    """Candidates asked for per smoke request. >= 1."""
    latency_budget_ms: float = 2000.0
    """Largest accepted 95th percentile of the time per smoke request on a CPU, ms. > 0."""
    smoke_timeout_s: float = 300.0
    """After how long the fresh process counts as hanging, seconds. > 0."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range("smoke_requests", self.smoke_requests, 1, 100_000)
        check_range("smoke_candidates", self.smoke_candidates, 1, 10_000)
        check_range("latency_budget_ms", self.latency_budget_ms, 1e-3, 1e7)
        check_range("smoke_timeout_s", self.smoke_timeout_s, 0.1, 86_400.0)
