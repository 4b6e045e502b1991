from datetime import date

import numpy as np
import pandas as pd
import pytest

from gpr_core.data.lake import Lake
from gpr_core.data.sources.movielens import fill_movielens
from gpr_core.data.tables import DAY_MS, TABLES
from gpr_core.objectives.final_value import ecpm
from gpr_core.support.progress import Progress

FIRST, LAST = date(1997, 9, 20), date(1997, 9, 25)


@pytest.fixture(scope="module")
def tables(wheel, tmp_path_factory):
    lake = Lake(tmp_path_factory.mktemp("movielens"))
    fill_movielens(wheel, lake, LAST, seed=7, progress=Progress("lake"))
    return {name: lake.read(name, FIRST, LAST).to_pandas() for name in TABLES}


@pytest.fixture(scope="module")
def shown(tables):
    return tables["impressions"].merge(tables["requests"], on="request_key")


def test_keys_are_unique_positive_and_fit_in_int64(tables):
    for name, table in TABLES.items():
        assert not tables[name].duplicated(list(table.key)).any(), name
        for field in table.schema:
            if field.name.endswith("_key"):
                assert tables[name][field.name].between(1, 2**63 - 1).all(), field.name


def test_every_rating_lands_as_one_request_or_one_organic_event(tables):
    assert len(tables["requests"]) == len(tables["impressions"])
    assert len(tables["ads"]) + len(tables["content"]) == len(tables["embeddings"]) == 80


def test_stars_become_actions(tables, data):
    stars = np.bincount(data.rating_R, minlength=6)[1:]
    actions = tables["organic_events"].action.value_counts()
    events = tables["ad_events"].type.value_counts()
    # skip 5, view 0, complete 1, like 2, share 3 for one to five stars.
    organic = np.array([actions.get(action, 0) for action in (5, 0, 1, 2, 3)])
    assert (organic <= stars).all()
    assert events[1] <= stars[3] + stars[4] - organic[3] - organic[4]
    assert events[2] <= stars[4] - organic[4]
    assert events[2] < events[1]
    assert set(events.index) == {1, 2}


def test_events_follow_their_exposure_and_precede_the_next_request(tables, shown):
    rows = tables["ad_events"].merge(shown[["imp_key", "exposure_ts", "user_key"]], on="imp_key")
    assert (rows.event_ts > rows.exposure_ts).all()
    mine = shown.sort_values(["user_key", "ts"])
    gap = mine.groupby("user_key").ts.diff().dropna()
    assert gap.min() > (rows.event_ts - rows.exposure_ts).max() + 5


def test_a_conversion_has_an_earlier_click(tables):
    events = tables["ad_events"]
    bought = events[events.type == 2].merge(events[events.type == 1], on="imp_key", how="left")
    assert (bought.event_ts_x > bought.event_ts_y).all()


def test_logged_ecpm_is_the_formula_of_the_objectives(tables):
    rows = tables["impressions"]
    expected = ecpm(rows.bid_type_at, rows.bid_micros_at, rows.p_ctr, rows.p_cvr)
    np.testing.assert_allclose(rows.ecpm_log, expected, rtol=1e-12)


def test_every_impression_was_eligible(tables, shown):
    rows = shown.merge(tables["ad_versions"], on="ad_key")
    rows = rows.merge(tables["users"], on="user_key")
    mask = rows.age_mask.to_numpy().astype(np.int64)
    assert ((mask >> rows.age_bucket.to_numpy()) & 1 == 1).all()
    assert (rows.valid_from_x < rows.ts).all()
    assert not shown.assign(day=shown.ts // DAY_MS).duplicated(["user_key", "ad_key", "day"]).any()


def test_eligible_ads_are_counted_exactly(tables, shown):
    masks = tables["ad_versions"].age_mask.to_numpy().astype(np.int64)
    ages = tables["users"].set_index("user_key").age_bucket
    ordered = shown.sort_values("ts")
    earlier = ordered.groupby(["user_key", ordered.ts // DAY_MS]).cumcount()
    for position in range(0, len(ordered), 29):
        row = ordered.iloc[position]
        reach = ((masks >> ages[row.user_key]) & 1).sum()
        assert row.n_eligible == reach - earlier.iloc[position]
    np.testing.assert_allclose(shown.propensity * shown.n_eligible, 1.0, rtol=1e-6)


def test_the_ledger_adds_up(tables):
    ledger = tables["ad_spend_ledger"].sort_values(["ad_key", "ts", "seq"])
    total = ledger.groupby("ad_key").delta_micros.cumsum()
    today = ledger.groupby(["ad_key", ledger.ts // DAY_MS]).delta_micros.cumsum()
    assert (total == ledger.cum_total_micros).all()
    assert (today == ledger.cum_day_micros).all()
    assert ledger.delta_micros.sum() == tables["impressions"].price_micros.sum()


def test_people_land_with_their_first_rating(tables):
    first = pd.concat(
        [
            tables["requests"][["user_key", "ts"]],
            tables["organic_events"][["user_key", "ts"]],
        ]
    )
    users = tables["users"].set_index("user_key")
    first = first.groupby("user_key").ts.min()
    assert (users.valid_from[first.index] <= first).all()
    assert (users.reg_ts == users.valid_from).all()


def test_stats_look_back_from_the_start_of_the_day(tables):
    stats, requests = tables["user_stats_daily"], tables["requests"]
    day_ts = stats.day_ts.max()
    expected = requests[requests.ts < day_ts].groupby("user_key").size()
    found = stats[stats.day_ts == day_ts].set_index("user_key").req_28d
    assert found[expected.index].tolist() == expected.tolist()
    assert (stats[stats.day_ts == stats.day_ts.min()].req_28d == 0).all()


def test_no_raw_identifier_or_age_lands(tables, data):
    raw = {int(number) for number in data.user_ids}
    assert not set(tables["users"].user_key) & raw
    assert tables["users"].age_bucket.max() <= 6
    cells = tables["users"].groupby(["age_bucket", "gender", "geo_l2"]).size()
    assert len(cells) < 12


def test_titles_are_the_real_ones_with_the_genres_of_the_category(tables, data):
    landed = pd.concat([tables["ads"], tables["content"]]).set_index("emb_row").sort_index()
    expected = [
        f"{title} [{', '.join(genres[:2])}]" if genres else title
        for title, genres in zip(data.titles, data.genres, strict=True)
    ]
    assert landed.title.tolist() == expected
