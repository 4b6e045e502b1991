"""A tree map of codes as inline SVG: no script, colors of the page, equal bytes for equal codes.

Source: the layout is that of M. Bruls, K. Huizing and J. J. van Wijk, Squarified Treemaps, 2000.
"""

import unicodedata
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from gpr_core.support.errors import ConfigError

_NUM_COLORS = 6
_GAP = 1.5
_HEADER_PX, _TEXT_PX = 17.0, 11.0
_MIN_TEXT_WIDTH, _MIN_TEXT_HEIGHT = 26.0, 15.0
_EM_PER_CHARACTER, _EM_PER_WIDE_CHARACTER = 0.57, 1.02
_FEWEST_LETTERS = 3


class Rect(NamedTuple):
    """A rectangle of a picture, in pixels.

    Attributes:
        x: Left side.
        y: Upper side.
        width: Extent to the right.
        height: Extent downward.
    """

    x: float
    y: float
    width: float
    height: float


class Code(NamedTuple):
    """The items below one code.

    Attributes:
        name: Codes from the root, for example `3` or `3 / 17`.
        label: Readable words, may be empty.
        num_items: Items below it, more than zero.
        num_ads: Ads among them.
        children: Its largest codes of the next level, the largest first.
    """

    name: str
    label: str
    num_items: int
    num_ads: int
    children: Sequence["Code"] = ()


def squarify(sizes: Sequence[float], bounds: Rect) -> list[Rect]:
    """Fill a rectangle with one rectangle per size, as square as can be.

    Sizes are laid out in rows along the shorter side of what is left; a row is closed when one
    more rectangle would make its most elongated one worse.

    Args:
        sizes: Positive sizes; the largest first gives the squarest result.
        bounds: The rectangle to fill.

    Returns:
        One rectangle per size, in order; areas are proportional to sizes, nothing overlaps and
        nothing is left free.

    Raises:
        ConfigError: If a size is not positive.

    Example:
        >>> [rect.width for rect in squarify([3, 1], Rect(0, 0, 8, 2))]
        [6.0, 2.0]
    """
    if any(size <= 0 for size in sizes):
        raise ConfigError(
            f"a size is {min(sizes)}, expected positive sizes", fix="leave empty codes out"
        )
    scale = bounds.width * bounds.height / sum(sizes) if sizes else 0.0
    areas = [size * scale for size in sizes]
    rects: list[Rect] = []
    rest = bounds
    while len(rects) < len(areas):
        start, side = len(rects), min(rest.width, rest.height)
        end = start + 1
        while end < len(areas) and (
            _elongation(areas[start : end + 1], side) <= _elongation(areas[start:end], side)
        ):
            end += 1
        row, rest = _lay_row(areas[start:end], rest)
        rects += row
    return rects


def tree_map(codes: Sequence[Code], *, width: float, height: float, description: str) -> str:
    """Draw codes as boxes, the codes of the next level inside; the area is the number of items.

    Args:
        codes: First-level codes, the largest first.
        width: Width of the drawing in pixels; it scales with its column.
        height: Height of the drawing.
        description: What it shows, for people who do not see it.

    Returns:
        An `<svg>` element. A tooltip of each box gives its counts.
    """
    outer = squarify([code.num_items for code in codes], Rect(0, 0, width, height))
    boxes = "".join(
        _box(code, rect, f"var(--series-{1 + place % _NUM_COLORS})")
        for place, (code, rect) in enumerate(zip(codes, outer, strict=True))
    )
    return (
        f'<svg role="img" aria-label="{escape(description)}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" style="width:100%" '
        f'font-family="sans-serif" font-size="{_TEXT_PX:.0f}" fill="var(--ink)">{boxes}</svg>'
    )


def fitted_label(label: str, room_em: float) -> str:
    """Shorten a label to a width: to its first word, else to some letters, else to nothing.

    Args:
        label: Words, joined by commas.
        room_em: Room in units of the size of the letters.

    Returns:
        What fits.

    Example:
        >>> fitted_label("coffee, tea", 4.0)
        'coffee'
    """
    first_word = label.split(",", 1)[0]
    for text in (label, first_word):
        if _width_em(text) <= room_em:
            return text
    letters = len(first_word) - 1
    while letters and _width_em(first_word[:letters]) > room_em - _EM_PER_WIDE_CHARACTER:
        letters -= 1
    return f"{first_word[:letters].rstrip()}\u2026" if letters >= _FEWEST_LETTERS else ""


