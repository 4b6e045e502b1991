"""The step `corpus_curation`: read the lake up to the training day, check it, write the corpus."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.corpus_curation.gates import measure_gates
from components.runtime.context import StepContext, StepResult
from components.runtime.lake_inputs import first_lake_day, read_checked
from components.runtime.model_store import ModelStore
from components.runtime.thoughts import collect_thoughts, provider_metrics
from gpr_core.data.config import CurationConfig
from gpr_core.data.days import day_start_ms
from gpr_core.data.decisions import drop_rare_users
from gpr_core.data.engine import Engine
from gpr_core.data.fusion import FusionStats
from gpr_core.data.item_sample import ItemSample, build_item_sample
from gpr_core.data.splits import Split
from gpr_core.data.tables import DAY_MS, Action, TokenKind
from gpr_core.features.corpus import (
    BUCKETS_FILE,
    CuratedDays,
    curate_days,
    first_landing_days,
    save_corpus_config,
)
from gpr_core.knowledge.cache import count_providers
from gpr_core.objectives.value_weights import (
    LoggedValue,
    ValueWeightConstants,
    ValueWeightRule,
    clipped_share,
    fit_value_weights,
    raw_value,
    value_weights,
)
from gpr_core.support.files import write_json, write_text

PARAMS = CurationConfig

VALUE_WEIGHTS_SCHEMA = pa.schema(
    [
        pa.field("request_key", pa.uint64(), nullable=False),
        pa.field("action", pa.int8(), nullable=False),
        pa.field("raw", pa.float64(), nullable=False),
        pa.field("omega", pa.float32(), nullable=False),
    ]
)

STATS_FILE = "embedding_stats.json"

_WRITTEN_TABLES = ("users", "user_stats_daily", "ads", "ad_versions", "content")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Everything that goes into the artifact.

    Attributes:
        tables: File stem -> rows.
        items: Vectors, clusters and splits of the items.
        constants: Fitted constants of the value weights.
        clipped: Share of value weights at which the clip binds.
    """

    tables: dict[str, pa.Table]
    items: ItemSample
    constants: ValueWeightConstants
    clipped: float


def run(context: StepContext[CurationConfig]) -> StepResult:
    """Curate the corpus of one training day.

    Args:
        context: The step; reads the lake, writes the artifact `corpus`.

    Returns:
        Counts and shares, and one result for each gate.

    Raises:
        ArtifactError: If the lake does not reach the training day or is corrupt, or the champion
            is missing or damaged.
        ContractError: If a lake table breaks its contract.
        LeakageError: If a row from after the cutoff is found.
    """
    config = context.params
    first_days = first_landing_days(config, context.day, first_lake_day(context))
    context.progress.phase("reading the lake and checking its contracts")
    tables = read_checked(context, first_days, context.day)
    context.progress.phase("curating tables, timelines and decisions")
    with Engine(context.threads) as engine:
        curated = curate_days(tables, config, context.day, engine=engine)
    thoughts = _thoughts(context, curated, tables)
    context.progress.phase("clustering near duplicates, splitting and weighing")
    kept = _champion_stats(context)
    corpus = make_corpus(curated, config, seed=context.seed, kept=kept, thoughts=thoughts)
    context.progress.phase("writing")
    folder = context.outputs["corpus"]
    write_corpus(folder, corpus, curated, config)
    write_json(folder / "split.json", _describe(corpus, curated, context))
    write_text(context.plots / "days.csv", _days_csv(corpus.tables["decisions"]))
    gates = measure_gates(corpus.tables, curated.window, corpus.items, config)
    if thoughts is None:
        return StepResult(metrics=_metrics(corpus), gates=gates)
    metrics = _metrics(corpus) | provider_metrics(thoughts)
    return StepResult(metrics=metrics, gates=gates, providers=count_providers(thoughts))


def make_corpus(
    curated: CuratedDays,
    config: CurationConfig,
    *,
    seed: int,
    kept: FusionStats | None = None,
    thoughts: pa.Table | None = None,
) -> Corpus:
    """Add what is fitted on the training window.

    Args:
        curated: Curated tables of the window.
        config: Parameters.
        seed: Run seed.
        kept: Embedding statistics of codebooks that are kept; None fits new ones.
        thoughts: External knowledge; None where nobody asked for it.

    Returns:
        All tables and fitted values of the artifact.
    """
    decisions = drop_rare_users(curated.decisions, config.min_requests)
    logged = _logged_value(decisions)
    rule = ValueWeightRule(
        action_weights=config.value_action_weights,
        clip_low=config.value_clip[0],
        clip_high=config.value_clip[1],
        min_p_ctr=config.min_p_ctr,
        min_p_cvr=config.min_p_cvr,
    )
    constants = fit_value_weights(logged, rule)
    omega = value_weights(logged, constants).astype(np.float32)
    items = build_item_sample(curated.canonical, config, seed=seed, kept=kept)
    weights = [decisions["request_key"], decisions["action"], raw_value(logged, rule), omega]
    tables = {name: curated.canonical[name] for name in _WRITTEN_TABLES} | {
        "item_vectors": items.vectors,
        "tokenizer_sample": items.sample,
        "timelines": curated.timelines,
        "decisions": decisions,
        "value_weights": pa.table(weights, VALUE_WEIGHTS_SCHEMA),
    }
    if thoughts is not None:
        tables["thoughts"] = thoughts
    return Corpus(
        tables=tables, items=items, constants=constants, clipped=clipped_share(logged, constants)
    )


