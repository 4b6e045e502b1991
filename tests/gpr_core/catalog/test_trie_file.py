"""The tree on disk."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gpr_core.catalog.trie import Trie
from gpr_core.catalog.trie_file import INDEX_FILE, load_trie, save_trie
from gpr_core.support.errors import ArtifactError
from tests.gpr_core.catalog.catalogs import all_paths


@pytest.fixture
def trie():
    path_AL = np.array([[2, 0], [2, 1], [0, 1], [2, 1]], np.int16)
    return Trie.build(path_AL, np.array([10, 40, 30, 20], np.uint64), (3, 2))


def test_a_stored_tree_is_the_same_tree(trie, tmp_path):
    save_trie(trie, tmp_path / "a")
    save_trie(trie, tmp_path / "b")
    loaded = load_trie(tmp_path / "a")
    assert (loaded.codebook_sizes, loaded.level_start) == ((3, 2), (0, 1, 3, 6))
    assert torch.equal(all_paths(loaded), all_paths(trie))
    assert torch.equal(loaded.interval(torch.arange(6))[1], trie.interval(torch.arange(6))[1])
    assert loaded.rank_of_ads(torch.tensor([40])).tolist() == [3]
    assert (tmp_path / "a" / INDEX_FILE).read_bytes() == (tmp_path / "b" / INDEX_FILE).read_bytes()


def test_an_empty_tree_is_stored_too(tmp_path):
    save_trie(Trie.build(np.zeros((0, 2), np.int16), np.zeros(0, np.uint64), (4, 4)), tmp_path)
    assert (load_trie(tmp_path).num_nodes, load_trie(tmp_path).num_ads) == (1, 0)


def test_a_missing_index_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="catalog index is missing"):
        load_trie(tmp_path)


def test_a_foreign_index_is_refused(tmp_path):
    save_file({"other": torch.zeros(1)}, tmp_path / INDEX_FILE)
    with pytest.raises(ArtifactError, match=r"catalog index holds \['other'\]"):
        load_trie(tmp_path)


def test_a_damaged_index_is_refused(trie, tmp_path):
    save_trie(trie, tmp_path)
    whole = (tmp_path / INDEX_FILE).read_bytes()
    (tmp_path / INDEX_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="catalog index is damaged"):
        load_trie(tmp_path)