def _elongation(areas: Sequence[float], side: float) -> float:
    """Give the largest ratio of sides in a row along a side of that length."""
    total = sum(areas)
    return max(side**2 * max(areas) / total**2, total**2 / (side**2 * min(areas)))


def _lay_row(areas: Sequence[float], rest: Rect) -> tuple[list[Rect], Rect]:
    """Lay a row along the shorter side; also give what remains."""
    is_column = rest.width >= rest.height
    side = min(rest.width, rest.height)
    depth = sum(areas) / side
    rects = []
    offset = 0.0
    for area in areas:
        length = area / depth
        rects.append(
            Rect(rest.x, rest.y + offset, depth, length)
            if is_column
            else Rect(rest.x + offset, rest.y, length, depth)
        )
        offset += length
    if is_column:
        return rects, Rect(rest.x + depth, rest.y, rest.width - depth, rest.height)
    return rects, Rect(rest.x, rest.y + depth, rest.width, rest.height - depth)


def _box(code: Code, rect: Rect, color: str) -> str:
    """Draw a first-level code with its children, or only its label if there is no room."""
    inner = _shrunk(rect, _GAP)
    title = _text(code.label or f"code {code.name}", inner, weight=600)
    frame = f"<g><title>{escape(_tooltip(code))}</title>{_filled(inner, color, 0.16)}{title}</g>"
    room = Rect(
        inner.x + _GAP,
        inner.y + _HEADER_PX,
        inner.width - 2 * _GAP,
        inner.height - _HEADER_PX - _GAP,
    )
    if min(room.width, room.height) < _MIN_TEXT_HEIGHT or not code.children:
        return frame
    sizes = [child.num_items for child in code.children]
    rects = squarify(sizes, _first_part(room, sum(sizes) / code.num_items))
    return frame + "".join(
        _child(child, place, color) for child, place in zip(code.children, rects, strict=True)
    )


def _first_part(room: Rect, share: float) -> Rect:
    """Cut a share off along the longer side; the rest stays plain: many codes of few items."""
    if room.width >= room.height:
        return room._replace(width=room.width * share)
    return room._replace(height=room.height * share)


def _child(code: Code, rect: Rect, color: str) -> str:
    """Draw a second-level code."""
    inner = _shrunk(rect, _GAP / 2)
    text = _text(code.label, inner, weight=400)
    return f"<g><title>{escape(_tooltip(code))}</title>{_filled(inner, color, 0.26)}{text}</g>"


def _filled(rect: Rect, color: str, opacity: float) -> str:
    """Draw a rectangle; text on its pale color keeps the contrast of the page."""
    return (
        f'<rect x="{rect.x:.1f}" y="{rect.y:.1f}" width="{rect.width:.1f}" '
        f'height="{rect.height:.1f}" rx="2" fill="{color}" fill-opacity="{opacity}"/>'
    )


def _text(label: str, rect: Rect, *, weight: int) -> str:
    """Write a label into the upper left corner, cut where the rectangle ends."""
    if rect.width < _MIN_TEXT_WIDTH or rect.height < _MIN_TEXT_HEIGHT:
        return ""
    fitted = fitted_label(label, (rect.width - 6) / _TEXT_PX)
    if not fitted:
        return ""
    style = ' font-weight="600"' if weight > 400 else ""
    return f'<text x="{rect.x + 4:.1f}" y="{rect.y + 12:.1f}"{style}>{escape(fitted)}</text>'


def _width_em(text: str) -> float:
    """Estimate how wide a text is drawn."""
    num_wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return num_wide * _EM_PER_WIDE_CHARACTER + (len(text) - num_wide) * _EM_PER_CHARACTER


def _tooltip(code: Code) -> str:
    """Say what a box stands for."""
    words = f": {code.label}" if code.label else ""
    return f"code {code.name}{words} - {code.num_items:,} items, {code.num_ads:,} ads"


def _shrunk(rect: Rect, gap: float) -> Rect:
    """Leave a gap around a rectangle."""
    return Rect(
        rect.x + gap,
        rect.y + gap,
        max(rect.width - 2 * gap, 0.1),
        max(rect.height - 2 * gap, 0.1),
    )
