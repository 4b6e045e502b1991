import re
from dataclasses import replace

from gpr_core.evaluation.codebook_charts import Code
from gpr_core.evaluation.codebook_section import LeafRow, codebook_section
from tests.gpr_core.evaluation.codebooks import make_view


def test_measures_of_both_tokenizers_are_shown():
    html = codebook_section(make_view())
    assert ">18.2%</td>" in html
    assert ">21.4%</td>" in html
    assert ">0.250<small>0.375</small>" in html
    assert ">0.500<small>0.625</small>" in html


def test_codes_in_use_are_counted():
    html = codebook_section(make_view())
    assert "Level 1: 3 of 4 codes" in html
    assert "Level 2: 4 of 4 codes" in html


def test_the_caption_says_how_much_the_tree_map_covers():
    html = codebook_section(make_view())
    assert "The 2 largest of 3 used first-level codes, with 81% of the items" in html
    assert html.count("<title>code 0: coffee, tea - 9 items, 4 ads</title>") == 2


def test_a_narrow_screen_gets_fewer_codes():
    codes = [Code(str(code), "", 1, 0) for code in range(40)]
    html = codebook_section(replace(make_view(), tree=codes))
    wide, narrow = html.split('<div class="narrow">')
    assert wide.count(" items, 0 ads</title>") == 40
    assert narrow.count(" items, 0 ads</title>") == 16


def test_titles_are_escaped():
    html = codebook_section(make_view())
    assert '<td class="text">&lt;b&gt; &amp; tea<small>red tea</small></td>' in html
    assert ">1,200</td>" in html
    assert ">coffee 75%<small>tea 25%</small></td>" in html


def test_a_leaf_without_titles_or_categories_shows_dashes():
    leaf = LeafRow("3 / 1", 1, 0, "undefined", [], [])
    html = codebook_section(replace(make_view(), leaves=[leaf]))
    assert '<td class="text">-</td>' in html
    assert '<td class="number">undefined</td><td>-</td>' in html


def test_long_titles_are_cut():
    leaf = LeafRow("1", 2, 0, "1.000", ["x 100%"], ["long " * 40])
    html = codebook_section(replace(make_view(), leaves=[leaf]))
    [title] = re.findall(r'<td class="text">(.*?)</td>', html)
    assert len(title) == 80
    assert title.endswith("g\u2026")


def test_equal_views_give_equal_bytes_without_scripts_or_links():
    html = codebook_section(make_view())
    assert html == codebook_section(make_view())
    assert not re.search(r"<script|https?:(?!//www\.w3\.org)|\bsrc=", html)
