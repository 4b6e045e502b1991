"""Progress lines come at most every ten seconds; numbers always reach the file."""

import json
import logging

from gpr_core.support.progress import Progress


def test_lines_are_rare_and_numbers_complete(tmp_path, caplog):
    now = [0.0]
    progress = Progress("mtp", log_path=tmp_path / "m.jsonl", clock=lambda: now[0])
    with caplog.at_level(logging.INFO, logger="gpr.progress"):
        progress.phase("train")
        for done in range(1, 5):
            now[0] += 4.0
            progress.update(done, 8, {"loss": 2.0})
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["mtp  train", "mtp  3/8   38 %  loss 2  0.2/s  eta 20 s"]
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [1, 2, 3, 4]
    assert rows[0] == {"step": "mtp", "update": 1, "loss": 2.0}
