"""T29: RQ-KMeans+ wins because it saw the held-out items or because RQ-VAE was under-trained."""

from dataclasses import replace

import numpy as np
import pytest

from gpr_core.support.errors import ConfigError, LeakageError
from gpr_core.tokenizer.comparison import check_comparable, record_training
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import ItemSample
from tests.conformance.tokenizer import make_items

CONFIG = TokenizationConfig(epochs=10, batch_size=50)
TRAIN, VALIDATION = make_items(120), make_items(30, seed=1)
HELD_OUT = make_items(40, seed=2)
KINDS = ("rq_kmeans", "rq_vae", "rq_vae_kmeans_init", "rq_kmeans_plus")


def rows(changed_kind=None, *, train=TRAIN, validation=VALIDATION, rates=(1e-3, 3e-3), **changes):
    """Records of the four rows, of which one was trained differently."""
    honest = (TRAIN, VALIDATION, (1e-3, 3e-3), CONFIG)
    twin = (train, validation, rates, replace(CONFIG, **changes))
    return [
        record_training(
            replace(config, kind=kind), fitted, judged, HELD_OUT.x_MD, learning_rates=tried
        )
        for kind in KINDS
        for fitted, judged, tried, config in [twin if kind == changed_kind else honest]
    ]


def joined(first, second):
    """Items of both samples."""
    return ItemSample(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))


def test_rows_with_equal_chances_are_compared():
    check_comparable(rows())


def test_the_stopping_rule_is_no_difference_in_budget():
    check_comparable(rows("rq_kmeans_plus", patience=2))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_the_twin_that_saw_held_out_items_is_caught(part):
    honest = {"train": TRAIN, "validation": VALIDATION}[part]
    with pytest.raises(LeakageError, match="rq_kmeans_plus was fitted with 40 held-out items"):
        check_comparable(rows("rq_kmeans_plus", **{part: joined(honest, HELD_OUT)}))


def test_twins_that_all_saw_the_same_held_out_items_are_caught():
    leaked = joined(TRAIN, HELD_OUT)
    records = [
        record_training(
            replace(CONFIG, kind=kind), leaked, VALIDATION, HELD_OUT.x_MD, learning_rates=(1, 2)
        )
        for kind in KINDS
    ]
    assert len({record.split_hash for record in records}) == 1
    with pytest.raises(LeakageError, match="rq_kmeans was fitted with 40 held-out items"):
        check_comparable(records)


@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_on_another_split_is_caught(kind):
    other = make_items(120, seed=3)
    with pytest.raises(ConfigError, match=r"rows differ in their split: .*rq_vae "):
        check_comparable(rows(kind, train=other))


def test_the_twin_with_an_under_trained_baseline_is_caught():
    with pytest.raises(ConfigError, match=r"update budget: rq_vae 6, .*rq_kmeans_plus 30"):
        check_comparable(rows("rq_vae", epochs=2))
    with pytest.raises(ConfigError, match=r"update budget: rq_vae 10, .*rq_kmeans_plus 30"):
        check_comparable(rows("rq_vae", batch_size=120))


def test_the_twin_that_tunes_only_its_own_learning_rate_is_caught():
    with pytest.raises(ConfigError, match="rows differ in their learning rates"):
        check_comparable(rows("rq_vae", rates=(1e-3,)))
    untuned = [record._replace(learning_rates=(1e-3,)) for record in rows()[1:]]
    with pytest.raises(ConfigError, match=r"rq_vae tried learning rates \(0\.001,\)"):
        check_comparable(untuned)
