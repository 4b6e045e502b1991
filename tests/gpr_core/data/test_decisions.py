import pyarrow as pa
import pytest

from gpr_core.data.as_of import Window
from gpr_core.data.curation import canonical_tables
from gpr_core.data.decisions import DECISIONS_SCHEMA, build_decisions, drop_rare_users
from gpr_core.data.engine import Engine
from gpr_core.data.tables import DAY_MS, HOUR_MS
from tests.lake_rows import (
    DAY_0,
    make_ad_event,
    make_impression,
    make_request,
    make_small_lake,
)

WINDOW = Window(DAY_0, DAY_0 + 3 * DAY_MS)
EXPOSED = DAY_0 + 2 * HOUR_MS + 1000


def decide(tables, window=WINDOW, attribution_days=30):
    """Curate and build decisions in one engine."""
    with Engine() as engine:
        canonical = canonical_tables(tables, window, cell_min_users=1, engine=engine)
        return build_decisions(canonical, window, attribution_days=attribution_days, engine=engine)


def test_a_decision_holds_request_user_impression_and_outcome():
    decisions = decide(make_small_lake())
    assert decisions.schema.equals(DECISIONS_SCHEMA)
    assert decisions.num_rows == 2
    first = decisions.slice(0, 1).to_pylist()[0]
    assert first == {
        "request_key": 41,
        "user_key": 1,
        "ts": DAY_0 + 2 * HOUR_MS,
        "ad_key": 21,
        "age_bucket": 3,
        "gender": 2,
        "geo_l1": 4,
        "geo_l2": 9,
        "device": 1,
        "scene": 1,
        "position": 2,
        "placement": 3,
        "os": 0,
        "net": 2,
        "privacy": 0,
        "consent": 1,
        "price_micros": 900,
        "bid_type": 1,
        "bid_micros": 1000,
        "p_ctr": pytest.approx(0.02),
        "p_cvr": pytest.approx(0.05),
        "p_neg": pytest.approx(0.01),
        "ecpm": 20.0,
        "propensity": 0.5,
        "n_eligible": 2,
        "action": 1,
        "is_hide": False,
        "value_micros": 0,
        "is_synthetic": False,
    }


def test_a_request_without_an_exposure_gives_no_decision():
    tables = make_small_lake(impressions=[make_impression(51, request=41, ts=EXPOSED)])
    assert decide(tables)["request_key"].to_pylist() == [41]


def test_the_first_of_two_impressions_counts():
    shown = [
        make_impression(51, request=41, ts=EXPOSED + 5),
        make_impression(52, request=41, ts=EXPOSED, price_micros=123),
    ]
    tables = make_small_lake(impressions=shown, ad_events=[])
    assert decide(tables)["price_micros"].to_pylist() == [123]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], (0, False, 0)),
        ([make_ad_event(1, imp=51, kind=1, ts=EXPOSED + 1)], (1, False, 0)),
        ([make_ad_event(1, imp=51, kind=3, ts=EXPOSED + 1)], (0, True, 0)),
        (
            [
                make_ad_event(1, imp=51, kind=1, ts=EXPOSED + 1),
                make_ad_event(2, imp=51, kind=2, ts=EXPOSED + 2, value_micros=70),
            ],
            (2, False, 70),
        ),
        (
            [
                make_ad_event(1, imp=51, kind=1, ts=EXPOSED + 1),
                make_ad_event(2, imp=51, kind=2, ts=EXPOSED + DAY_MS + 1, value_micros=70),
            ],
            (1, False, 0),
        ),
        ([make_ad_event(1, imp=51, kind=2, ts=EXPOSED - 1, value_micros=70)], (0, False, 0)),
    ],
    ids=["nothing", "click", "hide", "conversion", "too late to attribute", "before exposure"],
)
def test_the_action_is_the_highest_one_in_the_attribution_window(events, expected):
    rows = decide(make_small_lake(ad_events=events), attribution_days=1)
    first = rows.slice(0, 1).to_pylist()[0]
    assert (first["action"], first["is_hide"], first["value_micros"]) == expected


def test_the_user_is_read_as_of_the_request():
    users = [
        {"user_key": 1, "valid_from": DAY_0, "age_bucket": 1, "consent": 1},
        {"user_key": 1, "valid_from": DAY_0 + 2 * HOUR_MS + 1, "age_bucket": 2, "consent": 0},
    ]
    decisions = decide(make_small_lake(users=users))
    assert decisions["age_bucket"].to_pylist() == [1, 2]
    assert decisions["consent"].to_pylist() == [1, 0]


def test_a_user_without_a_version_yet_is_unknown():
    users = [{"user_key": 1, "valid_from": DAY_0 + DAY_MS, "age_bucket": 2, "consent": 1}]
    decisions = decide(make_small_lake(users=users))
    assert decisions["age_bucket"].to_pylist() == [0, 2]
    assert decisions["consent"].to_pylist() == [0, 1]


def test_decisions_are_ordered_by_time_then_key():
    requests = [make_request(key, ts=DAY_0 + ts) for key, ts in ((9, 5), (8, 7), (7, 5))]
    shown = [make_impression(key, request=key, ts=DAY_0 + 9) for key in (9, 8, 7)]
    tables = make_small_lake(requests=requests, impressions=shown, ad_events=[])
    assert decide(tables)["request_key"].to_pylist() == [7, 9, 8]


def test_users_with_few_requests_give_no_training_decisions():
    decisions = pa.table({"user_key": pa.array([1, 2, 1, 3], pa.uint64()), "n": [0, 1, 2, 3]})
    assert drop_rare_users(decisions, 2)["n"].to_pylist() == [0, 2]
    assert drop_rare_users(decisions, 1)["n"].to_pylist() == [0, 1, 2, 3]
