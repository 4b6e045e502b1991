"""Largest leaves and the tree of codes of eight items, worked out by hand."""

import numpy as np
import pytest

from gpr_core.support.errors import ShapeError
from gpr_core.tokenizer.leaf_report import CategoryShare, ReadableItems, code_tree, largest_leaves
from gpr_core.tokenizer.title_words import title_words

X = np.array([[1, 0], [0, 2], [1, 0], [3, 0], [0, 1], [5, 5], [1, 1], [0, 1]], np.float32)
CODES = np.array([[0, 0], [0, 0], [0, 1], [0, 1], [0, 1], [2, 0], [2, 3], [2, 3]], np.int16)
TITLES = ["red tea", "green tea", "red car", "red car", "fast car", "blue boat", "", "old boat"]
ITEMS = ReadableItems(
    is_ad_M=np.array([True, False, True, True, False, False, False, False]),
    category_M=np.array([1, 1, 2, 2, 3, 5, 5, 5]),
    titles=TITLES,
    words=title_words(TITLES),
)


def test_the_largest_leaf_comes_first_and_equal_ones_by_path():
    leaves = largest_leaves(X, CODES, ITEMS, limit=20)
    assert [leaf.path for leaf in leaves] == [(0, 1), (0, 0), (2, 3), (2, 0)]
    assert [leaf.num_items for leaf in leaves] == [3, 2, 2, 1]
    assert [leaf.num_ads for leaf in leaves] == [2, 1, 0, 0]
    assert len(largest_leaves(X, CODES, ITEMS, limit=2)) == 2


def test_the_mean_cosine_is_that_of_the_pairs_and_undefined_for_one_item():
    leaves = largest_leaves(X, CODES, ITEMS, limit=20)
    assert [leaf.mean_cosine for leaf in leaves] == [
        pytest.approx(1 / 3),
        0.0,
        pytest.approx(np.sqrt(0.5)),
        None,
    ]


def test_titles_are_distinct_and_the_most_frequent_first():
    leaves = largest_leaves(X, CODES, ITEMS, limit=20)
    assert leaves[0].titles == ("red car", "fast car")
    assert leaves[1].titles == ("green tea", "red tea")
    assert leaves[2].titles == ("old boat",)


def test_at_most_five_titles_and_three_categories_are_shown():
    titles = [f"no {number}" for number in range(8)]
    items = ReadableItems(
        is_ad_M=np.zeros(8, bool),
        category_M=np.arange(8),
        titles=titles,
        words=title_words(titles),
    )
    [leaf] = largest_leaves(X, np.zeros((8, 2), np.int16), items, limit=20)
    assert leaf.titles == ("no 0", "no 1", "no 2", "no 3", "no 4")
    assert [share.category for share in leaf.categories] == [0, 1, 2]


def test_categories_are_named_by_their_words_over_all_items():
    leaf = largest_leaves(X, CODES, ITEMS, limit=1)[0]
    # `red` also stands in category 1, `car` also in 3; p log(p / q): car log 8/3, red log 8/3.
    assert leaf.categories == (
        CategoryShare(category=2, label="car, red", share=2 / 3),
        CategoryShare(category=3, label="fast, car", share=1 / 3),
    )


def test_a_leaf_becomes_json():
    found = largest_leaves(X, CODES, ITEMS, limit=1)[0].to_json()
    assert found["path"] == (0, 1)
    assert found["categories"][0] == {"category": 2, "label": "car, red", "share": 2 / 3}


def test_other_items_are_refused():
    with pytest.raises(ShapeError, match="code_ML has shape"):
        largest_leaves(X[:3], CODES, ITEMS, limit=1)


def tree(limits, codes=CODES):
    return code_tree(codes, ITEMS.is_ad_M, title_words(TITLES), limits=limits)


def test_the_tree_counts_items_and_ads_of_two_levels():
    first, second = tree((9, 9))
    assert (first.code, first.num_items, first.num_ads) == (0, 5, 3)
    assert (second.code, second.num_items, second.num_ads) == (2, 3, 0)
    assert [(node.code, node.num_items) for node in first.children] == [(1, 3), (0, 2)]
    assert [(node.code, node.num_items) for node in second.children] == [(3, 2), (0, 1)]
    assert all(node.children == () for node in first.children)


def test_a_label_tells_a_code_from_its_siblings():
    first, second = tree((9, 9))
    assert (first.label, second.label) == ("car, red", "boat, blue")
    assert [node.label for node in first.children] == ["car, fast", "tea, green"]
    assert [node.label for node in second.children] == ["old", "blue, boat"]


def test_only_the_largest_codes_are_listed():
    [first] = tree((1, 1))
    assert [node.code for node in first.children] == [1]
    assert tree((9,))[0].children == ()


def test_a_single_level_has_no_children():
    assert [node.children for node in tree((9, 9), CODES[:, :1])] == [(), ()]
