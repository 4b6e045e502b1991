"""A benchmark result says where it comes from."""

import sys

from benchmarks import record
from gpr_core.support.files import read_json


def test_a_result_names_the_command_that_reproduces_it(monkeypatch, tmp_path):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["/somewhere/benchmarks/speed.py", "large", "/home/me/days"])
    found = read_json(record.write_result("speed", {"ratio": 2.0}))
    assert found["command"] == "python -m benchmarks.speed large days"
    assert found["ratio"] == 2.0
    assert found["machine"]["libraries"]["torch"].startswith("2.")
