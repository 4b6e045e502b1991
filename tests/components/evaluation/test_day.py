"""The set-up itself is tested with the step and in `tests/gpr_core/evaluation/test_next_day.py`."""

from dataclasses import replace

import pytest

from components.evaluation import day
from gpr_core.data.days import day_of_ms
from gpr_core.support.errors import ArtifactError, ContractError
from tests.mini_day import CUTOFF, NUM_DAYS
from tests.unchecked_lake import accept_any_lake


def test_a_day_without_real_requests_is_refused(mini_day, tmp_path):
    context = mini_day.context(tmp_path)
    empty = replace(mini_day.curated, decisions=mini_day.curated.decisions.slice(0, 0))
    with pytest.raises(ContractError, match="nothing to evaluate on"):
        day.prepare_evaluation_day(context, empty, None)


def test_a_day_that_has_not_landed_is_refused(mini_day, tmp_path):
    later = day_of_ms(CUTOFF + NUM_DAYS * 86_400_000)
    with pytest.raises(ArtifactError, match="has not landed"):
        day.curate_evaluation_day(mini_day.context(tmp_path), later)


def test_the_next_day_is_curated_as_the_corpus_was(mini_day, tmp_path, monkeypatch):
    accept_any_lake(monkeypatch, day)
    context = mini_day.context(tmp_path)
    curated, thoughts = day.curate_evaluation_day(context, day_of_ms(CUTOFF))
    assert curated.decisions.equals(mini_day.curated.decisions)
    assert thoughts is None
    prepared = day.prepare_evaluation_day(context, curated, thoughts)
    assert prepared.requests.num_rows > 0
