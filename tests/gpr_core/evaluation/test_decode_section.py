import re
from dataclasses import replace

from gpr_core.evaluation.decode_section import decode_section
from gpr_core.generation.explanation import FATES, MEANINGS
from tests.gpr_core.evaluation.decodes import make_decode


def test_the_request_and_the_command_are_named():
    html = decode_section(make_decode())
    assert "Request 77, for which 1,234 of 1,500 ads are eligible" in html
    assert "gpr explain 77 prints" in html


def test_counts_of_every_level_are_shown():
    html = decode_section(make_decode())
    assert (
        '<th scope="row">Level 1, width 2 per head</th>' + '<td class="number">1</td>' * 5 in html
    )
    assert 'Level 2, exhaustive</th><td class="number">40</td><td class="number">0</td>' in html


def test_every_prefix_has_a_row():
    html = decode_section(make_decode())
    tables = re.findall(r"<tbody>.*?</tbody>", html)
    assert [table.count("<tr>") for table in tables] == [2, 5, 10]
    assert (
        '<th scope="row" class="code">4</th><td>cars &amp; vans</td>'
        '<td class="good">kept by value</td><td class="number">12</td><td class="number">9</td>'
        '<td class="number">1</td><td class="number">1.00%</td><td class="number">+3.00</td>'
        '<td class="number">-0.50</td>' in html
    )
    assert (
        '<td class="number">12</td><td class="number">0</td>' + ('<td class="number">-</td>' * 4)
        in html
    )


def test_every_fate_is_explained():
    html = decode_section(make_decode())
    assert all(f"<li>{fate}: {MEANINGS[fate]}.</li>" in html for fate in FATES)


def test_a_phone_gets_half_the_prefixes():
    wide, narrow = decode_section(make_decode()).split('<div class="narrow">')
    assert wide.count("<title>0 / ") == 8
    assert narrow.count("<title>0 / ") == 4


def test_a_request_without_eligible_ads_leaves_the_section_out():
    assert decode_section(replace(make_decode(), levels=[])) == ""
