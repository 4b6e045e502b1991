"""Both providers keep the promises of the interface."""

import pytest

from gpr_core.data.tables import DAY_MS
from gpr_core.knowledge.language_model import LanguageModelProvider
from gpr_core.knowledge.template import TemplateProvider
from tests.gpr_core.knowledge.histories import NO_CONSENT, make_history, user, viewed

PROVIDERS = (
    TemplateProvider(),
    LanguageModelProvider("echo", lambda prompt: f"thinking about {prompt}", TemplateProvider()),
)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_thought_is_signed_and_repeatable(provider):
    view = make_history(user(1), viewed(1, 1.0, 3)).view(1, 2 * DAY_MS)
    thought = provider.generate(view)
    assert thought == provider.generate(view)
    assert (thought.provider, thought.prompt_hash) == (provider.name, provider.prompt_hash)
    assert "category3" in thought.text
    assert 0.0 < thought.confidence <= 1.0


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_without_consent_or_events_there_is_nothing_to_say(provider):
    history = make_history(user(1, consent=NO_CONSENT), viewed(1, 1.0, 3), user(2))
    for key in (1, 2, 3):
        thought = provider.generate(history.view(key, 2 * DAY_MS))
        assert (thought.text, thought.confidence) == ("", 0.0)
