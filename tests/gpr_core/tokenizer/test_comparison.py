"""Records of what a row of a comparison was trained with."""

from dataclasses import replace

import numpy as np
import pytest

from gpr_core.support.errors import ConfigError
from gpr_core.tokenizer.comparison import check_comparable, record_training
from gpr_core.tokenizer.config import TokenizationConfig
from tests.conformance.tokenizer import make_items

CONFIG = TokenizationConfig(epochs=3, batch_size=50)
TRAIN, VALIDATION, HELD_OUT = (make_items(120), make_items(30, seed=1), make_items(40, seed=2).x_MD)
RATES = (1e-2, 1e-3)


def record(config=CONFIG, *, train=TRAIN, validation=VALIDATION, held_out=HELD_OUT, rates=RATES):
    return record_training(config, train, validation, held_out, learning_rates=rates)


def test_a_record_holds_what_fit_was_given():
    found = record()
    assert found == ("rq_kmeans_plus", found.split_hash, 0, 9, (1e-3, 1e-2))
    assert len(found.split_hash) == 64


def test_a_kind_without_gradients_has_no_budget():
    found = record(replace(CONFIG, kind="rq_kmeans"))
    assert (found.name, found.update_budget, found.learning_rates) == ("rq_kmeans", None, ())


def test_the_split_hash_changes_with_every_part():
    other = make_items(30, seed=3)
    changed = [
        record(train=TRAIN._replace(x_MD=TRAIN.x_MD[::-1])),
        record(train=TRAIN._replace(weight_M=TRAIN.weight_M + 1)),
        record(validation=other),
        record(held_out=other.x_MD),
    ]
    assert len({found.split_hash for found in [record(), *changed]}) == 5
    assert record(replace(CONFIG, kind="rq_vae")).split_hash == record().split_hash


def test_held_out_items_are_found_among_training_and_validation_items():
    mixed = VALIDATION._replace(x_MD=np.r_[HELD_OUT[:2], VALIDATION.x_MD[2:]])
    assert record(validation=mixed).num_held_out_seen == 2
    all_items = TRAIN._replace(x_MD=np.r_[HELD_OUT, TRAIN.x_MD[40:]])
    assert record(train=all_items).num_held_out_seen == 40


def test_one_row_is_no_comparison():
    with pytest.raises(ConfigError, match="1 rows to compare, expected at least 2"):
        check_comparable([record()])
