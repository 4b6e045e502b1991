"""Tests of the table of thoughts and its cache."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.data.tables import DAY_MS, TABLES
from gpr_core.knowledge.cache import ThoughtCache, count_providers
from gpr_core.knowledge.language_model import LanguageModelProvider
from gpr_core.knowledge.template import TemplateProvider
from gpr_core.knowledge.words import thought_words
from tests.gpr_core.knowledge.histories import NO_CONSENT, asked, make_history, user, viewed
from tests.thoughts import make_thoughts

HISTORY = make_history(
        user(1), viewed(1, 1.0, 3), asked(1, 2.5), asked(1, 3.5),
        user(2, consent=NO_CONSENT), viewed(2, 1.0, 3), asked(2, 2.5),

)  # fmt: skip
WANTED = HISTORY.request_days()


class Counting:
    """A template provider that counts how often it is asked."""

    name, prompt_hash = "template", TemplateProvider().prompt_hash

    def __init__(self):
        self.asked = 0

    def generate(self, view):
        self.asked += 1
        return TemplateProvider().generate(view)


def test_one_row_per_user_and_day_with_something_to_say():
    table = ThoughtCache().thoughts(HISTORY, *WANTED, TemplateProvider())
    assert table.schema == TABLES["thoughts"].schema
    assert table["user_key"].to_pylist() == [1, 1]
    assert table["as_of_ts"].to_pylist() == [2 * DAY_MS, 3 * DAY_MS]
    assert table["source_max_ts"].to_pylist() == [DAY_MS, DAY_MS]
    assert table["token_ids"].to_pylist() == [
        thought_words(text) for text in table["text"].to_pylist()
    ]


def test_a_cached_thought_is_not_asked_for_again(tmp_path):
    cache, provider = ThoughtCache(), Counting()
    first = cache.thoughts(HISTORY, *WANTED, provider)
    assert provider.asked == 2
    cache.save(tmp_path / "thoughts.parquet")
    again = Counting()
    loaded = ThoughtCache.load(tmp_path / "thoughts.parquet")
    assert loaded.thoughts(HISTORY, *WANTED, again).equals(first)
    assert again.asked == 0


def landed_thoughts(*rows, text="category9 next", provider="outside"):
    """Rows of the lake, with ids of another vocabulary."""
    return make_thoughts(
        *[(user, day, [70_000]) for user, day in rows], text=text, provider=provider
    )


def test_what_landed_is_taken_and_nobody_is_asked():
    provider = Counting()
    table = ThoughtCache(landed_thoughts((1, 2))).thoughts(HISTORY, *WANTED, provider)
    assert count_providers(table) == {"outside": 1, "template": 1}
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["text"], first["source_max_ts"]) == ("category9 next", 2 * DAY_MS - 1)
    assert first["token_ids"] == thought_words("category9 next")
    # Two requests of user 1 are wanted; user 2 gave no consent and is shown to nobody.
    assert provider.asked == 1


def test_neither_the_lake_nor_an_old_answer_speaks_about_people_without_consent():
    cache = ThoughtCache(landed_thoughts((2, 2)))
    cache.thoughts(HISTORY, *WANTED, TemplateProvider())
    withdrawn = make_history(user(1, consent=NO_CONSENT), viewed(1, 1.0, 3), asked(1, 2.5))
    assert cache.thoughts(HISTORY, *WANTED, TemplateProvider())["user_key"].to_pylist() == [1, 1]
    assert cache.thoughts(withdrawn, *WANTED, TemplateProvider()).num_rows == 0


def test_people_are_forgotten(tmp_path):
    cache = ThoughtCache()
    cache.thoughts(HISTORY, *WANTED, TemplateProvider())
    cache.forget(np.array([2, 1]))
    cache.save(tmp_path / "thoughts.parquet")
    assert pq.read_table(tmp_path / "thoughts.parquet").num_rows == 0


def test_a_landed_text_without_a_word_says_nothing():
    cache = ThoughtCache(landed_thoughts((1, 2), text="..."))
    assert count_providers(cache.thoughts(HISTORY, *WANTED, TemplateProvider())) == {"template": 2}


def test_what_landed_is_not_saved_twice(tmp_path):
    path = tmp_path / "thoughts.parquet"
    ThoughtCache(landed_thoughts((1, 2))).save(path)
    assert pq.read_table(path).num_rows == 0
    loaded = ThoughtCache.load(path, landed=landed_thoughts((1, 2)))
    table = loaded.thoughts(HISTORY, *WANTED, TemplateProvider())
    assert count_providers(table) == {"outside": 1, "template": 1}


def test_a_missing_file_is_an_empty_cache(tmp_path):
    table = ThoughtCache.load(tmp_path / "none.parquet").thoughts(
        HISTORY, WANTED[0][:0], WANTED[1][:0], TemplateProvider()
    )
    assert table.equals(pa.Table.from_pylist([], schema=TABLES["thoughts"].schema))


def test_another_prompt_is_another_thought():
    cache = ThoughtCache()
    cache.thoughts(HISTORY, *WANTED, TemplateProvider())
    provider = Counting()
    provider.prompt_hash = "0123456789abcdef"
    cache.thoughts(HISTORY, *WANTED, provider)
    assert provider.asked == 2


def test_a_fallback_is_kept_under_its_own_name_and_asked_past_the_next_time():
    answers = iter([OSError("down"), "category9", "category9"])

    def complete(_prompt):
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    cache, provider = ThoughtCache(), LanguageModelProvider("big", complete, TemplateProvider())
    first = cache.thoughts(HISTORY, *WANTED, provider)
    assert count_providers(first) == {"big": 1, "template": 1}
    second = cache.thoughts(HISTORY, *WANTED, provider)
    assert count_providers(second) == {"big": 2}
    keys = np.stack([second[name].to_numpy() for name in ("user_key", "as_of_ts")], axis=1)
    assert len(np.unique(keys, axis=0)) == 2
