"""Tests of whom a step lets think, and of what is kept."""

import logging
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.runtime import thoughts
from components.runtime.thoughts import (
    KEY_VARIABLE,
    choose_provider,
    collect_thoughts,
    provider_metrics,
)
from data_contracts.check import check_table
from gpr_core.data.config import ThoughtsConfig
from gpr_core.data.tables import DAY_MS, TABLES
from gpr_core.knowledge.language_model import LanguageModelProvider
from gpr_core.knowledge.template import TemplateProvider
from gpr_core.support.progress import Progress
from tests.gpr_core.knowledge.histories import asked, timelines, user, viewed
from tests.lake_rows import make_table
from tests.thoughts import make_thoughts

MODEL = ThoughtsConfig(provider="language_model", url="http://127.0.0.1:1/chat", model="big")
CURATED = SimpleNamespace(
    timelines=timelines(user(1), viewed(1, 1.0, 3), asked(1, 2.5), asked(1, 3.5)),
    canonical={"users": make_table("users", {"user_key": 1, "valid_from": 0, "consent": 1})},
)
NOTHING = TABLES["thoughts"].schema.empty_table()


@pytest.fixture
def answers(monkeypatch):
    """Let a model answer; the list says what it was asked."""
    asked_for = []

    def complete(prompt):
        asked_for.append(prompt)
        return f"category{len(asked_for)}"

    provider = LanguageModelProvider("big", complete, TemplateProvider())
    monkeypatch.setattr(thoughts, "choose_provider", lambda _: provider)
    return asked_for


def collect(lake, landed=NOTHING, *, curated=CURATED):
    """Make all thoughts of the two days."""
    context = SimpleNamespace(lake=lake, progress=Progress("test"))
    return collect_thoughts(context, MODEL, curated, landed, from_ts=0)


def test_the_credential_comes_from_the_environment(monkeypatch, caplog):
    assert choose_provider(ThoughtsConfig(provider="template")) == TemplateProvider()
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    assert choose_provider(MODEL).name == "big"
    monkeypatch.setenv(KEY_VARIABLE, " ")
    with caplog.at_level(logging.WARNING):
        assert choose_provider(MODEL) == TemplateProvider()
    assert "no credential for big, template speaks: set GPR_LANGUAGE_MODEL_KEY" in caplog.text


def test_no_later_run_asks_again(tmp_path, answers):
    first = collect(tmp_path)
    assert first["provider"].to_pylist() == ["big", "big"]
    assert len(answers) == 2
    assert collect(tmp_path).equals(first)
    assert len(answers) == 2
    assert pq.read_table(tmp_path / "answers" / "thoughts.parquet").num_rows == 2


def test_who_withdraws_consent_is_forgotten(tmp_path, answers):
    collect(tmp_path)
    withdrew = {"user_key": 1, "valid_from": 9 * DAY_MS, "consent": 0}
    users = pa.concat_tables([CURATED.canonical["users"], make_table("users", withdrew)])
    later = SimpleNamespace(timelines=CURATED.timelines, canonical={"users": users})
    assert collect(tmp_path, curated=later).num_rows == 0
    assert pq.read_table(tmp_path / "answers" / "thoughts.parquet").num_rows == 0


def test_what_landed_before_a_withdrawal_breaks_no_contract_and_is_left_out(tmp_path, answers):
    landed = make_thoughts((1, 2, [5]), text="category9", provider="outside")
    withdrew = {"user_key": 1, "valid_from": 3 * DAY_MS, "consent": 0}
    users = pa.concat_tables([CURATED.canonical["users"], make_table("users", withdrew)])
    outcome = check_table("thoughts", landed, references={"users": users})
    assert outcome.quarantine.num_rows == 0
    later = SimpleNamespace(timelines=CURATED.timelines, canonical={"users": users})
    assert collect(tmp_path, outcome.clean, curated=later).num_rows == 0


def test_what_landed_is_not_asked_for(tmp_path, answers):
    table = collect(tmp_path, make_thoughts((1, 2, [5]), text="category9", provider="outside"))
    assert table["provider"].to_pylist() == ["outside", "big"]
    assert len(answers) == 1


def test_a_lake_that_may_only_be_read_costs_questions_not_the_run(tmp_path, answers, caplog):
    (tmp_path / "answers").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        assert collect(tmp_path).num_rows == 2
    assert "answers are not kept, each run asks again" in caplog.text


def test_the_template_leaves_nothing_behind(tmp_path):
    context = SimpleNamespace(lake=tmp_path, progress=Progress("test"))
    config = ThoughtsConfig(provider="template")
    table = collect_thoughts(context, config, CURATED, NOTHING, from_ts=3 * DAY_MS)
    assert table["as_of_ts"].to_pylist() == [3 * DAY_MS]
    assert list(tmp_path.iterdir()) == []


def test_metrics_count_who_wrote():
    table = make_thoughts((1, 2, [5]), (1, 3, [5]))
    assert provider_metrics(table) == {"thoughts/all": 2.0, "thoughts/test": 2.0}
    assert provider_metrics(NOTHING) == {"thoughts/all": 0.0}
