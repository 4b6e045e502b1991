"""Parameters of the simulator snapshot."""

from dataclasses import dataclass, field

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class RankerConfig:
    """How the rankers are fitted and when they are good enough; defaults are the preset `tiny`."""

    lag_hours: float = 1.0
    """Rankers see logs that landed at least this long before the snapshot, hours. >= 0."""
    calibration_share: float = 0.15
    """Share of the log, in time order, that calibrates. In (0, 0.5)."""
    test_share: float = 0.15
    """Latest share of the log, kept out of fitting and calibration, that the gates are measured
    on. In (0, 0.5)."""
    boosting_rounds: int = 150
    """Trees at most; the calibration slice stops earlier. >= 1."""
    learning_rate: float = 0.05
    """Shrinkage per tree. In (0, 1]."""
    num_leaves: int = 12
    """Leaves per tree. >= 2."""
    min_leaf_rows: int = 60
    """Rows per leaf at least. >= 1."""
    min_positives: int = 200
    """Positive rows from which on trees are tried beside the linear model. >= 1."""
    ridge_strength: float = 10.0
    """Ridge of the linear model, in rows of one standard deviation. > 0."""
    exposure_correction: float = 0.25
    """Power a of the row weights (n_eligible * propensity)^-a. The log holds ads that the logging
    policy liked; 1 would undo that at the price of almost all rows, 0 would ignore it. In
    [0, 1]."""
    prior_rate: float = 0.02
    """Rate of an outcome that was never or always seen. In (0, 1)."""
    conversion_maturity_days: float = 5.0
    """Age from which on a missing conversion counts as none, days. >= 0."""
    min_auc: float = 0.55
    """Gate ranker_auc: how well the click ranker orders held-out rows at least, less two standard
    errors. The specification asks for 0.65 on `small` and larger presets. In [0, 1)."""
    calibration_tolerance: float = 0.1
    """Gate ranker_calibration: how far mean prediction over mean outcome may be from 1, beside
    three standard errors of the outcome. > 0."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("lag_hours", self.lag_hours, 0.0, 24 * 365)
        check_range("calibration_share", self.calibration_share, 1e-3, 0.5)
        check_range("test_share", self.test_share, 1e-3, 0.5)
        check_range("boosting_rounds", self.boosting_rounds, 1, 100_000)
        check_range("learning_rate", self.learning_rate, 1e-6, 1.0)
        check_range("num_leaves", self.num_leaves, 2, 4096)
        check_range("min_leaf_rows", self.min_leaf_rows, 1, 1 << 30)
        check_range("min_positives", self.min_positives, 1, 1 << 30)
        check_range("ridge_strength", self.ridge_strength, 1e-6, 1e9)
        check_range("exposure_correction", self.exposure_correction, 0.0, 1.0)
        check_range("prior_rate", self.prior_rate, 1e-6, 1.0 - 1e-6)
        check_range("conversion_maturity_days", self.conversion_maturity_days, 0.0, 365.0)
        check_range("min_auc", self.min_auc, 0.0, 1.0 - 1e-9)
        check_range("calibration_tolerance", self.calibration_tolerance, 1e-6, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesConfig:
    """Business rules of the simulated system."""

    advertiser_cap: int = 3
    """Ads of one advertiser among the candidates of a request at most; 0: no cap."""
    min_bid_micros: int = 0
    """Ads that bid less may not serve, micros of their own bid type. >= 0."""
    strict_excluded_categories: tuple[int, ...] = ()
    """Values of cat_l1 that may not serve requests of strict privacy."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("advertiser_cap", self.advertiser_cap, 0, 10_000)
        check_range("min_bid_micros", self.min_bid_micros, 0, 1 << 62)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotConfig:
    """Parameters of `simulator_snapshot`; defaults are the preset `tiny`."""

    num_requests: int = 1000
    """Requests of the snapshot at most, observed and rehearsed. >= 2."""
    request_days: int = 3
    """Observed requests come from the last days, so that the catalog is today's. >= 1."""
    rehearsed_share: float = 0.3
    """Share of rehearsed requests (ARR). In [0, 0.5]; at most 0.3 in the specification."""
    replay_requests: int = 32
    """Requests rolled out twice to see that the simulator repeats itself bit by bit. >= 1."""
    replay_candidates: int = 16
    """Candidates per request of that check. >= 1."""
    rankers: RankerConfig = field(default_factory=RankerConfig)
    """Rankers."""
    rules: RulesConfig = field(default_factory=RulesConfig)
    """Business rules."""

    def __post_init__(self) -> None:
        """Check ranges and that both kinds of requests fit."""
        check_range("num_requests", self.num_requests, 2, 1 << 30)
        check_range("request_days", self.request_days, 1, 365)
        check_range("rehearsed_share", self.rehearsed_share, 0.0, 0.5)
        check_range("replay_requests", self.replay_requests, 1, 1 << 20)
        check_range("replay_candidates", self.replay_candidates, 1, 10_000)
        if round(self.num_requests * (1 - self.rehearsed_share)) < 1:
            raise ConfigError(
                f"num_requests {self.num_requests} leaves no observed request",
                fix="raise num_requests or lower rehearsed_share",
            )


DEFAULTS = SnapshotConfig()
