"""A picture of one decode as inline SVG: a column per level, prefixes by what became of them.

No script, colors of the page, equal bytes for equal decodes.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from gpr_core.evaluation.codebook_charts import fitted_label
from gpr_core.evaluation.decode_view import DecodeView, LevelView, PrefixRow
from gpr_core.generation.explanation import Fate

_TEXT_PX, _HEADER_PX, _HEADING_PX, _BOX_PX, _GAP = 11.0, 22.0, 18.0, 18.0, 3.0
_NUMBER_PX, _LEAST_PX_FOR_NUMBERS = 48.0, 150.0
_BASELINE = 13.0
_COLORS = {
    Fate.KEPT: "var(--series-1)",
    Fate.KEPT_BY_VALUE: "var(--series-3)",
    Fate.CUT_BY_VALUE: "var(--series-2)",
    Fate.CUT_BY_SCORE: "var(--muted)",
    Fate.NO_ELIGIBLE_AD: "var(--series-6)",
}
_KEPT = (Fate.KEPT, Fate.KEPT_BY_VALUE)


class _Box(NamedTuple):
    """Where a prefix is drawn."""

    x: float
    y: float
    row: PrefixRow


class _Column(NamedTuple):
    """One level, drawn."""

    svg: str
    boxes: Sequence[_Box]
    bottom: float


def decode_tree(
    view: DecodeView, *, width: float, gap: float, rows: Mapping[Fate, int], description: str
) -> str:
    """Draw the prefixes of every level under the name and the number of their fate.

    Args:
        view: The decode.
        width: Width of the drawing in pixels; it scales with its column.
        gap: Room between two levels, for the lines from parents to children.
        rows: Fate -> prefixes drawn per level at most.
        description: What it shows, for people who do not see it.

    Returns:
        An `<svg>` element. Kept prefixes are filled, cut ones have a broken border; a line leads
        from a prefix to its parent where that is drawn too. Tooltips give the numbers.
    """
    num_levels = len(view.levels)
    box_width = (width - gap * (num_levels - 1)) / num_levels
    columns = [
        _column(level, place * (box_width + gap), box_width, rows)
        for place, level in enumerate(view.levels)
    ]
    lines = "".join(
        _lines(before.boxes, after.boxes, box_width) for before, after in pairwise(columns)
    )
    height = max(column.bottom for column in columns)
    return (
        f'<svg role="img" aria-label="{escape(description)}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" style="width:100%" '
        f'font-family="sans-serif" font-size="{_TEXT_PX:.0f}" fill="var(--ink)">'
        f"{lines}{''.join(column.svg for column in columns)}</svg>"
    )


def _column(level: LevelView, x: float, width: float, limits: Mapping[Fate, int]) -> _Column:
    """Draw one level from top to bottom."""
    parts = [_text(f"Level {level.level + 1}", x, 0.0, weight=600)]
    boxes: list[_Box] = []
    y = _HEADER_PX
    for fate, count in level.counts.items():
        if not count:
            continue
        parts.append(_heading(fate, count, x, y))
        y += _HEADING_PX
        mine = [row for row in level.rows if row.fate is fate][: limits[fate]]
        for row in mine:
            boxes.append(_Box(x, y, row))
            parts.append(_box(boxes[-1], width))
            y += _BOX_PX + _GAP
        if count > len(mine):
            parts.append(_text(f"+ {count - len(mine):,} more", x + 4, y, color="var(--muted)"))
            y += _HEADING_PX
        y += 2 * _GAP
    return _Column("".join(parts), boxes, y)


def _heading(fate: Fate, count: int, x: float, y: float) -> str:
    """Name a fate, with a patch of its color."""
    patch = (
        f'<rect x="{x:.1f}" y="{y + 4:.1f}" width="9" height="9" rx="2" fill="{_COLORS[fate]}"/>'
    )
    return patch + _text(f"{fate} {count:,}", x + 10, y)


def _box(box: _Box, width: float) -> str:
    """Draw a prefix: its label, and at the right its probability or the number of its ads."""
    row, color = box.row, _COLORS[box.row.fate]
    is_kept = row.fate in _KEPT
    look = f'fill="{color}" fill-opacity="{0.22 if is_kept else 0.0}" stroke="{color}"'
    border = 'stroke-opacity="0.6"' if is_kept else 'stroke-dasharray="3 2" stroke-opacity="0.8"'
    frame = (
        f'<rect x="{box.x + 0.5:.1f}" y="{box.y:.1f}" width="{width - 1:.1f}" '
        f'height="{_BOX_PX:.0f}" rx="3" {look} {border}/>'
    )
    has_number = width >= _LEAST_PX_FOR_NUMBERS
    room = width - 10 - (_NUMBER_PX if has_number else 0)
    label = fitted_label(row.label, room / _TEXT_PX) or fitted_label(row.name(), room / _TEXT_PX)
    number = ""
    if has_number:
        ads, _, _, probability, *_ = row.numbers()
        text = probability if row.num_eligible else f"{ads} ads"
        number = _text(text, box.x + width - 9, box.y, color="var(--muted)", anchor="end")
    return (
        f"<g><title>{escape(_tooltip(row))}</title>{frame}{_text(label, box.x, box.y)}{number}</g>"
    )


def _lines(parents: Sequence[_Box], children: Sequence[_Box], width: float) -> str:
    """Lead from parents to those of their children that are drawn."""
    by_codes = {box.row.codes: box for box in parents}
    lines = []
    for child in children:
        parent = by_codes.get(child.row.codes[:-1])
        if parent is not None:
            left, right = parent.x + width, child.x
            top, end = parent.y + _BOX_PX / 2, child.y + _BOX_PX / 2
            middle = (left + right) / 2
            lines.append(
                f'<path d="M{left:.1f} {top:.1f}C{middle:.1f} {top:.1f} {middle:.1f} {end:.1f} '
                f'{right:.1f} {end:.1f}" fill="none" stroke="{_COLORS[child.row.fate]}" '
                'stroke-opacity="0.55"/>'
            )
    return "".join(lines)


def _text(
    text: str,
    x: float,
    y: float,
    *,
    color: str = "var(--ink)",
    weight: int = 400,
    anchor: str = "start",
) -> str:
    """Write a line of text below a height."""
    bold = ' font-weight="600"' if weight > 400 else ""
    place = f'x="{x + 5:.1f}" y="{y + _BASELINE:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{color}"{bold}>{escape(text)}</text>'


def _tooltip(row: PrefixRow) -> str:
    """Say all about a prefix."""
    ads, eligible, head, probability, value, score = row.numbers()
    what = f"{row.name()}: {row.label} - {row.fate}, {eligible} of {ads} ads eligible"
    if not row.num_eligible:
        return what
    return f"{what}, head {head}, probability {probability}, value {value}, score {score}"
