"""HTML building blocks of the report; one style for phone and desk, light and dark."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple


class Cell(NamedTuple):
    """One table cell.

    Attributes:
        text: Main content.
        note: Smaller second line, may be empty.
        tone: "", "good", "bad", "muted", "text" for a column of sentences or "code".
        is_number: Align right, figures of one width.
    """

    text: str
    note: str = ""
    tone: str = ""
    is_number: bool = False


def table(header: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> str:
    """Lay a table out; a wide one scrolls inside its own box.

    Args:
        header: Column headers; a note becomes the tooltip.
        rows: Cells by row; the first column stays in view while scrolling.

    Returns:
        HTML.
    """
    head = "".join(
        f'<th scope="col"{_classes(cell)} title="{escape(cell.note)}">{escape(cell.text)}</th>'
        for cell in header
    )
    body = "".join(
        "<tr>"
        + "".join(
            _row_header(cell) if place == 0 else _data(cell) for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    content = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{content}</div>'


def section(identifier: str, title: str, *parts: str, lead: str = "") -> str:
    """Make a section.

    Args:
        identifier: Target of the navigation.
        title: Heading.
        *parts: HTML of its content.
        lead: One or two plain sentences below the heading.

    Returns:
        HTML.
    """
    intro = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    content = "".join(parts)
    return f'<section id="{identifier}"><h2>{escape(title)}</h2>{intro}{content}</section>'


def subheading(text: str) -> str:
    """Make a heading inside a section.

    Args:
        text: Heading.

    Returns:
        HTML.
    """
    return f"<h3>{escape(text)}</h3>"


def figures(charts: Sequence[str]) -> str:
    """Put charts side by side, as many as fit.

    Args:
        charts: `<svg>` elements.

    Returns:
        HTML; empty for no chart.
    """
    if not charts:
        return ""
    return '<div class="figures">' + "".join(f"<figure>{svg}</figure>" for svg in charts) + "</div>"


def wide_figure(wide: str, narrow: str, caption: str) -> str:
    """Show one picture in full width, drawn once for desks and once for phones.

    Args:
        wide: `<svg>` for wide windows.
        narrow: `<svg>` for narrow windows; the style shows one of the two.
        caption: Plain sentences below.

    Returns:
        HTML.
    """
    return (
        f'<figure class="whole"><div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


class Tile(NamedTuple):
    """A key number.

    Attributes:
        label: What it is.
        value: The number.
        notes: Small lines below.
    """

    label: str
    value: str
    notes: tuple[str, ...] = ()


def tiles(entries: Sequence[Tile]) -> str:
    """Show key numbers.

    Args:
        entries: The numbers.

    Returns:
        HTML.
    """
    shown = "".join(
        f'<div class="tile"><span>{escape(entry.label)}</span><b>{escape(entry.value)}</b>'
        + "".join(f"<small>{escape(note)}</small>" for note in entry.notes)
        + "</div>"
        for entry in entries
    )
    return f'<div class="tiles">{shown}</div>'


def check_list(entries: Sequence[tuple[bool, str]]) -> str:
    """List sentences with a mark for passed or failed.

    Args:
        entries: (passed, sentence).

    Returns:
        HTML.
    """
    items = "".join(
        f'<li class="{"good" if passed else "bad"}">'
        f"<i>{'passed' if passed else 'failed'}</i>{escape(sentence)}</li>"
        for passed, sentence in entries
    )
    return f'<ul class="checks">{items}</ul>'


def facts(entries: Sequence[tuple[str, str]]) -> str:
    """List names and values.

    Args:
        entries: (name, value).

    Returns:
        HTML.
    """
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in entries
    )
    return f'<dl class="facts">{shown}</dl>'


def notes(sentences: Sequence[str]) -> str:
    """List plain sentences in small type.

    Args:
        sentences: The sentences.

    Returns:
        HTML; empty for none.
    """
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul class="notes">{items}</ul>'


def page(title: str, header: str, sections: Sequence[tuple[str, str]]) -> str:
    """Put a page together.

    Args:
        title: Title of the window.
        header: HTML above the sections.
        sections: (navigation text, HTML of a `section`).

    Returns:
        A complete document without external references.
    """
    links = "".join(
        f'<a href="#{html.split(chr(34), 2)[1]}">{escape(text)}</a>' for text, html in sections
    )
    body = "".join(html for _, html in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><header>{header}</header><nav>{links}</nav><main>{body}</main></body></html>\n"
    )


def _row_header(cell: Cell) -> str:
    """Write the first cell of a row."""
    return f'<th scope="row"{_classes(cell)}>{_content(cell)}</th>'


def _data(cell: Cell) -> str:
    """Write a cell."""
    return f"<td{_classes(cell)}>{_content(cell)}</td>"


def _content(cell: Cell) -> str:
    """Write text and note of a cell."""
    note = f"<small>{escape(cell.note)}</small>" if cell.note else ""
    return escape(cell.text) + note


def _classes(cell: Cell) -> str:
    """Write the class attribute of a cell."""
    names = [name for name in (cell.tone, "number" if cell.is_number else "") if name]
    return f' class="{" ".join(names)}"' if names else ""


_STYLE = """
:root{--paper:#fbfbf9;--card:#fff;--ink:#1c2024;--muted:#626a73;--line:#e3e5e3;--shade:#0003;--good:#19713f;
--good-bg:#e4f3ea;--bad:#b3261e;--bad-bg:#fbe9e7;--accent:#2f5fd0;--series-1:#2f5fd0;
--series-2:#d1661c;--series-3:#2a8f6a;--series-4:#8a4fbf;--series-5:#b8930f;--series-6:#c23b74}
@media (prefers-color-scheme:dark){:root{--paper:#15181b;--card:#1d2125;--ink:#e8eaec;
--muted:#9aa3ad;--line:#32383e;--shade:#000c;--good:#6fcf97;--good-bg:#17301f;--bad:#ff8a80;--bad-bg:#3a1d1b;
--accent:#8fb0ff;--series-1:#8fb0ff;--series-2:#f2a365;--series-3:#6cc7a4;--series-4:#c39bea;
--series-5:#e0c25a;--series-6:#f08fb6}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,main,nav{max-width:1080px;margin:0 auto;width:calc(100% - 40px)}
header{padding-top:36px}
.kicker{margin:0;color:var(--muted);font-size:13px;letter-spacing:.04em}
h1{margin:.1em 0 .5em;font-size:clamp(25px,5vw,36px);line-height:1.2;letter-spacing:-.02em;
text-wrap:balance}
h2{margin:0 0 4px;font-size:20px;letter-spacing:-.01em}
h3{margin:26px 0 8px;font-size:14px;font-weight:600}
p{margin:0 0 12px}
.lead{color:var(--muted);max-width:70ch;margin-bottom:16px}
nav{display:flex;gap:4px 18px;flex-wrap:wrap;margin-top:24px;padding:12px 0;
border-top:1px solid var(--line);border-bottom:1px solid var(--line)}
a{color:var(--accent);text-decoration:none}
a:hover{text-decoration:underline}
section{padding:34px 0 6px;border-bottom:1px solid var(--line)}
section:last-child{border:0;padding-bottom:60px}
.badge{display:inline-block;padding:3px 11px;border-radius:99px;font-size:13px;font-weight:600;
vertical-align:middle}
.badge.good{background:var(--good-bg);color:var(--good)}
.badge.bad{background:var(--bad-bg);color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(148px,1fr));gap:10px;
margin:20px 0 6px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.tile b{display:block;font-size:22px;line-height:1.3;font-variant-numeric:tabular-nums}
.tile span{font-size:13px;font-weight:500}
time{white-space:nowrap}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:10px;margin:0 0 14px;
background:linear-gradient(var(--card),var(--card)) right/26px 100% no-repeat local,
linear-gradient(270deg,var(--shade),transparent) right/14px 100% no-repeat scroll var(--card)}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:13.5px}
th,td{padding:8px 10px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--muted);font-weight:500;font-size:12.5px;white-space:nowrap}
tbody th{font-weight:600;position:sticky;left:0;background:var(--card);min-width:104px}
thead th:first-child{position:sticky;left:0;background:var(--card)}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
small{display:block;color:var(--muted);font-size:11.5px;font-weight:400;line-height:1.35}
td.muted:last-child:not(.number){min-width:200px}
td.good{color:var(--good)}
td.bad{color:var(--bad)}
td.muted,th.muted{color:var(--muted)}
.checks{list-style:none;padding:0;margin:14px 0 0;max-width:86ch}
.checks li{padding:7px 0 7px 70px;position:relative}
.checks i{position:absolute;left:0;top:9px;font-style:normal;font-size:11.5px;font-weight:600;
padding:1px 8px;border-radius:99px}
.checks .good i{background:var(--good-bg);color:var(--good)}
.checks .bad i{background:var(--bad-bg);color:var(--bad)}
.notes{color:var(--muted);font-size:13px;padding-left:18px;margin:6px 0 16px;max-width:80ch}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),1fr));gap:10px;
margin:0 0 14px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:14px;overflow:hidden}
figure svg{display:block;max-width:100%;height:auto}
.whole{margin:0 0 14px}
.narrow{display:none}
figcaption{color:var(--muted);font-size:12.5px;line-height:1.4;margin-top:10px;max-width:80ch}
td.text{min-width:250px}
th.code{white-space:nowrap}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr));gap:0 28px;
margin:0 0 14px}
.facts div{display:flex;justify-content:space-between;gap:14px;padding:7px 0;
border-bottom:1px solid var(--line);font-size:13.5px}
.facts dt{color:var(--muted)}
.facts dd{margin:0;text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
code{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
@media (max-width:520px){header,main,nav{width:calc(100% - 28px)}
header{padding-top:22px}.checks li{padding-left:0;padding-top:28px}.checks i{top:6px}
.tiles{grid-template-columns:1fr 1fr}section{padding-top:26px}}
@media (max-width:640px){.wide{display:none}.narrow{display:block}}
@media print{nav{display:none}section{break-inside:avoid}}
""".replace("\n", "")
