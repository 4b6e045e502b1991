import json
import logging
import math

import pyarrow as pa
import pytest

from components.runtime import curves
from components.runtime.curves import write_curves

CURVE = pa.table({"update": [0, 1, 2], "loss": [3.0, 2.0, 1.5], "nll_head_2": [math.nan, 2.5, 2.0]})


def test_without_the_extra_nothing_is_written_and_the_log_says_how_to_get_it(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(curves, "find_spec", lambda name: None if name == "dvclive" else name)
    with caplog.at_level(logging.INFO):
        write_curves(CURVE, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert "dvclive not installed; `pip install gpr[curves]`" in caplog.text


@pytest.fixture
def written(tmp_path):
    """A folder of reports with the curve in it, written twice as by a step that runs again."""
    pytest.importorskip("dvclive", reason="the extra `curves` is not installed")
    pytest.importorskip("tensorboard", reason="the extra `curves` is not installed")
    for _ in range(2):
        write_curves(CURVE, tmp_path)
    return tmp_path / "curves"


def test_tensorboard_reads_the_curve_back(written):
    [events] = (written / "tensorboard").iterdir()
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found = {
        (value.tag, event.step): value.tensor.float_val[0]
        for event in EventFileLoader(str(events)).Load()
        for value in event.summary.value
    }
    assert found == {
        ("loss", 0): 3.0,
        ("loss", 1): 2.0,
        ("loss", 2): 1.5,
        ("nll_head_2", 1): 2.5,
        ("nll_head_2", 2): 2.0,
    }


def test_dvclive_has_the_last_numbers_and_a_series_of_each_column(written):
    last = json.loads((written / "dvclive" / "metrics.json").read_text())
    assert last == {"loss": 1.5, "nll_head_2": 2.0, "step": 2}
    series = written / "dvclive" / "plots" / "metrics"
    assert (series / "loss.tsv").read_text().splitlines()[1:] == ["0\t3.0", "1\t2.0", "2\t1.5"]
    assert (series / "nll_head_2.tsv").read_text().splitlines()[1:] == ["1\t2.5", "2\t2.0"]


def test_nothing_is_written_where_dvc_hashes(written):
    assert sorted(path.name for path in written.parent.iterdir()) == ["curves"]
    assert sorted(path.name for path in written.iterdir()) == ["dvclive", "tensorboard"]
