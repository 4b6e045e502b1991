"""Intervals over the users of several seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gpr_core.evaluation.intervals import Interval, UserBootstrap


def pooled_bootstrap(
    users: Mapping[int, npt.NDArray[np.int64]], *, same_users: bool = False
) -> UserBootstrap:
    """Resample the users of all seeds, whose requests stand one seed after the other.

    Args:
        users: Seed -> [B] int64, user of each request; joined in the order of the seeds.
        same_users: Whether equal keys of different seeds are the same person, who is then drawn
            with all seeds; otherwise each seed has people of its own.

    Returns:
        The bootstrap.
    """
    seeds = sorted(users)
    world_B = np.repeat(
        [0 if same_users else seed for seed in seeds], [len(users[seed]) for seed in seeds]
    )
    cluster = np.stack([world_B, np.concatenate([users[seed] for seed in seeds])])
    _, cluster_B = np.unique(cluster, axis=1, return_inverse=True)
    return UserBootstrap(cluster_B, seed=0)


def mean_with_interval(
    bootstrap: UserBootstrap, value_B: npt.NDArray[np.float64]
) -> dict[str, float]:
    """Average over requests.

    Args:
        bootstrap: Of these requests.
        value_B: [B] float64; NaN where a request does not count, not everywhere.

    Returns:
        mean, low, high: the mean and its 95 % interval.

    Raises:
        AssertionError: If no request counts.
    """
    return ends(bootstrap.interval(value_B))


def means_by_seed(value_B: npt.NDArray[np.float64], counts: Sequence[int]) -> list[float]:
    """Average over the requests of each seed.

    Args:
        value_B: [B] float64, one seed after the other; NaN where a request does not count.
        counts: Requests of each seed.

    Returns:
        One mean per seed.
    """
    return [float(np.nanmean(part)) for part in np.split(value_B, np.cumsum(counts)[:-1])]


def ends(found: Interval | None) -> dict[str, float]:
    """Write an interval down.

    Args:
        found: The interval.

    Returns:
        mean, low, high.

    Raises:
        AssertionError: If there is none, because no request counts.
    """
    if found is None:
        raise AssertionError("no request counts")
    return {"mean": found.value, "low": found.ci_low, "high": found.ci_high}
