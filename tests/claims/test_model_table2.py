"""What the specification (7.5) lets the study of the model assert, on three synthetic worlds.

Takes about an hour and a half on two cores; rows that are in var/studies are not trained again.
"""

from pathlib import Path

import pytest

from benchmarks.table2 import SEEDS, run_study

pytestmark = pytest.mark.claim

FOLDER = Path(__file__).resolve().parents[2] / "var" / "studies"


@pytest.fixture(scope="module")
def study():
    """The study on the seeds that are fixed in it."""
    return run_study("world", FOLDER, SEEDS)


def test_all_seeds_and_floors_are_reported(study):
    assert study["seeds"] == list(SEEDS)
    for floor in ("popularity", "repeat_last", "transitions", "item_knn"):
        assert len(study["rows"][floor]["HR@10"]["by_seed"]) == len(SEEDS)


def missed(claim, why):
    """An order of the paper that does not come out here."""
    return pytest.param(claim, marks=pytest.mark.xfail(strict=True, reason=why))


@pytest.mark.parametrize(
    "claim",
    [
        missed("gpr_full above hstu", "below, see docs/model_study.md"),
        missed("gpr_full above one_rec", "below, see docs/model_study.md"),
        missed("hstu+mtp not below hstu by more than a standard error", "more than two below"),
        "hstu+token_aware_ffn not below hstu by more than a standard error",
        "hstu+thinking not below hstu by more than a standard error",
    ],
)
def test_an_order_of_the_paper_holds_with_its_interval(study, claim):
    assert study["asserted"][claim]["holds"]


def test_copying_from_history_raises_the_hit_rate(study):
    for row in ("hstu+copying", "gpr_daily+copying"):
        gap = study["rows"][row]["HR@10"]["minus_hstu"]
        assert gap["low"] > 0
