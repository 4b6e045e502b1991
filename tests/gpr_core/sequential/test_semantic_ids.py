"""Codes from texts and from co-occurrence."""

import numpy as np

from gpr_core.sequential.semantic_ids import cooccurrence_vectors, semantic_ids
from gpr_core.sequential.sequences import Histories
from gpr_core.support.seeding import numpy_stream
from gpr_core.tokenizer.config import TokenizationConfig

CONFIG = TokenizationConfig(num_levels=2, codebook_size=2)
NOTHING = Histories(np.zeros(0, np.int64), np.zeros(1, np.int64))


def two_worlds():
    """Users who stay among the items 0 to 4, and users who stay among 5 to 9."""
    stream = numpy_stream(0, "test")
    rows = [stream.permutation(5) + 5 * (user % 2) for user in range(40)]
    return Histories(np.concatenate(rows), np.arange(41) * 5)


def test_items_with_equal_texts_share_a_path_and_others_do_not():
    texts = ("red lipstick", "hair dryer", "red lipstick", "hair dryer", "red lipstick")
    path = semantic_ids(texts, NOTHING, CONFIG, seed=0)
    assert path.shape == (5, 2)
    assert len({tuple(path[idx]) for idx in (0, 2, 4)}) == 1
    assert path[0, 0] != path[1, 0]


def test_items_that_are_acted_on_together_share_the_first_code():
    path = semantic_ids(("",) * 10, two_worlds(), CONFIG, seed=0)
    assert len(set(path[:5, 0])) == len(set(path[5:, 0])) == 1
    assert path[0, 0] != path[5, 0]


def test_vectors_of_neighbours_are_near():
    vector = cooccurrence_vectors(two_worlds(), 10)
    unit = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    similar = unit @ unit.T
    assert similar[:5, :5].min() > similar[:5, 5:].max()
    assert np.array_equal(vector, cooccurrence_vectors(two_worlds(), 10))
