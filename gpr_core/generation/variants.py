"""Other ways to decode behind the interface of `decode`, made from one configuration.

Source: specification 5.3; the dynamic beam is GR4AD's (schedule by level and by load).
"""

from dataclasses import replace

from gpr_core.generation.config import BeamConfig
from gpr_core.support.shapes import check_range

_IDLE_FACTOR = 1.6
_ONE_BEAM = 1e-9


def plain_beam(config: BeamConfig) -> BeamConfig:
    """Search by probability alone; only the final choice among what was found sees values.

    Args:
        config: The value-guided decoder.

    Returns:
        The trie beam, equally wide.
    """
    return replace(config, value_bonus=(0.0,), share_by_value=False, mode="beam")


def greedy(config: BeamConfig) -> BeamConfig:
    """Follow the most probable legal code of every head, level by level.

    Args:
        config: Any decoder.

    Returns:
        A decoder that finds one path per head.
    """
    return replace(plain_beam(config), width_factors=(_ONE_BEAM,), exhaustive_factor=0)


def stochastic_beam(config: BeamConfig) -> BeamConfig:
    """Sample paths without replacement from the mixture of the heads.

    Args:
        config: Any decoder.

    Returns:
        A decoder of mode gumbel, equally wide.
    """
    return replace(config, mode="gumbel", value_bonus=(0.0,), share_by_value=False)


def at_load(config: BeamConfig, load: float) -> BeamConfig:
    """Search more widely while there is time, and never for fewer paths than ads are asked for.

    Args:
        config: The decoder at peak load.
        load: Share of the peak load, in [0, 1].

    Returns:
        The decoder with widths times 1.6 at rest, falling to 1 at the peak.

    Source:
        GR4AD, dynamic beam serving; specification 5.2 (load control).

    Example:
        >>> at_load(BeamConfig(width_factors=(1.0, 2.0)), 0.5).width_factors
        (1.3, 2.6)
    """
    check_range("load", load, 0.0, 1.0)
    factor = _IDLE_FACTOR + (1.0 - _IDLE_FACTOR) * load
    factors = tuple(max(round(width * factor, 9), 1.0) for width in config.width_factors)
    return replace(config, width_factors=factors)
