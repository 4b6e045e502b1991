"""What the specification (7.5) lets a study of tokenizers assert, on five synthetic worlds.

Takes about ten minutes on two cores: `make claims`.
"""

import pytest

from benchmarks.table1 import CONFIGS, SEEDS, run_study
from benchmarks.table1_items import world_items

pytestmark = pytest.mark.claim


@pytest.fixture(scope="module")
def study():
    """The study on the seeds that are fixed in it."""
    return run_study(world_items, CONFIGS["world"])


def test_all_seeds_are_reported(study):
    assert study["seeds"] == list(SEEDS)
    for parts in study["rows"].values():
        assert len(parts["all"]["collision"]["values"]) == len(SEEDS)


def test_asserted_orders_hold_with_their_intervals(study):
    assert {text: claim["holds"] for text, claim in study["asserted"].items()} == dict.fromkeys(
        study["asserted"], True
    )


def test_rq_kmeans_plus_uses_its_first_level(study):
    usage = study["rows"]["rq_kmeans_plus"]["all"]["cur_level_1"]
    assert min(usage["values"]) >= 0.95
