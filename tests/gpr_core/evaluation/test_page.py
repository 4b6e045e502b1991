from gpr_core.evaluation import page
from gpr_core.evaluation.page import Cell, Tile


def test_text_is_escaped_everywhere():
    evil = "<b>&\"'"
    parts = [
        page.table([Cell(evil, evil)], [[Cell(evil, evil)]]),
        page.section("a", evil, lead=evil),
        page.subheading(evil),
        page.tiles([Tile(evil, evil, (evil,))]),
        page.check_list([(True, evil)]),
        page.notes([evil]),
        page.facts([(evil, evil)]),
        page.wide_figure("<svg></svg>", "<svg></svg>", evil),
    ]
    for part in parts:
        assert evil not in part
        assert "&lt;b&gt;&amp;" in part


def test_a_table_scrolls_in_its_own_box_and_keeps_its_row_headers():
    html = page.table([Cell("m"), Cell("x", is_number=True)], [[Cell("a"), Cell("1", "n", "good")]])
    assert html.startswith('<div class="scroll" tabindex="0"><table>')
    assert '<th scope="row">a</th><td class="good">1<small>n</small></td>' in html


def test_a_wide_figure_has_one_picture_for_desks_and_one_for_phones():
    html = page.wide_figure("<svg>1</svg>", "<svg>2</svg>", "so")
    assert '<div class="wide"><svg>1</svg></div><div class="narrow"><svg>2</svg></div>' in html
    style = page.page("t", "", [])
    assert ".narrow{display:none}" in style
    assert ".wide{display:none}.narrow{display:block}" in style


def test_empty_parts_vanish():
    assert page.figures([]) == ""
    assert page.notes([]) == ""


def test_navigation_leads_to_every_section():
    html = page.page(
        "t", "", [("One", page.section("one", "1")), ("Two", page.section("two", "2"))]
    )
    assert '<a href="#one">One</a><a href="#two">Two</a>' in html
    assert html.startswith("<!doctype html>")
    assert 'name="viewport"' in html
