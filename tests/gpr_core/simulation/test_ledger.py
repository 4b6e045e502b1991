import numpy as np
import pyarrow as pa

from gpr_core.catalog.eligibility import RequestContext
from gpr_core.data.tables import DAY_MS
from gpr_core.simulation.ledger import Ledger
from tests.conformance.generator import make_catalog


def make_ledger():
    trie, _ = make_catalog([[0], [1]])
    impressions = pa.table({
        "user_key": [7, 7, 8, 7],
        "ad_key": [1, 2, 1, 99],
        "ts": [10, DAY_MS + 10, DAY_MS + 20, 5],
        "price_micros": [100, 50, 30, 1],
    })  # fmt: skip
    return Ledger.build(impressions, trie)


def test_spend_is_split_into_today_and_ever():
    today, ever = make_ledger().spent_before(np.array([DAY_MS + 20, DAY_MS + 21, 10]))
    assert today.tolist() == [[0, 50], [30, 50], [0, 0]]
    assert ever.tolist() == [[100, 50], [130, 50], [0, 0]]


def test_impressions_are_counted_per_user_and_ad():
    ledger = make_ledger()
    users, ts = np.array([7, 8, 9]), np.full(3, 2 * DAY_MS)
    assert ledger.shown_before(users, ts).dense(3, 2).tolist() == [[1, 1], [1, 0], [0, 0]]
    assert ledger.shown_pairs(users, np.array([1, 1, 0]), ts).tolist() == [1, 0, 0]


def test_caps_look_at_the_same_day():
    zeros = np.zeros(1, np.int64)
    context = RequestContext(*(zeros,) * 10)._replace(
        user_key=np.array([7]), ts=np.array([DAY_MS + 99])
    )
    shown = make_ledger().shown_today(context)
    assert (shown.rank_S.tolist(), shown.count_S.tolist()) == ([1], [1])
