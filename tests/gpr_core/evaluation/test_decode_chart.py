import re
from dataclasses import replace

import pytest

from gpr_core.evaluation.decode_chart import decode_tree
from gpr_core.generation.explanation import FATES, Fate
from tests.gpr_core.evaluation.decodes import make_decode


def draw(view=None, *, width=900, gap=40, limit=4):
    rows = dict.fromkeys(FATES, limit)
    view = view or make_decode()
    return decode_tree(view, width=width, gap=gap, rows=rows, description="levels & cuts")


def test_each_fate_has_a_heading_with_its_count():
    svg = draw()
    for fate in FATES:
        assert f">{fate} 1</text>" in svg
    assert ">kept 40</text>" in svg
    assert ">kept by value 0</text>" not in svg


def test_what_is_not_drawn_is_counted():
    assert ">+ 36 more</text>" in draw(limit=4)
    assert ">+ 38 more</text>" in draw(limit=2)
    assert draw().count(" more</text>") == 1


def test_a_line_leads_from_each_drawn_child_to_its_parent():
    # Four of the kept children of code 0, none of the two prefixes of level 2 without room.
    assert draw(limit=4).count("<path ") == 5
    assert draw(limit=1).count("<path ") == 2


def test_a_line_ends_at_the_sides_of_its_boxes():
    svg = draw(width=900, gap=40)
    boxes = [tuple(map(float, box)) for box in re.findall(r'x="([\d.]+)" y="([\d.]+)"', svg)]
    starts = {float(x) for x in re.findall(r'd="M([\d.]+) ', svg)}
    ends = {float(x) for x in re.findall(r'C[\d. ]* ([\d.]+) [\d.]+" fill="none"', svg)}
    assert (starts, ends) == ({430.0}, {470.0})
    assert max(x for x, _ in boxes) <= 900


def test_kept_prefixes_are_filled_and_cut_ones_have_broken_borders():
    svg = draw()
    drawn = {"kept": 4 + 1, "kept by value": 1}
    assert svg.count('fill-opacity="0.22"') == sum(drawn.values())
    assert svg.count("stroke-dasharray") == 4


def test_tooltips_give_the_numbers_and_escape_labels():
    svg = draw()
    assert (
        "<title>4: cars &amp; vans - kept by value, 9 of 12 ads eligible, head 1, "
        "probability 1.00%, value +3.00, score -0.50</title>" in svg
    )
    assert "<title>1: holidays - no eligible ad, 0 of 12 ads eligible</title>" in svg
    assert 'aria-label="levels &amp; cuts"' in svg
    assert "<b>" not in svg


@pytest.mark.parametrize(("width", "has_numbers"), [(900, True), (200, False)])
def test_narrow_boxes_hold_no_numbers(width, has_numbers):
    svg = draw(width=width)
    assert (">12 ads</text>" in svg) is has_numbers
    assert (">50.00%</text>" in svg) is has_numbers


def test_a_label_without_room_gives_way_to_the_codes():
    view = make_decode()
    level = view.levels[0]
    rows = [row._replace(label="W" * 80) for row in level.rows if row.fate is Fate.KEPT]
    svg = draw(replace(view, levels=[level._replace(rows=rows)]), width=30)
    assert ">0</text>" in svg


def test_equal_decodes_give_equal_bytes():
    assert draw() == draw()
