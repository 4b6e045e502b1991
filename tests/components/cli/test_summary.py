"""The table at the end of a run."""

from rich.console import Console

from components.cli.summary import summary_table
from gpr_core.support.files import write_json


def make_evaluation(folder):
    interval = {"value": 0.25, "ci_low": 0.2, "ci_high": 0.3, "n": 9}
    write_json(
        folder / "metrics.json",
        {"hepo/HR_ad@10": interval, "popularity/HR_ad@10": {**interval, "value": 0.21}},
    )
    write_json(folder / "verdict.json", {"promote": False, "evaluation_day": "2026-01-15"})


def test_the_policy_stands_beside_its_floors_with_intervals(tmp_path):
    make_evaluation(tmp_path)
    console = Console(width=120)
    with console.capture() as captured:
        console.print(summary_table(tmp_path, (10,)))
    text = captured.get()
    assert "verdict: do not promote" in text
    assert "Popularity (floor)" in text
    assert "0.250" in text
    assert "[0.200, 0.300]" in text
    assert "Champion" not in text
