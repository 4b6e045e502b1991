import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.tables import ItemKind, TokenKind
from gpr_core.features.timeline_store import TimelineStore, find_keys, join_codes
from gpr_core.support.errors import ConfigError, ContractError

USER, ORGANIC, ENV, ITEM, PAD = TokenKind
KIND_OF_LETTER = {"U": USER, "O": ORGANIC, "E": ENV, "I": ITEM}


def kinds(letters: str) -> list[int]:
    return [KIND_OF_LETTER.get(letter, PAD) for letter in letters]


def make_store(kinds_by_user: dict[int, str]) -> TimelineStore:
    """Timelines from one letter per token; the token at position p of a user has ts 100 * p."""
    rows = [
        (user, 100 * place, KIND_OF_LETTER[letter])
        for user, letters in sorted(kinds_by_user.items())
        for place, letter in enumerate(letters)
    ]
    user, ts, kind = (np.array(column) for column in zip(*rows, strict=True))
    item_kind = np.select([kind == ORGANIC, kind == ITEM], [ItemKind.CONTENT, ItemKind.AD], 0)
    timelines = pa.table(
        {
            "user_key": user.astype(np.uint64),
            "ts": ts,
            "kind": kind.astype(np.int8),
            "item_kind": item_kind.astype(np.int8),
            "item_key": np.where(item_kind > 0, 1, 0).astype(np.uint64),
            "request_key": np.where(kind == ENV, user * 1000 + ts // 100, 0).astype(np.uint64),
            **{f"f{idx}": (ts // 100 + idx).astype(np.int16) for idx in range(8)},
        }
    )
    return TimelineStore.from_tables(timelines, make_sid_map(), 2)


def make_sid_map() -> pa.Table:
    return pa.table(
        {
            "item_kind": pa.array([1, 2], pa.int8()),
            "item_key": pa.array([1, 1], pa.uint64()),
            "c1": pa.array([3, 5], pa.int16()),
            "c2": pa.array([4, 6], pa.int16()),
        }
    )


def test_prefix_ends_at_the_request_and_counts_earlier_requests_only() -> None:
    store = make_store({1: "UOEIOEI", 2: "UE"})
    batch = store.prefix_batch(np.array([1005, 2001], dtype=np.uint64), 16)
    assert batch.kind_BT.tolist() == [kinds("UOEIOE"), kinds("UE....")]
    assert batch.seg_BT.tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]]
    assert batch.readout_BR.tolist() == [[5], [1]]
    assert batch.request_key_BR.tolist() == [[1005], [2001]]
    assert batch.user_key_B.tolist() == [1, 2]
    assert batch.ts_BT.tolist() == [[0, 100, 200, 300, 400, 500], [0, 100, 0, 0, 0, 0]]
    assert batch.has_sid_BT.tolist() == [
        [False, True, False, True, True, False],
        [False] * 6,
    ]
    assert batch.sid_BTL[0].tolist() == [[0, 0], [5, 6], [0, 0], [3, 4], [5, 6], [0, 0]]
    assert batch.feat_BTF[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert batch.feat_BTF[1, 2:].sum() == 0


def test_a_long_prefix_keeps_the_user_token_in_force_and_whole_segments() -> None:
    # Segments: UOOE | IOE | UOE | OOE; with 8 places the last two fit after one for the U token.
    store = make_store({7: "UOOEIOEUOEOOE"})
    batch = store.prefix_batch(np.array([7012]), 8)
    assert batch.kind_BT.tolist() == [kinds("UOEOOE")]
    assert batch.ts_BT.tolist() == [[700, 800, 900, 1000, 1100, 1200]]
    # With 6 places only the last segment fits; the U token of position 7 is put in front of it.
    batch = store.prefix_batch(np.array([7012]), 6)
    assert batch.ts_BT.tolist() == [[700, 1000, 1100, 1200]]
    assert batch.readout_BR.tolist() == [[3]]


def test_a_segment_longer_than_the_limit_keeps_its_latest_tokens() -> None:
    store = make_store({7: "UOOOOOOE"})
    batch = store.prefix_batch(np.array([7007]), 4)
    assert batch.kind_BT.tolist() == [kinds("UOOE")]
    assert batch.ts_BT.tolist() == [[0, 500, 600, 700]]


def test_an_unknown_request_is_refused() -> None:
    with pytest.raises(ContractError, match="1 of 1 requests have no E token, first 9"):
        make_store({1: "UE"}).prefix_batch(np.array([9]), 8)


def test_too_few_places_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_tokens is 1"):
        make_store({1: "UE"}).prefix_batch(np.array([1001]), 1)


def test_each_request_is_a_loss_position_of_exactly_one_window() -> None:
    store = make_store({1: "UOEIOEIOEIOEI", 2: "UEIE"})
    positions = store.positions_of([1002, 1005, 1008, 1011, 2001, 2003])
    windows = store.windows(positions, max_tokens=8, new_tokens=4)
    # User 1: local positions 2, 5, 8, 11 fall in blocks 0, 1, 2, 2; user 2: 1 and 3 in block 0.
    assert windows.loss_M.tolist() == [2, 5, 8, 11, 14, 16]
    assert windows.loss_begin_W.tolist() == [0, 1, 2, 4]
    assert windows.loss_end_W.tolist() == [1, 2, 4, 6]
    assert windows.end_W.tolist() == [3, 6, 12, 17]
    assert windows.begin_W.tolist() == [0, 0, 6, 13]
    assert windows.user_token_W.tolist() == [-1, -1, 0, -1]
    assert windows.lengths().tolist() == [3, 6, 7, 4]


def test_a_window_batch_reads_the_chosen_requests() -> None:
    store = make_store({1: "UOEIOEIOEIOEI"})
    windows = store.windows(store.positions_of([1008, 1011]), max_tokens=8, new_tokens=7)
    # Local positions 8 and 11 are both in block 1; one window from the segment start at 6.
    batch = store.window_batch(windows, np.array([0]), np.array([[8, 11, -1]]))
    assert batch.ts_BT.tolist() == [[0, 600, 700, 800, 900, 1000, 1100]]
    assert batch.readout_BR.tolist() == [[3, 6, -1]]
    assert batch.request_key_BR.tolist() == [[1008, 1011, 0]]
    assert batch.seg_BT.tolist() == [[0, 0, 0, 0, 1, 1, 1]]


def test_prefixes_are_windows_of_one_request_each() -> None:
    store = make_store({1: "UOEIOEIOEIOEI", 2: "UEIE"})
    positions = store.positions_of([2003, 1011, 1002])
    windows = store.prefixes(positions, max_tokens=8)
    assert windows.loss_M.tolist() == sorted(positions)
    assert windows.loss_begin_W.tolist() == [0, 1, 2]
    assert windows.loss_end_W.tolist() == [1, 2, 3]
    batch = store.window_batch(windows, np.arange(3), windows.loss_M[:, None])
    expected = store.prefix_batch(np.array([1002, 1011, 2003]), 8)
    for one, two in zip(batch, expected, strict=True):
        assert one.tolist() == two.tolist()


def test_the_last_readout_of_a_window_equals_its_prefix() -> None:
    store = make_store({1: "UOEIOEIOEIOEI"})
    windows = store.windows(store.positions_of([1011]), max_tokens=8, new_tokens=7)
    window = store.window_batch(windows, np.array([0]), np.array([[11]]))
    prefix = store.prefix_batch(np.array([1011]), 8)
    for one, two in zip(window, prefix, strict=True):
        assert one.tolist() == two.tolist()


def test_windows_without_context_are_refused() -> None:
    with pytest.raises(ConfigError, match="new_tokens is 8 with max_tokens 8"):
        make_store({1: "UE"}).windows(np.array([1]), max_tokens=8, new_tokens=8)


def test_unsorted_timelines_are_refused() -> None:
    table = pa.table(
        {
            "user_key": pa.array([1, 1], pa.uint64()),
            "ts": [5, 4],
            "kind": pa.array([0, 0], pa.int8()),
            "item_kind": pa.array([0, 0], pa.int8()),
            "item_key": pa.array([0, 0], pa.uint64()),
            "request_key": pa.array([0, 0], pa.uint64()),
            **{f"f{idx}": pa.array([0, 0], pa.int16()) for idx in range(8)},
        }
    )
    with pytest.raises(ContractError, match="not sorted by user_key and ts"):
        TimelineStore.from_tables(table, make_sid_map(), 2)


def test_an_item_without_semantic_id_is_refused() -> None:
    ad, keys = np.array([1, 1], dtype=np.int8), np.array([1, 8])
    with pytest.raises(ContractError, match="1 of 2 ad rows have no semantic id, first key 8"):
        join_codes(ad, keys, make_sid_map(), 2)


def test_find_keys_knows_nothing_of_an_empty_table() -> None:
    empty = np.zeros(0, dtype=np.int64)
    _, is_known = find_keys(empty, empty, np.array([1, 2]))
    assert is_known.tolist() == [False, False]
