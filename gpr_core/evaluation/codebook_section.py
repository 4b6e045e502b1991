"""The section of the report about the codebooks: measures, use of the codes, what stands where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gpr_core.evaluation import page
from gpr_core.evaluation.charts import usage_chart
from gpr_core.evaluation.codebook_charts import Code, tree_map
from gpr_core.evaluation.page import Cell

_WIDE_PX, _NARROW_PX = (920.0, 520.0), (330.0, 560.0)
_NARROW_CODES = 16
_TITLE_LETTERS = 80


class Measure(NamedTuple):
    """One measure of a codebook, or of one of its levels.

    Attributes:
        label: What it is.
        meaning: One sentence for the tooltip.
        ours: Value of the day's tokenizer, as text.
        reference: Value of RQ-KMeans on the same items, as text.
    """

    label: str
    meaning: str
    ours: str
    reference: str


class LeafRow(NamedTuple):
    """One of the largest leaves.

    Attributes:
        path: Codes, joined.
        num_items: Items with this path.
        num_ads: Ads among them.
        mean_cosine: Mean cosine of their pairs, as text.
        categories: Dominant categories with their shares.
        titles: Some titles.
    """

    path: str
    num_items: int
    num_ads: int
    mean_cosine: str
    categories: Sequence[str]
    titles: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodebookView:
    """What the section shows.

    Attributes:
        facts: (name, value) pairs.
        measures: Measures of whole paths.
        levels: One list per level, the same measures in the same order.
        counts: One list per level: items per code.
        tree: Largest codes of the first level, with their largest codes of the second.
        leaves: The largest leaves.
    """

    facts: Sequence[tuple[str, str]]
    measures: Sequence[Measure]
    levels: Sequence[Sequence[Measure]]
    counts: Sequence[Sequence[int]]
    tree: Sequence[Code]
    leaves: Sequence[LeafRow]


def codebook_section(view: CodebookView) -> str:
    """Write the section.

    Args:
        view: What to show.

    Returns:
        HTML.
    """
    parts = [
        page.facts(view.facts),
        _measure_table(view.measures),
        page.subheading("Use of the codes"),
        _level_table(view.levels),
        page.figures(
            [
                usage_chart(
                    f"Level {level}: {sum(value > 0 for value in counts)} of {len(counts)} codes",
                    counts,
                    name=f"u{level}",
                )
                for level, counts in enumerate(view.counts, start=1)
            ]
        ),
        page.subheading("What stands where"),
        _tree(view),
        page.subheading("Largest leaves"),
        _leaf_table(view.leaves),
    ]
    lead = (
        "All items, ads and content. Words are those that titles below a code use most beyond the "
        "titles beside it; titles are for people and reach no model."
    )
    return page.section("codebooks", "Codebooks", *parts, lead=lead)


def _measure_table(measures: Sequence[Measure]) -> str:
    """Compare whole paths with those of RQ-KMeans, one row per measure."""
    header = [Cell("measure"), Cell("this tokenizer", is_number=True)]
    header += [Cell("RQ-KMeans", "fitted on the same items", is_number=True)]
    rows = [
        [
            Cell(measure.label, measure.meaning),
            Cell(measure.ours, is_number=True),
            Cell(measure.reference, tone="muted", is_number=True),
        ]
        for measure in measures
    ]
    return page.table(header, rows)


def _level_table(levels: Sequence[Sequence[Measure]]) -> str:
    """One row per level; RQ-KMeans stands below each value."""
    header = [Cell("level", "below each value: RQ-KMeans on the same items")]
    header += [Cell(measure.label, measure.meaning, is_number=True) for measure in levels[0]]
    rows = [
        [
            Cell(f"level {level}", "RQ-KMeans"),
            *(Cell(measure.ours, measure.reference, is_number=True) for measure in measures),
        ]
        for level, measures in enumerate(levels, start=1)
    ]
    return page.table(header, rows)


def _tree(view: CodebookView) -> str:
    """Draw the tree map twice: a phone has room for fewer codes."""
    few = view.tree[:_NARROW_CODES]
    description = "Tree map of first-level codes, second-level codes inside"
    wide, narrow = (
        tree_map(codes, width=width, height=height, description=description)
        for codes, (width, height) in ((view.tree, _WIDE_PX), (few, _NARROW_PX))
    )
    num_items, num_codes = sum(view.counts[0]), sum(count > 0 for count in view.counts[0])
    shown = sum(code.num_items for code in view.tree) / num_items
    caption = (
        f"The {len(view.tree)} largest of {num_codes} used first-level codes, with {shown:.0%} of "
        f"the items; on a narrow screen the {len(few)} largest. The area of a box is the number of "
        "its items, inner boxes are second-level codes. Plain ground inside a box: smaller codes. "
        "Colors mean nothing."
    )
    return page.wide_figure(wide, narrow, caption)


def _leaf_table(leaves: Sequence[LeafRow]) -> str:
    """List the leaves that most items share."""
    header = [
        Cell("path", "codes of all levels"),
        Cell("titles", "the most frequent first"),
        Cell("items", is_number=True),
        Cell("ads", is_number=True),
        Cell("cosine", "mean over the pairs of its items, by their vectors", is_number=True),
        Cell("categories", "named by the words of their titles"),
    ]
    rows = []
    for leaf in leaves:
        titles = [_cut(title) for title in leaf.titles] or ["-"]
        categories = list(leaf.categories) or ["-"]
        rows.append(
            [
                Cell(leaf.path, tone="code"),
                Cell(titles[0], "; ".join(titles[1:]), tone="text"),
                Cell(f"{leaf.num_items:,}", is_number=True),
                Cell(f"{leaf.num_ads:,}", is_number=True),
                Cell(leaf.mean_cosine, is_number=True),
                Cell(categories[0], "; ".join(categories[1:])),
            ]
        )
    return page.table(header, rows)


def _cut(title: str) -> str:
    """Shorten a long title."""
    if len(title) <= _TITLE_LETTERS:
        return title
    return title[: _TITLE_LETTERS - 1].rstrip() + "\u2026"
