"""T28: collision at different n, similarity in the wrong space, singletons counted as perfect."""

import numpy as np
import pytest

from gpr_core.support.errors import ConfigError
from gpr_core.tokenizer.quality import codebook_quality, collision_gain, path_ids, path_similarity

# Two items 90 degrees apart share path 0; the third is alone.
X = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
CODES = np.array([[0], [0], [1]], np.int16)
REBUILT = np.array([[0.5, 0.5], [0.5, 0.5], [1, 1]], np.float32)


def check_similarity(measure):
    """The only pair that shares a path has cosine 0; without any pair there is no value."""
    assert measure(X, CODES, REBUILT) == pytest.approx(0.0, abs=1e-12)
    assert measure(X[1:], CODES[1:], REBUILT[1:]) is None


def ours(x, codes, rebuilt):
    """Input space, shared paths only."""
    similarity = path_similarity(x, path_ids(codes))
    return None if similarity is None else similarity[0]


def in_the_quantized_space(x, codes, rebuilt):
    """Broken twin: all items of a path have one reconstruction."""
    return ours(rebuilt, codes, rebuilt)


def with_singletons(x, codes, rebuilt):
    """Broken twin: an item alone counts as similar to itself."""
    path = path_ids(codes)
    values = []
    for number in np.unique(path):
        unit = x[path == number] / np.linalg.norm(x[path == number], axis=1, keepdims=True)
        cosine = unit @ unit.T
        pairs = cosine[~np.eye(len(unit), dtype=bool)]
        values.append(pairs.mean() if pairs.size else 1.0)
    return float(np.mean(values))


def test_similarity_is_taken_over_shared_paths_in_the_input_space():
    check_similarity(ours)


@pytest.mark.parametrize("twin", [in_the_quantized_space, with_singletons])
def test_a_twin_that_flatters_the_similarity_is_caught(twin):
    with pytest.raises(AssertionError):
        check_similarity(twin)


def quality(rows):
    """One tokenizer on some items; fewer items collide less."""
    return codebook_quality(X[rows], CODES[rows], REBUILT[rows], codebook_sizes=(2,), labels={})


def check_comparison(compare):
    """The same tokenizer is neither better nor worse than itself."""
    everything, few = quality([0, 1, 2]), quality([1, 2])
    assert (everything.num_items, few.num_items) == (3, 2)
    with pytest.raises(ConfigError, match="collision of 2 items compared"):
        compare(few, everything)


def test_collision_is_compared_at_equal_n():
    check_comparison(collision_gain)
    assert collision_gain(quality([0, 1, 2]), quality([0, 1, 2])) == 0


def test_the_twin_that_compares_at_any_n_is_caught():
    def compare_anyway(ours_quality, reference):
        return ours_quality.collision - reference.collision

    assert compare_anyway(quality([1, 2]), quality([0, 1, 2])) < -0.5
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check_comparison(compare_anyway)
