import shutil

import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.tables import DAY_MS, TokenKind
from gpr_core.features.timeline import ORDER_COLUMNS
from gpr_core.simulation.config import SnapshotConfig
from gpr_core.simulation.snapshot import choose_requests, load_snapshot, sequence_keys
from gpr_core.support.errors import ArtifactError, ContractError
from tests.gpr_core.simulation.small_corpus import CUTOFF, START, TOKENIZER_VERSION, make_corpus
from tests.gpr_core.simulation.small_snapshot import make_snapshot
from tests.thoughts import make_thoughts

CONFIG = SnapshotConfig(num_requests=20, request_days=2, rehearsed_share=0.25)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), num_users=16, per_day=2)


@pytest.fixture(scope="module")
def folder(corpus, tmp_path_factory):
    return make_snapshot(tmp_path_factory.mktemp("snapshot"), corpus, CONFIG)


def choose(corpus, seed=0):
    return choose_requests(corpus.decisions, corpus.timelines, CONFIG, cutoff_ts=CUTOFF, seed=seed)


def test_observed_and_rehearsed_requests_share_the_snapshot(corpus):
    requests, timelines = choose(corpus)
    flags = requests["is_synthetic"].to_numpy(zero_copy_only=False)
    assert (int((~flags).sum()), int(flags.sum())) == (15, 5)
    assert requests["ts"].to_numpy().min() >= CUTOFF - 2 * 86_400_000
    assert timelines.equals(timelines.sort_by([(name, "ascending") for name in ORDER_COLUMNS]))
    kinds = timelines["kind"].to_numpy()
    readable = set(timelines["request_key"].to_numpy()[kinds == TokenKind.ENVIRONMENT].tolist())
    assert set(requests["request_key"].to_pylist()) <= readable


def test_choice_depends_on_keys_and_seed_only(corpus):
    assert choose(corpus)[0].equals(choose(corpus)[0])
    assert not choose(corpus)[0].equals(choose(corpus, seed=1)[0])


def test_no_recent_request_is_refused(corpus):
    early = corpus.decisions.filter(
        pa.array(corpus.decisions["ts"].to_numpy() < START + 86_400_000)
    )
    with pytest.raises(ContractError, match="no request was observed in the 2 days"):
        choose_requests(early, corpus.timelines, CONFIG, cutoff_ts=CUTOFF, seed=0)


def test_snapshot_survives_the_disk(folder, corpus):
    snapshot = load_snapshot(folder, tokenizer_version=TOKENIZER_VERSION)
    assert snapshot.requests.num_rows == 20
    assert np.array_equal(snapshot.sequence_key_B, snapshot.requests["user_key"].to_numpy())
    assert len(snapshot.snapshot_hash) == 64
    assert snapshot.rules.advertiser_cap == 3
    assert snapshot.catalog.version == corpus.catalog.version


def test_same_inputs_give_the_same_hash(folder, corpus, tmp_path):
    again = make_snapshot(tmp_path / "again", corpus, CONFIG)
    hashes = [
        load_snapshot(path, tokenizer_version=TOKENIZER_VERSION).snapshot_hash
        for path in (folder, again)
    ]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("name", ["rules.json", "requests.parquet", "catalog/index.npz"])
def test_changed_file_is_refused(folder, tmp_path, name):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    with (broken / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ArtifactError, match=f"snapshot is corrupt: {name} differs"):
        load_snapshot(broken, tokenizer_version=TOKENIZER_VERSION)


def test_missing_index_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="it has no index"):
        load_snapshot(tmp_path, tokenizer_version=TOKENIZER_VERSION)


def test_other_tokenizer_is_refused(folder):
    with pytest.raises(ArtifactError, match="catalog is of tokenizer"):
        load_snapshot(folder, tokenizer_version="other")


def test_request_without_token_is_refused(corpus):
    with pytest.raises(ContractError, match="have no E token"):
        sequence_keys(corpus.decisions, corpus.timelines.slice(0, 5))


def test_a_snapshot_keeps_what_was_said_as_of_the_days_of_its_requests(corpus, folder, tmp_path):
    days = range(START // DAY_MS, CUTOFF // DAY_MS)
    said = make_thoughts(*[(user, day, [user]) for user in range(1, 17) for day in days])
    path = make_snapshot(tmp_path / "said", corpus, CONFIG, thoughts=said)
    snapshot = load_snapshot(path, tokenizer_version=TOKENIZER_VERSION)
    requests = snapshot.requests.to_pylist()
    wanted = {(row["user_key"], row["ts"] // DAY_MS * DAY_MS) for row in requests}
    found = snapshot.thoughts.to_pylist()
    assert {(row["user_key"], row["as_of_ts"]) for row in found} == wanted
    assert len(found) == len(wanted) < said.num_rows
    keys = snapshot.requests["request_key"].to_numpy()
    words_BRP = snapshot.timeline_store(corpus.sid_map).prefix_batch(keys, 16).thought_BRP
    assert words_BRP[:, 0, 0].tolist() == [row["user_key"] for row in requests]
    silent = load_snapshot(folder, tokenizer_version=TOKENIZER_VERSION)
    assert silent.thoughts is None
    assert silent.timeline_store(corpus.sid_map).thoughts is None
    assert silent.snapshot_hash != snapshot.snapshot_hash
