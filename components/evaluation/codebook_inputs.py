"""What the report shows of the codebooks, read from the artifact `tokenizer`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpr_core.evaluation.codebook_charts import Code
from gpr_core.evaluation.codebook_section import CodebookView, LeafRow, Measure
from gpr_core.support.files import read_json

_PATH_MEASURES = (
    ("collision", "collision", "share of items whose path another item has too", ".1%"),
    ("excess", "excess", "1 - paths / items", ".1%"),
    ("pas_macro", "PAS macro", "mean cosine of the items of one path, mean over paths", ".4f"),
    ("pas_pair", "PAS pair", "mean cosine over all pairs of items of one path", ".4f"),
    ("reconstruction_mse", "reconstruction error", "mean squared distance", ".4f"),
)
_LEVEL_MEASURES = (
    ("usage", "used", "share of codes that some item has", ".1%"),
    ("dead_codes", "dead codes", "codes that no item has", ",d"),
    ("perplexity", "perplexity", "exp(entropy of the codes) / codes, 1 for even use", ".3f"),
    ("gini", "Gini", "Gini coefficient of items per code, 0 for even use", ".3f"),
)

_Quality = Mapping[str, Any]


def codebook_view(tokenizer: Path) -> CodebookView:
    """Read what the codebook report says about all items.

    Args:
        tokenizer: Folder of the tokenizer.

    Returns:
        Facts, measures beside those of RQ-KMeans, use of the codes, tree and leaves.
    """
    meta = read_json(tokenizer / "tokenizer.json")
    quality = read_json(tokenizer / "quality.json")
    ours, reference = quality["tokenizer"]["all"], quality["rq_kmeans"]["all"]
    facts = [
        ("tokenizer", str(meta["kind"])),
        ("codes per level", " / ".join(str(size) for size in meta["codebook_sizes"])),
        ("items", f"{ours['num_items']:,}"),
        ("occupied paths", f"{ours['num_paths']:,}"),
    ]
    if quality["business_collision"] is not None:
        facts.append(("business collision of ads", f"{quality['business_collision']:.1%}"))
    return CodebookView(
        facts=facts,
        measures=_path_measures(ours, reference),
        levels=[
            _level_measures(ours, reference, level) for level in range(len(meta["codebook_sizes"]))
        ],
        counts=quality["code_counts"],
        tree=_codes(quality["code_tree"]),
        leaves=[_leaf_row(leaf) for leaf in quality["largest_leaves"]],
    )


def _path_measures(ours: _Quality, reference: _Quality) -> list[Measure]:
    """Compare measures of whole paths."""
    rows = [
        Measure(label, meaning, _number(ours[key], form), _number(reference[key], form))
        for key, label, meaning, form in _PATH_MEASURES
    ]
    labels = {"cat_l1": "category", "cat_l2": "subcategory"}
    return rows + [
        Measure(
            f"pairs of equal {label}",
            f"share of the pairs of items of one path that have one {label}",
            _number(ours["same_label_pair_share"][key], ".1%"),
            _number(reference["same_label_pair_share"][key], ".1%"),
        )
        for key, label in labels.items()
    ]


def _level_measures(ours: _Quality, reference: _Quality, level: int) -> list[Measure]:
    """Compare measures of one level."""
    rows = [
        Measure(
            label, meaning, _number(ours[key][level], form), _number(reference[key][level], form)
        )
        for key, label, meaning, form in _LEVEL_MEASURES
    ]
    agreement = "agreement of the codes with the categories, 1 for equal partitions"
    values = (part["v_measure"]["cat_l1"][level] for part in (ours, reference))
    return [*rows, Measure("V-measure", agreement, *(_number(value, ".3f") for value in values))]


def _number(value: float | None, form: str) -> str:
    """Write a number; a measure without pairs to look at is undefined."""
    return "undefined" if value is None else f"{value:{form}}"


def _codes(nodes: Sequence[Mapping[str, Any]], parent: str = "") -> list[Code]:
    """Read nodes of the tree of codes."""
    return [
        Code(
            name=f"{parent}{node['code']}",
            label=node["label"],
            num_items=node["num_items"],
            num_ads=node["num_ads"],
            children=_codes(node["children"], f"{parent}{node['code']} / "),
        )
        for node in nodes
    ]


def _leaf_row(leaf: Mapping[str, Any]) -> LeafRow:
    """Read one of the largest leaves."""
    return LeafRow(
        path=" / ".join(str(code) for code in leaf["path"]),
        num_items=leaf["num_items"],
        num_ads=leaf["num_ads"],
        mean_cosine=_number(leaf["mean_cosine"], ".3f"),
        categories=[
            f"{part['label'] or part['category']} {part['share']:.0%}"
            for part in leaf["categories"]
        ],
        titles=leaf["titles"],
    )
