from pathlib import Path

import pytest

from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import write_json
from gpr_core.training.inputs import load_inputs
from tests.gpr_core.training.small_corpus import (
    make_small_corpus,
    say_favorites,
    write_small_corpus,
)


def test_tables_and_versions_are_read_together(tmp_path: Path) -> None:
    corpus = make_small_corpus()
    inputs = load_inputs(*write_small_corpus(tmp_path, corpus).values())
    assert inputs.tables.decisions.equals(corpus.tables.decisions)
    assert inputs.catalog.trie.ad_key_A.tolist() == corpus.catalog.trie.ad_key_A.tolist()
    assert inputs.tokenizer_version == "test"
    assert len(inputs.catalog_version) == 64
    assert inputs.tables.thoughts is None


def test_external_knowledge_comes_with_the_corpus(tmp_path: Path) -> None:
    corpus, said = make_small_corpus(), say_favorites()
    corpus = corpus._replace(tables=corpus.tables._replace(thoughts=said))
    inputs = load_inputs(*write_small_corpus(tmp_path, corpus).values())
    assert inputs.tables.thoughts is not None
    assert inputs.tables.thoughts.equals(said)


def test_a_catalog_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    folders = write_small_corpus(tmp_path, make_small_corpus())
    write_json(folders["tokenizer"] / "tokenizer.json", {"version": "newer"})
    with pytest.raises(ArtifactError, match="catalog is of tokenizer test, expected newer"):
        load_inputs(*folders.values())
