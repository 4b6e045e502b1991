import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from gpr_core.catalog.eligibility import FrequencyCounter
from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.config import SequenceConfig
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.validation import (
    count_not_finite,
    gate_eligibility,
    gate_rows,
    head_divergence,
    score_gate_requests,
)
from tests.gpr_core.training.small_corpus import (
    CODEBOOK_SIZES,
    CUTOFF_TS,
    SmallCorpus,
    make_small_corpus,
)


@pytest.fixture(scope="module")
def corpus() -> SmallCorpus:
    return make_small_corpus()


def make_examples(corpus: SmallCorpus, share: float = 0.5) -> Examples:
    sequence = SequenceConfig(gate_user_share=share)
    return build_examples(
        corpus.tables, corpus.catalog, sequence, num_heads=3, cutoff_ts=CUTOFF_TS, seed=0
    )


def make_model() -> GPR:
    seed_global_torch(0, "test")
    config = ModelConfig(width=8, attention_heads=2, hsd_layers=1, ptd_layers=1, num_heads=3)
    return GPR(config, CODEBOOK_SIZES).eval()


def score(model: GPR, corpus: SmallCorpus, examples: Examples):
    shown = corpus.tables.decisions.select(["user_key", "ts", "ad_key"])
    frequency = FrequencyCounter(shown, corpus.catalog.trie)
    eligible = gate_eligibility(examples, corpus.catalog.ad_table, frequency)
    return score_gate_requests(
        model, examples, eligible, corpus.catalog.ad_table, max_tokens=32, device="cpu"
    )


def test_identical_heads_do_not_diverge_and_opposite_heads_reach_log_2() -> None:
    far = 50.0
    logits = torch.tensor([[[far, 0.0, 9.0], [far, 0.0, 9.0]], [[far, 0.0, 9.0], [0.0, far, 9.0]]])
    legal = torch.tensor([[True, True, False]] * 2)
    found = head_divergence(logits, legal)
    assert found.tolist() == pytest.approx([0.0, math.log(2)], abs=1e-9)


def test_divergence_is_the_mean_over_pairs() -> None:
    far = 50.0
    logits = torch.tensor([[[far, 0.0], [far, 0.0], [0.0, far]]])
    # Pairs (1,2), (1,3), (2,3): 0, log 2, log 2.
    found = head_divergence(logits, torch.ones(1, 2, dtype=torch.bool))
    assert found.tolist() == pytest.approx([2 * math.log(2) / 3])
    assert head_divergence(logits[:, :1], torch.ones(1, 2, dtype=torch.bool)).tolist() == [0.0]


def test_the_path_probabilities_of_all_active_ads_sum_to_one(corpus: SmallCorpus) -> None:
    """Exposing each ad in turn at one gate request gives exp(-nll) that sums to 1."""
    model, total = make_model(), 0.0
    decisions = corpus.tables.decisions
    row = int(gate_rows(make_examples(corpus))[0])
    for ad in range(1, 25):
        ads = decisions["ad_key"].to_numpy().copy()
        ads[row] = ad
        place = decisions.column_names.index("ad_key")
        changed = decisions.set_column(place, "ad_key", pa.array(ads))
        exposed = corpus._replace(tables=corpus.tables._replace(decisions=changed))
        total += float(np.exp(-score(model, exposed, make_examples(exposed)).nll_M[0]))
    assert total == pytest.approx(1.0, abs=1e-5)


def test_a_hit_is_the_exposed_ad_among_those_generated_first(corpus: SmallCorpus) -> None:
    scores = score(make_model(), corpus, make_examples(corpus))
    assert scores.hit_M.size == scores.nll_M.size == gate_rows(make_examples(corpus)).size
    # One generated ad of 24 with an untrained model: a few hits at most, and never all.
    assert scores.hit_M.mean() < 0.5


def test_no_gate_request_gives_no_scores(corpus: SmallCorpus) -> None:
    examples = make_examples(corpus)
    examples.is_gate_X[:] = False
    assert score(make_model(), corpus, examples).nll_M.size == 0


def test_numbers_that_are_not_finite_are_counted() -> None:
    model = make_model()
    curve = pa.table({"loss": [1.0, float("nan")]})
    assert count_not_finite(model, curve) == 1
    with torch.no_grad():
        model.hte.value_out.bias.fill_(float("inf"))
    assert count_not_finite(model, curve) == 2
