"""T39: a language model that was not there must not be reported as the author of thoughts.

Broken twins: a fallback that signs with the name of the model; a model that reads timelines loaded
without thoughts as if nothing had been said, so that a step that forgot them would report a gain
or a loss of thoughts that were never there.
"""

import dataclasses

from components.runtime.thoughts import KEY_VARIABLE, choose_provider
from gpr_core.data.config import ThoughtsConfig
from gpr_core.data.tables import DAY_MS
from gpr_core.knowledge.cache import ThoughtCache, count_providers
from gpr_core.knowledge.language_model import LanguageModelProvider
from gpr_core.knowledge.template import TemplateProvider
from gpr_core.models import external_knowledge
from gpr_core.support.errors import ConfigError
from tests.gpr_core.knowledge.histories import asked, make_history, user, viewed
from tests.timelines import SMALL, make_batch, make_model

HISTORY = make_history(user(1), viewed(1, 1.0, 3), asked(1, 2.5))
FACTS = TemplateProvider()
MODEL = ThoughtsConfig(provider="language_model", url="https://model.test", model="big")


def refuse(_prompt):
    """An endpoint that is not there."""
    raise OSError("connection refused")


class SignsForTheModel:
    """The broken twin: catches the failure and keeps quiet about it."""

    name, prompt_hash = "big", "0123456789abcdef"

    def generate(self, view):
        """Let the template speak in the name of the model."""
        return FACTS.generate(view)._replace(provider=self.name)


def reported(provider):
    """Who stands in the table that results are printed from."""
    return count_providers(ThoughtCache().thoughts(HISTORY, *HISTORY.request_days(), provider))


def test_the_table_names_who_really_spoke(monkeypatch):
    assert reported(LanguageModelProvider("big", refuse, FACTS)) == {"template": 1}
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert reported(choose_provider(MODEL)) == {"template": 1}
    assert reported(LanguageModelProvider("big", lambda _: "category9", FACTS)) == {"big": 1}


def test_the_check_finds_a_fallback_under_a_false_name():
    assert reported(SignsForTheModel()) != {"template": 1}
    assert HISTORY.request_days()[1].tolist() == [2 * DAY_MS]


def notices_missing_thoughts():
    """Say whether a model that reads thoughts refuses timelines that were loaded without."""
    batch = make_batch("UOE", "UEOE")
    forgot = batch._replace(thought_BRP=batch.thought_BRP[:, :, :0])
    try:
        make_model(dataclasses.replace(SMALL, knowledge_vectors=2)).read(forgot)
    except ConfigError as error:
        return "loaded without thoughts" in str(error)
    return False


def test_a_step_that_forgets_thoughts_is_noticed():
    assert notices_missing_thoughts()


def test_the_check_finds_a_model_that_reads_nothing_as_silence(monkeypatch):
    monkeypatch.setattr(external_knowledge, "_check_asked", lambda thought_BRP: None)
    assert not notices_missing_thoughts()
