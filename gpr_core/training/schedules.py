"""Learning rate as a pure function of the update."""

import math

from gpr_core.training.config import OptimizerConfig


def rate_at(update: int, num_updates: int, config: OptimizerConfig) -> float:
    """Give the learning rate of one update: linear warm-up, then a cosine to the final share.

    Args:
        update: 0-based update, below `num_updates`.
        num_updates: Updates of the whole training.
        config: Largest rate, warm-up and final share.

    Returns:
        Learning rate, > 0.

    Source:
        Specification, appendix C.

    Example:
        >>> config = OptimizerConfig(learning_rate=1.0, warmup_share=0.5, final_rate_share=0.0)
        >>> [round(rate_at(update, 4, config), 2) for update in range(4)]
        [0.5, 1.0, 0.85, 0.15]
    """
    warmup = round(num_updates * config.warmup_share)
    if update < warmup:
        return config.learning_rate * (update + 1) / warmup
    done = (update - warmup + 0.5) / max(num_updates - warmup, 1)
    low = config.final_rate_share
    share = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * share