def write_corpus(
    folder: Path, corpus: Corpus, curated: CuratedDays, config: CurationConfig
) -> None:
    """Write the files of the artifact, the description of the split aside.

    Args:
        folder: Empty folder.
        corpus: Tables and fitted values.
        curated: Where the buckets are.
        config: Parameters, kept so that a later day is curated alike.
    """
    for name, rows in corpus.tables.items():
        pq.write_table(rows, folder / f"{name}.parquet", compression="zstd")
    curated.buckets.save(folder / BUCKETS_FILE)
    corpus.items.stats.save(folder / STATS_FILE)
    corpus.constants.save(folder / "value_weights.json")
    save_corpus_config(folder, config)


def _thoughts(
    context: StepContext[CurationConfig], curated: CuratedDays, tables: dict[str, pa.Table]
) -> pa.Table | None:
    """Let external knowledge speak about every request that training and simulator read."""
    config = context.params.thoughts
    if config.provider == "none":
        return None
    return collect_thoughts(
        context,
        config,
        curated,
        tables["thoughts"],
        from_ts=curated.window.start_ts,
        # The simulator rehearses requests at the end of the last day.
        also_on=day_start_ms(context.day),
    )


def _champion_stats(context: StepContext[CurationConfig]) -> FusionStats | None:
    """Read the statistics of the codebooks that are kept, every byte verified."""
    if not context.keeps_codebooks:
        return None
    store, version = ModelStore(context.registry), str(context.champion)
    store.verify(version)
    return FusionStats.load(store.path(version) / "tokenizer" / STATS_FILE)


def _logged_value(decisions: pa.Table) -> LoggedValue:
    """Take the columns of Eq 4."""
    names = ("action", "bid_type", "ecpm", "p_ctr", "p_cvr")
    return LoggedValue(*(decisions[name].to_numpy() for name in names))


def _describe(
    corpus: Corpus, curated: CuratedDays, context: StepContext[CurationConfig]
) -> dict[str, Any]:
    """Describe what the corpus covers."""
    timelines, decisions = corpus.tables["timelines"], corpus.tables["decisions"]
    return {
        "day": context.day.isoformat(),
        "t0": curated.window.start_ts,
        "t1": curated.window.cutoff_ts,
        "zone": "UTC",
        "rows": {name: rows.num_rows for name, rows in corpus.tables.items()},
        "users": pc.count_distinct(decisions["user_key"]).as_py(),
        "max_ts": pc.max(timelines["ts"]).as_py(),
        "max_ingest_ts": pc.max(timelines["ingest_ts"]).as_py(),
        "max_decision_ts": pc.max(decisions["ts"]).as_py(),
        "dropped_decisions": curated.decisions.num_rows - decisions.num_rows,
    }


def _metrics(corpus: Corpus) -> dict[str, float]:
    """Count what matters for judging a corpus at a glance."""
    decisions, sample = corpus.tables["decisions"], corpus.tables["tokenizer_sample"]
    action = decisions["action"].to_numpy()
    kind = corpus.tables["timelines"]["kind"].to_numpy()
    omega = corpus.tables["value_weights"]["omega"].to_numpy()
    split = sample["split"].to_numpy()
    numbers: dict[str, float] = {
        "num_ads": corpus.tables["ads"].num_rows,
        "num_content": corpus.tables["content"].num_rows,
        "num_tokens": kind.size,
        "num_decisions": decisions.num_rows,
        "num_clusters": pc.count_distinct(sample["cluster"]).as_py(),
        "click_rate": float((action >= Action.CLICK).mean()),
        "conversion_rate": float((action == Action.CONVERSION).mean()),
        "duplicate_share": 1.0 - float(sample["is_canonical"].to_numpy().mean()),
        "max_cross_split_cosine": corpus.items.max_cross_cosine,
        "value_weight_clipped_share": corpus.clipped,
    }
    for level in (Action.IMPRESSION, Action.CLICK, Action.CONVERSION):
        if (action == level).any():
            mean = float(omega[action == level].mean(dtype=np.float64))
            numbers[f"value_weight_{level.name.lower()}"] = mean
    for token_kind in (TokenKind.USER, TokenKind.ORGANIC, TokenKind.ENVIRONMENT, TokenKind.ITEM):
        numbers[f"token_share_{token_kind.name.lower()}"] = float((kind == token_kind).mean())
    for part in Split:
        numbers[f"items_{part.name.lower()}"] = int((split == part).sum())
    return numbers


def _days_csv(decisions: pa.Table) -> str:
    """Count decisions and outcomes per day, for a plot."""
    day = decisions["ts"].to_numpy() // DAY_MS
    action = decisions["action"].to_numpy()
    days, inverse = np.unique(day, return_inverse=True)
    columns = (
        np.datetime_as_string(days.astype("datetime64[D]")),
        np.bincount(inverse),
        np.bincount(inverse, weights=action >= Action.CLICK).astype(int),
        np.bincount(inverse, weights=action == Action.CONVERSION).astype(int),
    )
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join(["day,decisions,clicks,conversions", *rows]) + "\n"
