import numpy as np

from gpr_core.catalog.packed_paths import pack_paths
from gpr_core.catalog.trie_nodes import number_nodes


def test_nodes_of_sorted_paths_are_numbered_level_by_level():
    # root; 0 and 2; 01, 20 and 21, of which the last one has two ads.
    paths = pack_paths(np.array([[0, 1], [2, 0], [2, 1], [2, 1]], np.int16), (3, 2))
    found = number_nodes(paths, (3, 2))
    assert found.level_start == (0, 1, 3, 6)
    assert found.code_N.tolist() == [-1, 0, 2, 1, 0, 1]
    assert found.first_N1.tolist() == [0, 0, 1, 0, 1, 2, 0]
    assert found.child_ptr_I1.tolist() == [1, 3, 4, 6]


def test_no_paths_make_a_root():
    found = number_nodes(np.zeros(0, np.int64), (4, 4))
    assert found.level_start == (0, 1, 1, 1)
    assert found.child_ptr_I1.tolist() == [1, 1]
