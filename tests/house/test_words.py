"""Words that docs/vocabulary.md calls never right do not appear in code or docs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BANNED = {
    "catalogue": "catalog",
    "behaviour": "behavior",
    "colour": "color",
    "normalise": "normalize",
    "inventory": "catalog",
}
FILES = sorted(
    path
    for package in ("gpr_core", "components", "data_contracts", "dags", "docs", "docker")
    for path in (ROOT / package).rglob("*")
    if path.suffix in {".py", ".md", ".yaml"}
)


def banned_words(text):
    """List the banned words of a text."""
    return [word for word in BANNED if re.search(word, text, flags=re.IGNORECASE)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_uses_the_words_of_the_vocabulary(path):
    if path.name == "vocabulary.md":
        pytest.skip("it has to name the words that it bans")
    assert banned_words(path.read_text()) == []


def test_a_banned_word_is_found():
    assert banned_words("the ad Catalogue") == ["catalogue"]
