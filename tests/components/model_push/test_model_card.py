import pytest

from components.model_push.bundle import stage_bundle
from components.model_push.model_card import model_card
from gpr_core.support.files import write_json
from tests.components.model_push.conftest import make_policy

METRICS = {
    "hepo/HR_ad@10": {"value": 0.25, "ci_low": 0.2, "ci_high": 0.3, "n": 10},
    "popularity/HR_ad@10": {"value": 0.1, "ci_low": 0.05, "ci_high": 0.15, "n": 10},
}


@pytest.fixture
def card(stage):
    stage_bundle(stage.context().inputs, stage.root / "bundle")
    return model_card("2026-03-01-abc", "2026-03-01", stage.root / "bundle", METRICS)


def test_card_names_version_verdict_and_reasons(card):
    assert card.startswith("# Model card: 2026-03-01-abc\n")
    assert "Promoted: yes; compared with no champion (first day)." in card
    assert "- HR@10 is above the popularity floor\n" in card


def test_card_shows_metrics_with_intervals_beside_the_floor(card):
    row = "| HR_ad@10 | 0.2500 [0.2000, 0.3000] | 0.1000 [0.0500, 0.1500] |"
    assert row in card
    assert "| ndcg | not measured | not measured |" in card


def test_card_states_data_and_limits(card):
    assert "- users: 7\n" in card
    assert "rows" not in card.split("## Made from")[1].split("##")[0].replace("rows that", "")
    assert "No table of users" in card


def test_card_says_who_thinks_for_a_model_that_reads_thoughts(stage, card):
    assert "external knowledge" not in card
    make_policy(stage.root / "inputs" / "hepo_checkpoint", knowledge_vectors=2)
    write_json(
        stage.root / "inputs" / "corpus" / "manifest.json",
        {"origin": {}, "providers": {"template": 1234, "big": 5}},
    )
    stage_bundle(stage.context().inputs, stage.root / "bundle")
    card = model_card("2026-03-01-abc", "2026-03-01", stage.root / "bundle", METRICS)
    assert "- external knowledge by big (5) and template (1,234); a server makes it" in card
