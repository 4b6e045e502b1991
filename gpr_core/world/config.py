"""Parameters of the synthetic ad world and their presets.

Source: specification 0 (sizes) and 6.2 (behavior); values without a source there are our own.
"""

from dataclasses import dataclass, replace

from gpr_core.data.days import parse_day
from gpr_core.support.errors import ConfigError, suggest_name
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldConfig:
    """One synthetic world; two equal configurations give the same bytes."""

    seed: int = 20260101
    """Seed of every draw in the world."""

    first_day: str = "2026-01-01"
    """First landed day, ISO, UTC."""

    num_users: int = 600
    """People, all registered before the first day; at least 10."""

    num_ads: int = 1500
    """Ads that are running at any time; launches replace those that end. At least 20."""

    num_content: int = 2500
    """Organic items published before the first day; at least 50."""

    num_categories: int = 16
    """First-level categories, 2..60; specification 6.2 says 12-24."""

    brands_per_category: int = 10
    """Brands in each category, 2..20; specification 6.2 says 8-20."""

    num_cities: int = 5
    """Cities (geo_l2), 1..400; cells that are too small lose their city."""

    min_cell_users: int = 3
    """Least users in an (age, gender, city) cell; specification 1.3: 20, scaled down to 3."""

    text_dim: int = 32
    """Length of the observed text embedding, 4..512."""

    image_dim: int = 32
    """Length of the observed image embedding, 4..512."""

    requests_per_user_day: float = 1.5
    """Mean ad requests of a user and day, 0.1..50."""

    organic_per_user_day: float = 4.0
    """Mean organic events of a user and day, 0.1..200."""

    activity_sigma: float = 0.7
    """Spread of the log-normal activity of users, 0..2."""

    base_ctr: float = 0.025
    """Click rate of logged impressions, calibrated before the first day, 0.001..0.3."""

    base_cvr: float = 0.05
    """Conversion rate of clicks, calibrated likewise, 0.001..0.5."""

    base_hide: float = 0.003
    """Hide rate of impressions, calibrated likewise, 0.0001..0.1."""

    jump_rate: float = 0.01
    """Share of interest threads that die and are reborn elsewhere each day, 0..1."""

    drift_sigma: float = 0.08
    """Daily step of the Ornstein-Uhlenbeck drift of interest strength, 0..1."""

    launch_rate: float = 0.02
    """Ads launched each day as a share of `num_ads`, 0..0.2; as many retire on average."""

    publish_rate: float = 0.005
    """Organic items published each day as a share of `num_content`, 0..0.2."""

    bid_sigma: float = 0.8
    """Spread of the log-normal bids, 0..2."""

    bid_affinity_correlation: float = -0.1
    """Correlation of log bids with how popular an ad's category is, -0.9..0.9 (rho_bv)."""

    budget_impressions: float = 6.0
    """Median daily budget, counted in impressions at the bid, 1..1e6."""

    num_retrieved: int = 200
    """Ads the logging cascade retrieves, at least `num_preranked`."""

    num_preranked: int = 50
    """Ads that survive the pre-ranker, at least 2."""

    exploration_rate: float = 0.03
    """Share of requests that show a uniformly drawn eligible ad, 0.001..1."""

    ranker_noise: float = 0.5
    """Standard deviation of the error of the logging rankers, in logits, 0..3."""

    def __post_init__(self) -> None:
        """Check ranges."""
        parse_day(self.first_day)
        for name, (low, high) in _RANGES.items():
            check_range(name, getattr(self, name), low, high)
        if self.num_preranked > self.num_retrieved:
            raise ConfigError(
                f"num_preranked is {self.num_preranked}, more than num_retrieved "
                f"{self.num_retrieved}",
                where="world.num_preranked",
                fix="pre-rank at most what was retrieved",
            )


_RANGES: dict[str, tuple[float, float]] = {
    "num_users": (10, 10_000_000),
    "num_ads": (20, 10_000_000),
    "num_content": (50, 10_000_000),
    "num_categories": (2, 60),
    "brands_per_category": (2, 20),
    "num_cities": (1, 400),
    "min_cell_users": (1, 1000),
    "text_dim": (4, 512),
    "image_dim": (4, 512),
    "requests_per_user_day": (0.1, 50),
    "organic_per_user_day": (0.1, 200),
    "activity_sigma": (0, 2),
    "base_ctr": (0.001, 0.3),
    "base_cvr": (0.001, 0.5),
    "base_hide": (0.0001, 0.1),
    "jump_rate": (0, 1),
    "drift_sigma": (0, 1),
    "launch_rate": (0, 0.2),
    "publish_rate": (0, 0.2),
    "bid_sigma": (0, 2),
    "bid_affinity_correlation": (-0.9, 0.9),
    "budget_impressions": (1, 1e6),
    "num_preranked": (2, 1_000_000),
    "exploration_rate": (0.001, 1),
    "ranker_noise": (0, 3),
}


def world_preset(name: str) -> WorldConfig:
    """Give a preset of the specification.

    Args:
        name: `micro`, `tiny`, `small` or `year`.

    Returns:
        Its configuration.

    Raises:
        ConfigError: If there is no such preset.
    """
    presets = {"micro": _micro, "tiny": WorldConfig, "small": _small, "year": _year}
    if name not in presets:
        raise ConfigError(
            f"unknown preset {name!r}", where="world", fix=suggest_name(name, presets)
        )
    return presets[name]()


def _micro() -> WorldConfig:
    """Sixty people, busier than usual so that two weeks are enough to learn from."""
    return replace(
        WorldConfig(),
        num_users=60,
        num_ads=120,
        num_content=200,
        num_categories=6,
        brands_per_category=4,
        num_cities=2,
        text_dim=16,
        image_dim=16,
        requests_per_user_day=6.0,
        organic_per_user_day=12.0,
        base_ctr=0.03,
        base_cvr=0.06,
        num_retrieved=25,
        num_preranked=12,
        budget_impressions=8.0,
    )


def _small() -> WorldConfig:
    """Six thousand people over half a year."""
    return replace(
        WorldConfig(),
        num_users=6_000,
        num_ads=12_000,
        num_content=20_000,
        brands_per_category=16,
        num_cities=24,
        min_cell_users=20,
    )


def _year() -> WorldConfig:
    """Twenty thousand people over a year."""
    return replace(
        _small(),
        num_users=20_000,
        num_ads=40_000,
        num_content=80_000,
        num_categories=24,
        text_dim=64,
        image_dim=64,
    )
