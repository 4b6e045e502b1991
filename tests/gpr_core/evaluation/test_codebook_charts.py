"""The squarified layout on worked examples and random sizes, and the drawing around it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpr_core.evaluation.codebook_charts import Code, Rect, squarify, tree_map
from gpr_core.support.errors import ConfigError

CODES = [
    Code(
        name="3",
        label="coffee, tea",
        num_items=60,
        num_ads=20,
        children=[Code("3 / 1", "premium & co", 40, 20), Code("3 / 0", "", 10, 0)],
    ),
    Code("0", "", 40, 0, [Code("0 / 2", "shoes", 40, 0)]),
]


def draw(codes=CODES, width=400, height=300):
    return tree_map(codes, width=width, height=height, description="codes & items")


def overlap(one, other):
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(across, 0) * max(down, 0)


def test_the_example_of_the_paper():
    # Bruls et al. 2000, figure 4: 6 6 4 3 2 2 1 in a 6 x 4 rectangle; first 6 6 at the left.
    rects = squarify([6, 6, 4, 3, 2, 2, 1], Rect(0, 0, 6, 4))
    assert rects[:2] == [Rect(0, 0, 3, 2), Rect(0, 2, 3, 2)]
    # Then 4 3 in a row above, of height 7 / 3.
    assert rects[2] == pytest.approx((3, 0, 12 / 7, 7 / 3))
    assert rects[3] == pytest.approx((3 + 12 / 7, 0, 9 / 7, 7 / 3))
    # Then 2 alone in a column, the rest beside it.
    assert rects[4] == pytest.approx((3, 7 / 3, 6 / 5, 5 / 3))


def test_one_size_fills_everything_and_none_draws_nothing():
    assert squarify([7], Rect(1, 2, 3, 4)) == [Rect(1, 2, 3, 4)]
    assert squarify([], Rect(0, 0, 3, 4)) == []


@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=40),
    st.floats(10, 1000),
    st.floats(10, 1000),
)
def test_areas_are_proportional_inside_the_bounds_and_apart(sizes, width, height):
    bounds = Rect(5, 7, width, height)
    rects = squarify(sorted(sizes, reverse=True), bounds)
    area = width * height
    for size, rect in zip(sorted(sizes, reverse=True), rects, strict=True):
        assert rect.width * rect.height == pytest.approx(area * size / sum(sizes), rel=1e-6)
        assert rect.x >= bounds.x - 1e-6
        assert rect.y >= bounds.y - 1e-6
        assert rect.x + rect.width <= bounds.x + width + 1e-6 * width
        assert rect.y + rect.height <= bounds.y + height + 1e-6 * height
    pairs = [(one, other) for place, one in enumerate(rects) for other in rects[:place]]
    assert all(overlap(one, other) <= 1e-6 * area for one, other in pairs)


def test_equal_sizes_in_a_square_are_squares():
    rects = squarify([1] * 9, Rect(0, 0, 9, 9))
    assert {(round(rect.width, 9), round(rect.height, 9)) for rect in rects} == {(3, 3)}


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_must_be_positive(size):
    with pytest.raises(ConfigError, match="expected positive sizes"):
        squarify([3, size], Rect(0, 0, 1, 1))


def test_the_drawing_needs_no_color_but_those_of_the_page_and_no_id():
    svg = draw()
    assert svg == draw()
    assert set(re.findall(r"var\((--[\w-]+)\)", svg)) == {"--ink", "--series-1", "--series-2"}
    assert not re.search(r"#[0-9a-f]{6}|\bid=", svg)
    assert 'aria-label="codes &amp; items"' in svg


def test_every_box_has_a_tooltip_with_its_counts():
    svg = draw()
    assert re.findall(r"<title>(.*?)</title>", svg) == [
        "code 3: coffee, tea - 60 items, 20 ads",
        "code 3 / 1: premium &amp; co - 40 items, 20 ads",
        "code 3 / 0 - 10 items, 0 ads",
        "code 0 - 40 items, 0 ads",
        "code 0 / 2: shoes - 40 items, 0 ads",
    ]


def test_the_area_of_a_code_is_its_share_of_the_items():
    svg = draw(width=1000, height=1000)
    rects = re.findall(r'width="([\d.]+)" height="([\d.]+)" rx="2"', svg)
    areas = [float(width) * float(height) for width, height in rects]
    # Gaps of 1.5 pixels around each box.
    assert areas[0] / 1e6 == pytest.approx(0.60, abs=0.01)
    assert areas[3] / 1e6 == pytest.approx(0.40, abs=0.01)
    # The children leave room for the ten items of codes that are not listed.
    assert areas[1] / areas[2] == pytest.approx(4, rel=0.02)
    assert areas[1] + areas[2] < 0.85 * areas[0]


def test_a_code_without_words_shows_its_number():
    assert ">code 0</text>" in draw()


@pytest.mark.parametrize(
    ("width", "text"), [(200, "camera, tripod"), (66, "camera"), (40, "cam\u2026"), (30, None)]
)
def test_a_label_loses_its_second_word_and_then_its_letters(width, text):
    # A letter is 6.3 pixels wide; 9 pixels of a box are gap and margin.
    svg = draw([Code("1", "camera, tripod", 1, 1)], width=width)
    assert re.findall(r"<text.*?>(.*?)</text>", svg) == ([text] if text else [])


def test_wide_letters_take_more_room():
    wide = [Code("1", "\u5496\u5561\u5496\u5561\u5496\u5561", 1, 1)]
    assert ">\u5496\u5561\u5496\u2026<" in draw(wide, width=62)


def test_boxes_without_room_for_children_show_none():
    assert draw(height=20).count("<rect") == 2


def test_no_codes_are_an_empty_picture():
    assert "<rect" not in draw([])
