"""T39: a language model that was not there must not be reported as the author of thoughts.

Broken twin: a fallback that signs with the name of the model.
"""

from components.runtime.thoughts import KEY_VARIABLE, choose_provider
from gpr_core.data.config import ThoughtsConfig
from gpr_core.data.tables import DAY_MS
from gpr_core.knowledge.cache import ThoughtCache, count_providers
from gpr_core.knowledge.language_model import LanguageModelProvider
from gpr_core.knowledge.template import TemplateProvider
from tests.gpr_core.knowledge.histories import asked, make_history, user, viewed

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
