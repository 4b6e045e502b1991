"""The curated corpus: how it is built from lake tables, and how a later day is added to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from gpr_core.data.as_of import Window
from gpr_core.data.config import CurationConfig
from gpr_core.data.curation import canonical_tables
from gpr_core.data.days import day_start_ms
from gpr_core.data.decisions import build_decisions
from gpr_core.data.engine import Engine
from gpr_core.features.buckets import Buckets, fit_buckets
from gpr_core.features.timeline import build_timelines
from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.files import read_json, write_json

CONFIG_FILE = "curation.json"
THOUGHTS_FILE = "thoughts.json"
BUCKETS_FILE = "buckets.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CuratedDays:
    """Curated tables of a window.

    Attributes:
        window: What they cover.
        canonical: Lake tables, cleaned.
        buckets: Edges behind the token fields.
        timelines: `TIMELINE_SCHEMA`.
        decisions: `DECISIONS_SCHEMA`, users with few requests included.
    """

    window: Window
    canonical: Mapping[str, pa.Table]
    buckets: Buckets
    timelines: pa.Table
    decisions: pa.Table


def first_landing_days(config: CurationConfig, day: date, lake_first: date) -> dict[str, date]:
    """Say from which landing day on each lake table is needed.

    Args:
        config: Curation parameters.
        day: Last day of the window.
        lake_first: First day of the lake.

    Returns:
        Table name -> first day. Ads, users, content and their versions are read from the
        beginning; requests and impressions reach back one attribution time before the window, so
        that each outcome in the window finds its exposure. Thoughts only where somebody thinks.
    """
    start = max(lake_first, day - timedelta(days=config.window_days - 1))
    earlier = max(lake_first, start - timedelta(days=config.attribution_days))
    before_that = max(lake_first, earlier - timedelta(days=1))
    whole = dict.fromkeys(("users", "ads", "ad_versions", "content", "embeddings"), lake_first)
    said = {} if config.thoughts.provider == "none" else {"thoughts": start}
    return {
        **whole,
        **said,
        "user_stats_daily": earlier,
        "requests": before_that,
        "impressions": earlier,
        "ad_events": start,
        "organic_events": start,
    }


def curate_days(
    tables: Mapping[str, pa.Table],
    config: CurationConfig,
    day: date,
    *,
    engine: Engine,
    buckets: Buckets | None = None,
) -> CuratedDays:
    """Curate the window that ends with a day.

    Args:
        tables: Lake tables from `first_landing_days` to `day`.
        config: Curation parameters.
        day: Last day of the window.
        engine: Where to compute.
        buckets: Edges fitted earlier; None fits them on this window.

    Returns:
        The curated tables.

    Raises:
        LeakageError: If a row landed after the day.
        ContractError: If a table is missing, or there is no impression to fit buckets on.
    """
    window = Window.ending(day, config.window_days)
    canonical = canonical_tables(
        tables, window, cell_min_users=config.cell_min_users, engine=engine
    )
    if buckets is None:
        buckets = fit_buckets(
            canonical["impressions"]["price_micros"].to_numpy(),
            canonical["organic_events"]["dwell_ms"].to_numpy(),
            num_price=config.num_price_buckets,
            num_dwell=config.num_dwell_buckets,
        )
    return CuratedDays(
        window=window,
        canonical=canonical,
        buckets=buckets,
        timelines=build_timelines(
            canonical, buckets, window, session_gap_min=config.session_gap_min, engine=engine
        ),
        decisions=build_decisions(
            canonical, window, attribution_days=config.attribution_days, engine=engine
        ),
    )


def curate_later_day(
    corpus: Path, tables: Mapping[str, pa.Table], day: date, *, engine: Engine
) -> CuratedDays:
    """Curate a window that ends after the corpus, with what was fitted on the corpus.

    For evaluation on the day after training: timelines reach through that day, decisions are of
    that day alone.

    Args:
        corpus: Folder of the corpus artifact.
        tables: Lake tables from `first_landing_days` to `day`.
        day: Last day of the window.
        engine: Where to compute.

    Returns:
        The curated tables; `decisions` only of `day`.

    Raises:
        LeakageError: If a row landed after the day.
        ContractError: If a table is missing.
    """
    config = corpus_config(corpus)
    buckets = Buckets.load(corpus / BUCKETS_FILE)
    curated = curate_days(tables, config, day, engine=engine, buckets=buckets)
    is_of_day = curated.decisions["ts"].to_numpy() >= day_start_ms(day)
    return CuratedDays(
        window=curated.window,
        canonical=curated.canonical,
        buckets=buckets,
        timelines=curated.timelines,
        decisions=curated.decisions.filter(pa.array(is_of_day)).combine_chunks(),
    )


def save_corpus_config(corpus: Path, config: CurationConfig) -> None:
    """Write the parameters, so that a later day is curated alike.

    Those of external knowledge stand in a file of their own: a server needs them, and a corpus
    without it has no trace of it.

    Args:
        corpus: Folder of the corpus artifact.
        config: Parameters.
    """
    values = to_mapping(config)
    thoughts = values.pop("thoughts")
    write_json(corpus / CONFIG_FILE, values)
    if config.thoughts.provider != "none":
        write_json(corpus / THOUGHTS_FILE, thoughts)


def corpus_config(corpus: Path) -> CurationConfig:
    """Read the parameters a corpus was curated with.

    Args:
        corpus: Folder of the corpus artifact.

    Returns:
        Its parameters.

    Raises:
        ConfigError: If a file does not fit this version of the code.
    """
    path, said = corpus / CONFIG_FILE, corpus / THOUGHTS_FILE
    thoughts = {"thoughts": read_json(said)} if said.exists() else {}
    return load_section(CurationConfig, read_json(path) | thoughts, where=str(path))
