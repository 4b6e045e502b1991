"""Tests of what the studies of the model share."""

from functools import partial

from benchmarks.study_training import run_missing
from gpr_core.support.files import read_json, write_json


def test_only_missing_results_are_made(tmp_path):
    there, missing = tmp_path / "a" / "there.json", tmp_path / "a" / "missing.json"
    write_json(there, {"made": "before"})
    run_missing({path: partial(dict, made="now") for path in (there, missing)})
    assert read_json(there) == {"made": "before"}
    assert read_json(missing) == {"made": "now"}
