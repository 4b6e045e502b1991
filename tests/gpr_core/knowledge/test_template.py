"""Tests of the offline provider."""

import pytest

from gpr_core.data.tables import DAY_MS, Action, OrganicAction
from gpr_core.knowledge.template import TemplateProvider
from tests.gpr_core.knowledge.histories import acted, make_history, user, viewed


def say(*rows, day=20):
    """What the template says about user 1."""
    return TemplateProvider().generate(make_history(user(1), *rows).view(1, day * DAY_MS))


def test_all_sentences_are_written():
    thought = say(
        viewed(1, 2.0, 4, brand=7),
        viewed(1, 18.0, 3, brand=8, action=OrganicAction.LIKE),
        acted(1, 19.0, Action.CLICK, 3, brand=8, price=12),
        user(2),
        viewed(2, 1.0, 3),
        viewed(2, 1.1, 6),
    )
    assert thought.text == (
        "likes category3, category4. knows brand8, brand7. may turn to category6. "
        "takes high prices. category3 is rising"
    )


def test_new_events_outweigh_old_ones():
    rows = [viewed(1, 1.0, 5, action=OrganicAction.COMPLETE), viewed(1, 19.0, 6)]
    # 2 * 0.5 ** (19 / 14) = 0.78 against 0.5 ** (1 / 14) = 0.95.
    assert say(*rows).text.startswith("likes category6, category5")
    assert say(*rows[:1], viewed(1, 6.0, 6)).text.startswith("likes category5, category6")


def test_what_is_skipped_or_hidden_or_merely_shown_is_not_liked():
    thought = say(
        viewed(1, 19.0, 2),
        viewed(1, 19.1, 3, action=OrganicAction.SKIP),
        acted(1, 19.2, Action.IMPRESSION, 4),
        acted(1, 19.3, Action.HIDE, 5),
        acted(1, 19.4, Action.CONVERSION, 6),
    )
    assert thought.text.startswith("likes category6, category2.")


OLD, FRESH = (1.0, 1.1, 1.2), (18.0, 18.1)


@pytest.mark.parametrize(
    ("favorite", "other", "word"),
    [
        ([*FRESH, 1.0], [1.1], "rising"),
        ([*OLD, *OLD], [18.0], "fading"),
        (FRESH, [18.0], "new"),
        ([1.0, 18.0], [1.1, 18.1], "steady"),
    ],
)
def test_the_trend_compares_the_last_week_with_before(favorite, other, word):
    rows = [viewed(1, day, 3, action=OrganicAction.LIKE) for day in favorite]
    rows += [viewed(1, day, 4) for day in other]
    assert say(*rows).text.endswith(f"category3 is {word}")


def test_confidence_grows_with_what_is_known():
    little, much = say(viewed(1, 19.0, 3)), say(*[viewed(1, 19.0, 3)] * 20)
    assert 0.0 < little.confidence < 0.5 < much.confidence < 1.0


def test_another_setting_is_another_prompt():
    assert TemplateProvider().prompt_hash != TemplateProvider(half_life_days=7.0).prompt_hash


def test_the_text_passes_the_contract_of_identifiers():
    rows = [viewed(1, 10 + number / 10, 100 + number, brand=1000 + number) for number in range(9)]
    text = say(*rows).text
    assert not any(len(part) > 20 for part in text.split())
    assert "@" not in text
