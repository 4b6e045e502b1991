import numpy as np
import pytest

from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.embeddings.ngrams import NgramFeatures
from gpr_core.support.progress import Progress
from tests.gpr_core.embeddings.small_catalog import make_items

PROGRESS = Progress("test")
BASE = {"title": "oak desk", "description": "solid", "brand": "Forge", "category": "Home > Desks"}


def fit(*changes, is_title_only=False):
    """Fit on the base item, each change of it, and one item that shares nothing."""
    rows = [BASE, *({**BASE, **change} for change in changes), dict.fromkeys(BASE, "zzz")]
    items = make_items([{"item_id": n, **row} for n, row in enumerate(rows)], ColumnRoles())
    return NgramFeatures.fit(items, PROGRESS, is_title_only=is_title_only)[1].toarray()


@pytest.mark.parametrize("field", BASE)
def test_every_text_field_counts(field):
    first, second, _ = fit({field: "something else"})
    assert not np.allclose(first, second)


def test_titles_alone_can_be_compared():
    first, second, third, _ = fit(
        {"description": "soft", "brand": "Leaf", "category": "Food"},
        {"title": "pine desk"},
        is_title_only=True,
    )
    assert np.array_equal(first, second)
    assert not np.allclose(first, third)


def test_a_word_of_the_title_weighs_more_than_one_of_the_description():
    # Both candidates share one word with the first item: there in its title, here elsewhere.
    first, in_title, in_description, _ = fit(
        {"title": "oak", "description": "x y", "brand": "", "category": ""},
        {"title": "x y", "description": "solid", "brand": "", "category": ""},
    )
    assert first @ in_title > first @ in_description > 0


def test_the_end_of_a_very_long_text_is_not_read():
    # 400 words of 5 characters are the 2,000 that are read.
    long = "word " * 400
    _, whole, with_tail, _ = fit({"description": long}, {"description": long + "tail"})
    assert np.array_equal(whole, with_tail)
