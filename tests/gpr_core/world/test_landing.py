import numpy as np
import pandas as pd

from gpr_core.data.tables import DAY_MS, TABLES
from gpr_core.world.landing import ENCODER_VERSION, POLICY_ID
from gpr_core.world.titles import CATEGORY_WORDS

FIRST_TS = 20_454 * DAY_MS


def test_keys_are_unique_positive_and_fit_in_int64(tables):
    for name, table in TABLES.items():
        rows = tables[name]
        assert not rows.duplicated(list(table.key)).any(), name
        for column in table.schema:
            if column.name.endswith("_key"):
                assert rows[column.name].between(1, 2**63 - 1).all(), column.name


def test_every_partition_holds_what_landed_on_its_day(filled):
    for name, table in TABLES.items():
        for day in filled.lake.days():
            rows = filled.lake.read(name, day, day).to_pandas()
            if rows.empty:
                continue
            start = FIRST_TS + (day - filled.lake.days()[0]).days * DAY_MS
            assert rows[table.landing_ts].max() < start + DAY_MS
            # The first partition also carries what existed before the world began.
            if day != filled.lake.days()[0]:
                assert rows[table.landing_ts].min() >= start


def test_references_are_complete(tables):
    references = [
        ("ad_versions", "ad_key", "ads"),
        ("ad_spend_ledger", "ad_key", "ads"),
        ("impressions", "ad_key", "ads"),
        ("impressions", "request_key", "requests"),
        ("ad_events", "imp_key", "impressions"),
        ("organic_events", "content_key", "content"),
        ("organic_events", "user_key", "users"),
        ("requests", "user_key", "users"),
        ("ads", "emb_row", "embeddings"),
        ("content", "emb_row", "embeddings"),
    ]
    for child, column, parent in references:
        assert tables[child][column].isin(tables[parent][column]).all(), (child, parent)


def test_every_item_has_its_own_vectors(tables):
    rows = pd.concat([tables["ads"].emb_row, tables["content"].emb_row])
    assert rows.is_unique
    assert len(rows) == len(tables["embeddings"])
    for column in ("x_text", "x_img"):
        matrix = np.stack(tables["embeddings"][column].to_numpy())
        np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1.0, atol=1e-5)
    assert set(tables["embeddings"].encoder_version) == {ENCODER_VERSION}


def with_version(tables, events, ts):
    versions = tables["ad_versions"].sort_values("valid_from")
    return pd.merge_asof(
        events.sort_values(ts), versions, left_on=ts, right_on="valid_from", by="ad_key"
    )


def has_bit(mask, bit):
    return (mask.to_numpy() >> bit.to_numpy()) & 1 == 1


