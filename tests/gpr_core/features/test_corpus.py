from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest

from gpr_core.data.config import CurationConfig, ThoughtsConfig
from gpr_core.data.engine import Engine
from gpr_core.data.item_sample import build_item_sample
from gpr_core.data.tables import DAY_MS, TokenKind
from gpr_core.features.corpus import (
    corpus_config,
    curate_days,
    curate_later_day,
    first_landing_days,
    save_corpus_config,
)
from gpr_core.support.errors import ConfigError
from gpr_core.support.files import read_json, write_json
from tests.lake_rows import DAY_0, make_random_lake, take_landed

CONFIG = CurationConfig(window_days=9, num_price_buckets=4, num_dwell_buckets=4)


def save_corpus(folder, curated):
    """Write what a later day is curated with."""
    save_corpus_config(folder, CONFIG)
    curated.buckets.save(folder / "buckets.json")


def test_entities_are_read_from_the_beginning_and_events_from_the_window_on():
    config = CurationConfig(window_days=10, attribution_days=5)
    first = first_landing_days(config, date(2026, 3, 31), date(2026, 1, 1))
    assert first == {
        "users": date(2026, 1, 1),
        "ads": date(2026, 1, 1),
        "ad_versions": date(2026, 1, 1),
        "content": date(2026, 1, 1),
        "embeddings": date(2026, 1, 1),
        "user_stats_daily": date(2026, 3, 17),
        "requests": date(2026, 3, 16),
        "impressions": date(2026, 3, 17),
        "ad_events": date(2026, 3, 22),
        "organic_events": date(2026, 3, 22),
    }


def test_thoughts_are_read_from_the_window_on_where_somebody_thinks():
    config = CurationConfig(window_days=10, thoughts=ThoughtsConfig(provider="template"))
    first = first_landing_days(config, date(2026, 3, 31), date(2026, 1, 1))
    assert first["thoughts"] == date(2026, 3, 22)


@pytest.mark.parametrize("provider", ["none", "template"])
def test_parameters_survive_the_disk_and_thoughts_off_leave_no_trace(tmp_path, provider):
    config = replace(CONFIG, thoughts=ThoughtsConfig(provider=provider))
    save_corpus_config(tmp_path, config)
    assert corpus_config(tmp_path) == config
    assert "thoughts" not in read_json(tmp_path / "curation.json")
    assert (tmp_path / "thoughts.json").exists() == (provider == "template")


def test_nothing_is_read_from_before_the_lake_began():
    first = first_landing_days(CurationConfig(), date(2026, 1, 3), date(2026, 1, 2))
    assert set(first.values()) == {date(2026, 1, 2)}


def test_a_later_day_is_read_with_the_buckets_of_the_corpus(tmp_path):
    tables = make_random_lake(6, num_days=3)
    with Engine() as engine:
        landed = take_landed(tables, DAY_0 + 2 * DAY_MS)
        train = curate_days(landed, CONFIG, date(2026, 1, 2), engine=engine)
        save_corpus(tmp_path, train)
        later = curate_later_day(
            tmp_path, take_landed(tables, DAY_0 + 3 * DAY_MS), date(2026, 1, 3), engine=engine
        )
    assert later.buckets == train.buckets
    days = (later.decisions["ts"].to_numpy() - DAY_0) // DAY_MS
    assert set(days.tolist()) == {2}
    asked = later.timelines["kind"].to_numpy() == TokenKind.ENVIRONMENT
    days = (later.timelines["ts"].to_numpy()[asked] - DAY_0) // DAY_MS
    assert set(days.tolist()) == {0, 1, 2}


def test_curating_twice_gives_the_same_tables():
    tables = make_random_lake(7)
    runs = []
    for threads in (1, 2):
        with Engine(threads) as engine:
            runs.append(curate_days(tables, CONFIG, date(2026, 1, 8), engine=engine))
    assert runs[0].timelines.equals(runs[1].timelines)
    assert runs[0].decisions.equals(runs[1].decisions)
    assert runs[0].canonical == runs[1].canonical


def test_titles_reach_nothing_that_a_model_reads():
    # As random as can be: whatever looked at them would differ.
    silent = make_random_lake(7)
    titled = dict(silent)
    for name in ("ads", "content"):
        place = silent[name].schema.get_field_index("title")
        titles = pa.array([f"title {row * 7919 % 13}" for row in range(silent[name].num_rows)])
        titled[name] = silent[name].set_column(place, silent[name].schema.field(place), titles)
    with Engine() as engine:
        one, other = (
            curate_days(tables, CONFIG, date(2026, 1, 8), engine=engine)
            for tables in (silent, titled)
        )
    assert other.canonical["ads"]["title"].null_count == 0
    assert one.timelines.equals(other.timelines)
    assert one.decisions.equals(other.decisions)
    assert one.buckets == other.buckets
    items, twins = (build_item_sample(days.canonical, CONFIG, seed=0) for days in (one, other))
    assert items.vectors.equals(twins.vectors)
    assert items.sample.equals(twins.sample)


def test_parameters_of_another_version_are_refused(tmp_path):
    write_json(tmp_path / "curation.json", {"window_dayz": 3})
    with pytest.raises(ConfigError, match="unknown parameter 'window_dayz'"):
        corpus_config(tmp_path)
