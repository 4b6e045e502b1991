"""The section of the report about one decode: what was kept, what was cut, and by what."""

from gpr_core.evaluation import page
from gpr_core.evaluation.decode_chart import decode_tree
from gpr_core.evaluation.decode_view import (
    KEPT_ROWS,
    NUMBERS,
    OTHER_ROWS,
    DecodeView,
    LevelView,
    PrefixRow,
)
from gpr_core.evaluation.page import Cell
from gpr_core.generation.explanation import FATES, MEANINGS, Fate

_WIDE_PX, _WIDE_GAP = 920.0, 44.0
_NARROW_LEVEL_PX, _NARROW_GAP = 104.0, 14.0
_TONES = {Fate.KEPT_BY_VALUE: "good", Fate.CUT_BY_VALUE: "bad"}


def decode_section(view: DecodeView) -> str:
    """Write the section.

    Args:
        view: The decode.

    Returns:
        HTML; empty for a request without an eligible ad.
    """
    if not view.levels:
        return ""
    parts = [_picture(view), _count_table(view)]
    for level in view.levels:
        parts += [page.subheading(level.title()), _prefix_table(level)]
    lead = (
        f"Request {view.request_key}, for which {view.num_eligible:,} of {view.num_ads:,} ads are "
        "eligible, as the policy serves it: of the first requests of the day the one with the "
        f"most different fates. The command gpr explain {view.request_key} prints the same "
        "tables, and those of any other request of that day."
    )
    meanings = [f"{fate}: {MEANINGS[fate]}." for fate in FATES]
    return page.section("decode", "One decode", *parts, page.notes(meanings), lead=lead)


def _picture(view: DecodeView) -> str:
    """Draw the decode twice: a phone has room for fewer prefixes."""
    description = "Prefixes of every level, by what became of them"
    num_levels = len(view.levels)
    narrow_px = num_levels * _NARROW_LEVEL_PX + (num_levels - 1) * _NARROW_GAP
    wide, narrow = (
        decode_tree(
            view,
            width=width,
            gap=gap,
            rows=dict.fromkeys(FATES, OTHER_ROWS // part) | {Fate.KEPT: KEPT_ROWS // part},
            description=description,
        )
        for width, gap, part in ((_WIDE_PX, _WIDE_GAP, 1), (narrow_px, _NARROW_GAP, 2))
    )
    caption = (
        "Each box is a prefix, named by words of the titles below it. Filled: it survived its "
        "level, the best score first. A line leads to the parent where that is drawn too; only "
        "children of prefixes that survived are looked at. Where there is room: the probability, "
        "or the number of ads if none is eligible."
    )
    return page.wide_figure(wide, narrow, caption)


def _count_table(view: DecodeView) -> str:
    """Count the fates of every level."""
    header = [Cell("prefixes")]
    header += [Cell(fate, MEANINGS[fate], is_number=True) for fate in FATES]
    rows = [
        [
            Cell(level.title()),
            *(Cell(f"{count:,}", is_number=True) for count in level.counts.values()),
        ]
        for level in view.levels
    ]
    return page.table(header, rows)


def _prefix_table(level: LevelView) -> str:
    """List the foremost prefixes of a level."""
    header = [Cell("codes"), Cell("titles below"), Cell("fate")]
    header += [Cell(name, meaning, is_number=True) for name, meaning in NUMBERS.items()]
    return page.table(header, [_cells(row) for row in level.rows])


def _cells(row: PrefixRow) -> list[Cell]:
    """Lay a prefix out."""
    return [
        Cell(row.name(), tone="code"),
        Cell(row.label),
        Cell(row.fate, tone=_TONES.get(row.fate, "muted")),
        *(Cell(text, is_number=True) for text in row.numbers()),
    ]
