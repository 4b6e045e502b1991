"""T03: the final action of an exposure embedded in its earlier impression token."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.data.as_of import Window
from gpr_core.data.curation import canonical_tables
from gpr_core.data.engine import Engine
from gpr_core.data.tables import DAY_MS, HOUR_MS, Action, TokenKind
from gpr_core.features.buckets import Buckets
from gpr_core.features.timeline import build_timelines
from tests.lake_rows import (
    DAY_0,
    make_ad_event,
    make_impression,
    make_request,
    make_small_lake,
)

WINDOW = Window(DAY_0, DAY_0 + 9 * DAY_MS)
BUCKETS = Buckets(price_edges=(), dwell_edges=())
FIRST, SECOND = DAY_0 + 2 * HOUR_MS, DAY_0 + 3 * HOUR_MS


def honest(tables):
    """Build timelines as the project does."""
    with Engine() as engine:
        canonical = canonical_tables(tables, WINDOW, cell_min_users=1, engine=engine)
        return build_timelines(canonical, BUCKETS, WINDOW, session_gap_min=30, engine=engine)


def with_final_action(tables):
    """The broken twin: the impression token tells how the exposure ended."""
    timelines = honest(tables)
    is_item = timelines["kind"].to_numpy() == TokenKind.ITEM
    request, action = (timelines[name].to_numpy() for name in ("request_key", "action"))
    final = {key: action[is_item & (request == key)].max() for key in set(request[is_item])}
    seen = [final[key] if item else 0 for key, item in zip(request, is_item, strict=True)]
    event_type = np.where(is_item, np.array(seen) + 1, timelines["f0"].to_numpy())
    column = timelines.schema.get_field_index("f0")
    field = timelines.schema.field("f0")
    return timelines.set_column(column, field, pa.array(event_type.astype(np.int16)))


def prefix_of_second_request(build, conversion_ts):
    """Give the tokens up to the second request when the first exposure converts at some time."""
    tables = make_small_lake(
        requests=[make_request(41, ts=FIRST), make_request(42, ts=SECOND)],
        impressions=[
            make_impression(51, request=41, ts=FIRST + 1000),
            make_impression(52, request=42, ts=SECOND + 1000),
        ],
        ad_events=[
            make_ad_event(61, imp=51, kind=1, ts=FIRST + 5000),
            make_ad_event(62, imp=51, kind=2, ts=conversion_ts),
        ],
    )
    timelines = build(tables)
    last = pc.index(timelines["request_key"], pa.scalar(42, pa.uint64())).as_py()
    return timelines.slice(0, last + 1)


def is_blind_to_late_conversions(build):
    """Say whether a conversion after the request is invisible there, and one before is not."""
    late = prefix_of_second_request(build, SECOND + 3 * DAY_MS)
    items = late.filter(pa.array(late["kind"].to_numpy() == TokenKind.ITEM))
    if Action.CONVERSION + 1 in items["f0"].to_pylist():
        return False
    later = prefix_of_second_request(build, SECOND + 5 * DAY_MS)
    early = prefix_of_second_request(build, SECOND - 1)
    return late.equals(later) and not early.equals(late)


def test_a_conversion_is_invisible_before_it_happens():
    assert is_blind_to_late_conversions(honest)


def test_a_final_action_in_the_impression_token_is_caught():
    assert not is_blind_to_late_conversions(with_final_action)
