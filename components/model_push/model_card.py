"""The model card: what a version is, how good it is, and what it must not be used for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpr_core.support.files import read_json

_SHOWN_METRICS = ("HR_ad@10", "HR_ad@100", "no_repeat_HR_ad@10", "ndcg", "opr", "final_value_mean")


def model_card(
    version: str, day: str, bundle: Path, metrics: Mapping[str, Mapping[str, Any]]
) -> str:
    """Write the card of one version.

    Args:
        version: Name of the version.
        day: Training day, ISO.
        bundle: Folder with policy, statistics and verdict.
        metrics: Flat name `<method>/<metric>` -> value, ci_low, ci_high, n.

    Returns:
        Markdown.
    """
    verdict = read_json(bundle / "verdict.json")
    model = read_json(bundle / "policy" / "config.json")
    split = read_json(bundle / "corpus_stats" / "split.json")
    compared = verdict["champion"] or "no champion (first day)"
    lines = [
        f"# Model card: {version}",
        "",
        "Generative recommender for ads: it reads a user's journey and generates semantic ids of",
        "ads that may serve the request, guided by predicted value.",
        "",
        "## Verdict",
        "",
        f"Promoted: {'yes' if verdict['promote'] else 'no'}; compared with {compared}.",
        "",
        *(f"- {reason}" for reason in verdict["reasons"]),
        "",
        "## Quality on the next day",
        "",
        "| metric | policy | popularity floor |",
        "|---|---|---|",
        *(
            f"| {name} | {_cell(metrics, 'hepo', name)} | {_cell(metrics, 'popularity', name)} |"
            for name in _SHOWN_METRICS
        ),
        "",
        "Brackets: interval of a bootstrap over users. Full report: artifact `evaluation`.",
        "",
        "## Made from",
        "",
        f"- training day {day}; rows that landed before its end",
        *(f"- {key}: {value}" for key, value in sorted(split.items()) if _is_plain(value)),
        f"- codebooks {model['codebook_sizes']}; architecture in `policy/config.json`",
        *_knowledge_lines(bundle, model),
        "- hashes of data, code and parameters in `lineage.json`",
        "",
        "## Use and limits",
        "",
        "- Serve only with the tokenizer and catalog of this folder; codes of another tokenizer",
        "  mean other ads.",
        "- Eligibility and budgets are checked by the server for every request; the model does not",
        "  know them.",
        "- No table of users and no user id is inside; a user is known by the journey in the",
        "  request only.",
        "- Judged on one day of one market; a drift of users or ads is not covered.",
        "",
    ]
    return "\n".join(lines)


def _knowledge_lines(bundle: Path, model: Mapping[str, Any]) -> list[str]:
    """Say who wrote the external knowledge that the model reads."""
    if not model["model"]["knowledge_vectors"]:
        return []
    counts = read_json(bundle / "lineage.json")["corpus"].get("providers", {})
    authors = " and ".join(f"{name} ({count:,})" for name, count in sorted(counts.items()))
    settings = "a server makes it at the start of each day as `corpus_stats/thoughts.json` says"
    return [f"- external knowledge by {authors or 'nobody'}; {settings}"]


def _cell(metrics: Mapping[str, Mapping[str, Any]], method: str, name: str) -> str:
    """Write one metric with its interval."""
    found = metrics.get(f"{method}/{name}")
    if found is None:
        return "not measured"
    return f"{found['value']:.4f} [{found['ci_low']:.4f}, {found['ci_high']:.4f}]"


def _is_plain(value: object) -> bool:
    """Tell values that fit one line."""
    return isinstance(value, str | int | float)
