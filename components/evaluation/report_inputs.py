"""What the report shows of earlier steps, read from their artifacts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.data.days import day_of_ms
from gpr_core.data.sources.movielens import SOURCE as MOVIELENS
from gpr_core.data.sources.movielens import SYNTHETIC_COLUMNS
from gpr_core.data.tables import Action
from gpr_core.evaluation.next_day import NextDay
from gpr_core.evaluation.report import Curve, GateRow
from gpr_core.features.thoughts import read_thoughts
from gpr_core.knowledge.cache import count_providers
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_file, hash_value

_STAGES = {
    "mtp_checkpoint": "MTP pre-training",
    "vaft_checkpoint": "VAFT",
    "hepo_checkpoint": "HEPO",
}
_NOT_DRAWN = (
    "learning_rate",
    "gradient_norm",
    "iteration",
    "epoch",
    "updates",
    "stopped",
    "step_share",
    "legal_share",
    "critic_r2_before",
)
_LABELS = {"kl": "KL divergence", "critic_r2": "critic R2", "clip_share": "clipped share"}
_SMOOTHING = 15


def training_curves(inputs: Mapping[str, Path]) -> list[Curve]:
    """Read the curves of all checkpoints.

    Args:
        inputs: Artifact name -> folder.

    Returns:
        One entry per stage: the losses of all heads in one chart, every other number that is
        neither a rate nor a weight of a head in its own.
    """
    curves = []
    for artifact, label in _STAGES.items():
        rows = pq.read_table(inputs[artifact] / "curve.parquet")
        if rows.num_rows:
            updates = rows["update"].to_numpy().astype(np.float64).tolist()
            curves.append(Curve(label=label, updates=updates, charts=_charts(rows)))
    return curves


def gate_rows(inputs: Mapping[str, Path]) -> list[GateRow]:
    """Read the gates that the inputs passed.

    Args:
        inputs: Artifact name -> folder.

    Returns:
        One row per gate; artifacts of one step share theirs.
    """
    rows: dict[tuple[str, str], GateRow] = {}
    for folder in inputs.values():
        report = read_json(folder / "gate_report.json")
        for gate in report["gates"]:
            rows[report["step"], gate["name"]] = GateRow(
                step=report["step"],
                name=gate["name"],
                demand=gate["demand"],
                passed=gate["passed"],
                value=gate["value"],
                bound=gate["bound"],
            )
    return list(rows.values())


def lineage_rows(inputs: Mapping[str, Path]) -> list[tuple[str, str, str]]:
    """List the hashes that identify the inputs and what made them.

    Args:
        inputs: Artifact name -> folder.

    Returns:
        (artifact, what, sha256).
    """
    rows = []
    for name, folder in inputs.items():
        origin: dict[str, Any] = read_json(folder / "manifest.json")["origin"]
        rows.append((name, "manifest", hash_file(folder / "manifest.json")))
        rows.append((name, "code", str(origin["code"])))
        rows.append((name, "parameters", hash_value(origin["params"])))
    return rows


def data_facts(corpus: Path, day: NextDay) -> list[tuple[str, str]]:
    """Say what was trained and evaluated on.

    Args:
        corpus: Folder of the corpus.
        day: The evaluation day.

    Returns:
        (name, value) pairs.
    """
    split = read_json(corpus / "split.json")
    rows: dict[str, int] = split["rows"]
    action_B = day.column("action")
    window = f"{day_of_ms(split['t0'])} .. {day_of_ms(split['t1'] - 1)}"
    return [
        ("training window", window),
        ("training decisions", f"{rows['decisions']:,}"),
        ("training tokens", f"{rows['timelines']:,}"),
        ("requests evaluated", f"{day.requests.num_rows:,}"),
        ("users evaluated", f"{np.unique(day.column('user_key')).size:,}"),
        ("clicks among them", f"{int((action_B >= Action.CLICK).sum()):,}"),
        ("ads in the catalog", f"{day.catalog.catalog.trie.num_ads:,}"),
        ("items first seen that day", f"{day.catalog.num_new:,}"),
        ("eligible ads per request", f"{day.eligible_BA.sum(axis=1).mean():,.0f}"),
        ("shown ad eligible", f"{day.truth_eligible().mean():.2%}"),
        ("shown ad new to the user", f"{day.is_new_B.mean():.1%}"),
    ]


def knowledge_remark(corpus: Path, thoughts: pa.Table | None) -> list[str]:
    """Say who wrote the external knowledge, beside the results that may owe something to it (T39).

    Args:
        corpus: Folder of the corpus.
        thoughts: External knowledge of the evaluation day; None where nobody asked for it.

    Returns:
        One sentence; none where nobody asked for it.
    """
    trained = read_thoughts(corpus)
    if trained is None or thoughts is None:
        return []
    written = f"External knowledge was written by {_authors(trained)} in the training window"
    return [f"{written} and by {_authors(thoughts)} on the evaluation day."]


def made_up_columns(source: str) -> list[str]:
    """Say which values of a source are made up.

    Args:
        source: Source of the lake.

    Returns:
        Sentences, for public data one per table; empty for a source of real logs.
    """
    if source == "world":
        return ["Everything: users, ads and outcomes come from a synthetic world of known truth."]
    if source != MOVIELENS:
        return []
    columns: dict[str, list[str]] = {}
    for name in SYNTHETIC_COLUMNS:
        table, column = name.split(".")
        columns.setdefault(table, []).append(column)
    return [f"{table}: {', '.join(names)}" for table, names in columns.items()]


def _authors(thoughts: pa.Table) -> str:
    """List who wrote how many thoughts."""
    counts = count_providers(thoughts)
    return " and ".join(f"{name} ({count:,})" for name, count in counts.items()) or "nobody"


def _charts(rows: pa.Table) -> dict[str, dict[str, list[float]]]:
    """Choose what to draw, smoothed over a few updates."""
    heads = [name for name in rows.column_names if name.startswith("nll_head_")]
    others = [
        name
        for name in rows.column_names
        if name != "update" and name not in heads and not name.startswith("weight_head_")
    ]
    charts = {}
    if heads:
        charts["negative log-likelihood"] = {
            name.removeprefix("nll_").replace("_", " "): _smooth(rows, name) for name in heads
        }
    for name in others:
        if name not in _NOT_DRAWN:
            charts[_LABELS.get(name, name.replace("_", " "))] = {name: _smooth(rows, name)}
    return charts


def _smooth(rows: pa.Table, name: str) -> list[float]:
    """Average each value with those shortly before it; a gap stays a gap."""
    value = np.asarray(rows[name].to_numpy(zero_copy_only=False), dtype=np.float64)
    known = np.isfinite(value)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, value, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    end = np.arange(1, value.size + 1)
    start = np.maximum(end - _SMOOTHING, 0) if value.size > _SMOOTHING * 4 else end - 1
    size = count[end] - count[start]
    mean = np.full(value.size, np.nan)
    np.divide(total[end] - total[start], size, out=mean, where=(size > 0) & known)
    return [float(number) for number in mean]
