import logging
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.profile_store import ProfileStore
from gpr_core.support.files import read_json, write_json
from tests.data_contracts.contracts import make_contract, raw_drift

CONTRACT = make_contract(drift=[raw_drift(window_days=3)])
FIRST = date(2026, 1, 1)


@pytest.fixture
def store(tmp_path):
    return ProfileStore(tmp_path / "profiles")


def make_rows(price):
    return pa.table(
        {
            "ad_key": pa.array(np.arange(1, len(price) + 1), pa.uint64()),
            "ts": pa.array([0] * len(price), pa.int64()),
            "price": pa.array(price, pa.float64()),
        }
    )


def profile(store, *, price=(0.5,), day=1, contract=CONTRACT, sha256="a"):
    when = date(2026, 1, day)
    [found] = store.profiles(contract, {when: make_rows(price)}, {when: sha256})
    return found


def stored_file(store, day=1):
    return store.folder / "ads" / f"2026-01-{day:02d}.json"


def test_a_stored_profile_equals_a_new_one(store):
    made = profile(store, price=(0.1, 1.7, 0.3))
    store.add([made])
    # Other rows under the same hash show that it is the stored one that comes back.
    assert profile(store, price=(2.5,)) == made


def test_stored_and_new_profiles_come_back_in_order(store):
    parts = {date(2026, 1, day): make_rows([0.5] * day) for day in (2, 1, 3)}
    hashes = {day: day.isoformat() for day in parts}
    cold = store.profiles(CONTRACT, parts, hashes)
    store.add(cold[1:2])
    assert store.profiles(CONTRACT, parts, hashes) == cold
    assert [profile.rows for profile in cold] == [2, 1, 3]


def test_nothing_is_stored_before_it_is_added(store):
    profile(store)
    assert not store.folder.exists()


def test_a_profile_of_other_bytes_is_made_again(store):
    store.add([profile(store)])
    fresh = profile(store, price=(2.5, 2.5), sha256="b")
    assert (fresh.rows, fresh.histograms) == (2, {"AD-050": {"bin 02": 2}})
    store.add([fresh])
    assert profile(store, sha256="b") == fresh


@pytest.mark.parametrize(
    "changed",
    [
        make_contract(drift=[raw_drift(edges=[7.0])]),
        make_contract(drift=[raw_drift()], version="2.0.0"),
    ],
)
def test_a_profile_of_another_contract_is_made_again(store, changed):
    store.add([profile(store)])
    assert profile(store, contract=changed, price=(9.0, 9.0)).rows == 2


def test_a_profile_made_by_other_code_is_made_again(store, monkeypatch):
    store.add([profile(store)])
    monkeypatch.setattr("data_contracts.profile_store._hash_code", lambda: ["edited"])
    assert profile(store, price=(9.0, 9.0)).rows == 2


def test_a_stored_profile_is_written_once(store):
    made = profile(store)
    store.add([made])
    before = stored_file(store).stat().st_mtime_ns, stored_file(store).stat().st_ino
    store.add([made])
    assert (stored_file(store).stat().st_mtime_ns, stored_file(store).stat().st_ino) == before
    assert [path.name for path in stored_file(store).parent.iterdir()] == ["2026-01-01.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"rows": 1}', "\xff"])
def test_a_damaged_file_is_made_again_with_a_warning(store, caplog, text):
    made = profile(store)
    store.add([made])
    stored_file(store).write_bytes(text.encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        assert profile(store) == made
    assert "2026-01-01.json is no profile and is made again" in caplog.text
    store.add([made])
    assert read_json(stored_file(store))["rows"] == 1


def test_the_days_before_come_back_in_order_as_far_as_rules_look(store):
    made = [profile(store, day=day, price=[0.5] * day) for day in (5, 1, 3, 2, 4)]
    store.add(made)
    assert [item.rows for item in store.before(CONTRACT, date(2026, 1, 5))] == [2, 3, 4]
    assert [item.rows for item in store.before(CONTRACT, date(2026, 1, 3))] == [1, 2]
    assert store.before(CONTRACT, FIRST) == []


def test_a_day_that_is_restored_replaces_its_profile(store):
    made = profile(store)
    store.add([made])
    store.add([replace(made, rows=7)])
    [found] = store.before(CONTRACT, date(2026, 1, 2))
    assert found.rows == 7


def test_a_damaged_day_is_left_out_of_the_days_before(store):
    store.add([profile(store, day=1), profile(store, day=2)])
    write_json(stored_file(store, 1), {})
    assert [item.day for item in store.before(CONTRACT, date(2026, 1, 3))] == ["2026-01-02"]
