"""T25: something fitted sees rows from after the cutoff."""

from datetime import date

import pytest

from components.corpus_curation.main import make_corpus, write_corpus
from components.runtime.lake_inputs import read_tables
from gpr_core.data.config import CurationConfig
from gpr_core.data.engine import Engine
from gpr_core.data.lake import Lake
from gpr_core.data.tables import DAY_MS
from gpr_core.features.corpus import curate_days, first_landing_days
from gpr_core.support.errors import LeakageError
from gpr_core.support.hashing import hash_files
from tests.lake_rows import DAY_0, land, make_random_lake, take_landed

DAY, LAST = date(2026, 1, 3), date(2026, 1, 5)
CONFIG = CurationConfig(window_days=9, cell_min_users=1)


def read_honestly(root):
    """Read up to the training day."""
    return read_tables(root, first_landing_days(CONFIG, DAY, Lake(root).days()[0]), DAY)


def read_everything(root):
    """The broken twin: whatever has landed is read, filtered by event time at best."""
    first_days = first_landing_days(CONFIG, DAY, Lake(root).days()[0])
    return read_tables(root, first_days, Lake(root).days()[-1])


def build_corpus(root, folder, read, curation_day=DAY):
    """Build all files of the corpus and hash them."""
    with Engine() as engine:
        curated = curate_days(read(root), CONFIG, curation_day, engine=engine)
    folder.mkdir()
    write_corpus(folder, make_corpus(curated, CONFIG, seed=0), curated, CONFIG)
    return hash_files(folder)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory):
    """Two lakes that differ only in rows after the training day."""
    root = tmp_path_factory.mktemp("lakes")
    tables = make_random_lake(3, num_days=5)
    land(root / "whole", tables, 5)
    land(root / "deleted", take_landed(tables, DAY_0 + 3 * DAY_MS), 5)
    return root


def test_deleting_the_future_changes_no_byte_of_the_corpus(lakes, tmp_path):
    whole = build_corpus(lakes / "whole", tmp_path / "whole", read_honestly)
    deleted = build_corpus(lakes / "deleted", tmp_path / "deleted", read_honestly)
    assert whole == deleted


def test_a_reader_that_sees_the_future_is_refused(lakes, tmp_path):
    with pytest.raises(LeakageError, match="landed at or after the cutoff"):
        build_corpus(lakes / "whole", tmp_path / "leaky", read_everything)


def test_fitting_on_the_future_is_caught(lakes, tmp_path):
    # Without the cutoff the buckets, weights, vectors and splits all move.
    whole = build_corpus(lakes / "whole", tmp_path / "whole", read_everything, LAST)
    deleted = build_corpus(lakes / "deleted", tmp_path / "deleted", read_everything, LAST)
    fitted = {"buckets.json", "value_weights.json", "timelines.parquet", "decisions.parquet"}
    assert fitted <= {name for name, digest in whole.items() if deleted[name] != digest}