def test_every_impression_was_eligible_at_its_request(tables):
    rows = tables["impressions"].merge(tables["requests"], on="request_key")
    rows = with_version(tables, rows, "ts")
    users = tables["users"].drop_duplicates("user_key")
    rows = rows.merge(users[["user_key", "age_bucket", "gender", "geo_l2"]], on="user_key")
    masks = ["age_mask", "gender_mask", "device_mask", "age_bucket", "gender", "device"]
    rows = rows.astype(dict.fromkeys(masks, "int64"))
    assert (rows.status == 0).all()
    assert has_bit(rows.age_mask, rows.age_bucket).all()
    assert has_bit(rows.gender_mask, rows.gender).all()
    assert has_bit(rows.device_mask, rows.device).all()
    in_city = [
        len(cities) == 0 or city in cities
        for cities, city in zip(rows.geo_set, rows.geo_l2, strict=True)
    ]
    assert all(in_city)
    assert (rows.bid_micros_at == rows.bid_micros).all()
    assert (rows.bid_type_at == rows.bid_type).all()
    launched = rows.merge(tables["ads"][["ad_key", "launch_ts"]], on="ad_key")
    assert (launched.launch_ts <= launched.ts).all()
    shown = rows.groupby(["user_key", "ad_key", rows.ts // DAY_MS]).size()
    caps = rows.groupby(["user_key", "ad_key", rows.ts // DAY_MS]).freq_cap_day.first()
    assert (shown <= caps).all()


def test_no_budget_is_exceeded_by_more_than_one_impression(tables):
    rows = with_version(tables, tables["ad_spend_ledger"], "ts")
    assert (rows.cum_day_micros - rows.delta_micros < rows.daily_budget_micros).all()
    assert (rows.cum_total_micros - rows.delta_micros < rows.total_budget_micros).all()


def test_the_ledger_is_the_sum_of_the_prices(tables):
    ledger = tables["ad_spend_ledger"].sort_values(["ad_key", "ts", "seq"])
    by_day = ledger.groupby(["ad_key", ledger.ts // DAY_MS]).delta_micros.cumsum()
    assert (by_day == ledger.cum_day_micros).all()
    assert (ledger.groupby("ad_key").delta_micros.cumsum() == ledger.cum_total_micros).all()
    assert ledger.delta_micros.sum() == tables["impressions"].price_micros.sum()


def test_content_is_published_before_it_is_seen(tables):
    rows = tables["organic_events"].merge(tables["content"], on="content_key")
    assert (rows.publish_ts < rows.ts).all()


def test_first_versions_begin_at_launch(tables):
    first = tables["ad_versions"].groupby("ad_key").valid_from.min()
    launch = tables["ads"].set_index("ad_key").launch_ts
    assert first.equals(launch.loc[first.index].rename("valid_from"))


def test_bids_and_budgets_get_revised_and_ads_end(tables):
    versions = tables["ad_versions"].groupby("ad_key").size()
    assert (versions > 1).sum() >= 10
    assert (tables["ad_versions"].status == 2).sum() >= 5


def test_stats_look_back_from_the_start_of_the_day(tables):
    stats, requests = tables["user_stats_daily"], tables["requests"]
    assert (stats[stats.day_ts == FIRST_TS].req_28d == 0).all()
    day_ts = FIRST_TS + 5 * DAY_MS
    expected = requests[requests.ts < day_ts].groupby("user_key").size()
    found = stats[stats.day_ts == day_ts].set_index("user_key").req_28d
    assert found[expected.index].tolist() == expected.tolist()
    landed = tables["organic_events"][tables["organic_events"].ingest_ts < day_ts]
    organic = landed.groupby("user_key").size()
    found = stats[stats.day_ts == day_ts].set_index("user_key").org_28d
    assert found[organic.index].tolist() == organic.tolist()


def test_top_categories_are_the_most_read_ones(tables):
    day_ts = FIRST_TS + 5 * DAY_MS
    stats = tables["user_stats_daily"]
    stats = stats[stats.day_ts == day_ts].set_index("user_key")
    landed = tables["organic_events"].merge(tables["content"], on="content_key")
    landed = landed[landed.ingest_ts < day_ts]
    counts = landed.groupby(["user_key", "cat_l1"]).size()
    for user in stats.index[:20]:
        best = counts.loc[user].sort_values(ascending=False)
        top = stats.top_cats[user]
        assert counts.loc[user][list(top)].tolist() == best.iloc[: len(top)].tolist()


def test_nothing_is_thought_and_nothing_is_synthetic(tables):
    assert len(tables["thoughts"]) == 0
    assert not tables["requests"].is_synthetic.any()
    assert set(tables["impressions"].policy_id) == {POLICY_ID}


def test_advertisers_own_their_campaigns(tables):
    owners = tables["ads"].groupby("campaign_key").advertiser_key.nunique()
    assert owners.max() == 1


def test_titles_name_the_category_of_ads_and_content(tables):
    for name in ("ads", "content"):
        rows = tables[name]
        words = [CATEGORY_WORDS[category] for category in rows.cat_l1]
        assert [title.split()[2] for title in rows.title] == words
        assert len(rows[["content_hash", "title"]].drop_duplicates()) == rows.content_hash.nunique()
