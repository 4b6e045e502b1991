"""Whether the rows of a comparison of tokenizers may stand in one table (T29).

A row is better for the wrong reason if it learned from other items, from the held-out ones, with
more updates, or if only its learning rate was tuned. So each row records what its `fit` was given,
computed from the arrays themselves.

Letters: M items, D width of item vectors.

Source: specification 2.3 and trap T29.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gpr_core.support.errors import ConfigError, LeakageError
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.learned_quantizer import updates_per_epoch
from gpr_core.tokenizer.protocol import ItemSample
from gpr_core.tokenizer.residual import Floats


class TrainingRecord(NamedTuple):
    """What one row of a comparison was trained with.

    Attributes:
        name: Name of the row.
        split_hash: sha256 of training, validation and held-out items, 64 hex digits.
        num_held_out_seen: Held-out items among those of training and validation.
        update_budget: Updates that training might make; None for a kind without gradients.
        learning_rates: Learning rates that were tried, ascending; empty without gradients.
    """

    name: str
    split_hash: str
    num_held_out_seen: int
    update_budget: int | None
    learning_rates: tuple[float, ...]


def record_training(
    config: TokenizationConfig,
    train: ItemSample,
    validation: ItemSample,
    held_out_MD: Floats,
    *,
    learning_rates: Sequence[float],
) -> TrainingRecord:
    """Record what a tokenizer is fitted with.

    Args:
        config: Its parameters.
        train: Exactly what `fit` is given.
        validation: Exactly what `fit` is given.
        held_out_MD: [M, D] float32 items that the row is judged on. Equal vectors count as one
            item: the curated split keeps near duplicates on one side (T27).
        learning_rates: Learning rates that were tried on the validation items; RQ-KMeans has none.

    Returns:
        The record.
    """
    arrays = [np.asarray(array, np.float32) for array in (*train, *validation, held_out_MD)]
    seen = {row.tobytes() for x_MD in (arrays[0], arrays[2]) for row in x_MD}
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(array.tobytes())
    has_gradients = config.kind != "rq_kmeans"
    budget = config.epochs * updates_per_epoch(config, len(train.x_MD))
    return TrainingRecord(
        name=config.kind,
        split_hash=digest.hexdigest(),
        num_held_out_seen=sum(row.tobytes() in seen for row in arrays[-1]),
        update_budget=budget if has_gradients else None,
        learning_rates=tuple(sorted(set(learning_rates))) if has_gradients else (),
    )


def check_comparable(records: Sequence[TrainingRecord]) -> None:
    """Refuse a comparison whose rows had unequal chances.

    Args:
        records: One per row.

    Raises:
        LeakageError: If a row saw held-out items.
        ConfigError: If the rows differ in split, update budget or tried learning rates, if only
            one learning rate was tried, or if there is nothing to compare.
    """
    if len(records) < 2:
        raise ConfigError(
            f"{len(records)} rows to compare, expected at least 2",
            where="comparison of tokenizers",
            fix="record every row of the table",
        )
    for record in records:
        if record.num_held_out_seen:
            raise LeakageError(
                f"{record.name} was fitted with {record.num_held_out_seen} held-out items",
                where="comparison of tokenizers",
                fix="fit on training and validation items only",
            )
    learned = [record for record in records if record.update_budget is not None]
    _check_equal("split", [(record.name, record.split_hash) for record in records])
    _check_equal("update budget", [(record.name, record.update_budget) for record in learned])
    _check_equal("learning rates", [(record.name, record.learning_rates) for record in learned])
    for record in learned:
        if len(record.learning_rates) < 2:
            raise ConfigError(
                f"{record.name} tried learning rates {record.learning_rates}, expected several",
                where="comparison of tokenizers",
                fix="choose the learning rate of every row on the validation items",
            )


def _check_equal(what: str, named_values: Sequence[tuple[str, object]]) -> None:
    """Refuse rows that differ."""
    if len({value for _, value in named_values}) > 1:
        found = ", ".join(f"{name} {value}" for name, value in named_values)
        raise ConfigError(
            f"rows differ in their {what}: {found}",
            where="comparison of tokenizers",
            fix=f"give every row the same {what}",
        )
