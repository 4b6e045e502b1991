"""All eight steps on the preset `tiny`, on the synthetic world and on MovieLens."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

GPR = str(Path(sys.executable).with_name("gpr"))


@pytest.fixture(scope="module", params=["world", "movielens"])
def evaluation(request, tmp_path_factory):
    """The evaluation of a finished day."""
    home = tmp_path_factory.mktemp(request.param)
    fill = [GPR, "lake", "fill", f"--source={request.param}", "--preset=tiny", f"--home={home}"]
    subprocess.run(fill, check=True)
    subprocess.run([GPR, "run", f"--home={home}"], check=True)
    [folder] = (home / "runs").glob("*/artifacts/evaluation")
    return folder


def test_the_policy_beats_popularity_with_its_interval(evaluation):
    verdict = json.loads((evaluation / "verdict.json").read_text())
    assert verdict["promote"], verdict["reasons"]
    # The rule compares the same requests: its interval is that of the paired difference.
    [against_floor] = [rule for rule in verdict["rules"] if "popularity floor" in rule["message"]]
    assert against_floor["passed"], against_floor["message"]
    metrics = json.loads((evaluation / "metrics.json").read_text())
    assert metrics["hepo/HR_ad@10"]["value"] > metrics["popularity/HR_ad@10"]["value"]


def test_every_method_stands_beside_all_three_floors(evaluation):
    metrics = json.loads((evaluation / "metrics.json").read_text())
    for method in ("mtp", "vaft", "hepo", "popularity", "transitions", "repeat_last", "item_knn"):
        for metric in ("HR_ad@10", "no_repeat_HR_ad@10", "ndcg", "opr", "final_value_mean"):
            assert metrics[f"{method}/{metric}"]["n"] > 0


def test_the_report_needs_nothing_but_itself(evaluation):
    html = (evaluation / "report.html").read_text()
    assert "<script" not in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
