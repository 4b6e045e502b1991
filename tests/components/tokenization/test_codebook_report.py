"""The codebook report."""

import numpy as np

from gpr_core.support.files import read_json


def test_the_report_compares_at_equal_n(first_day):
    report = read_json(first_day[0].outputs["tokenizer"] / "quality.json")
    for part, count in {"train": 105, "validation": 15, "held_out": 30, "all": 150}.items():
        assert report["tokenizer"][part]["num_items"] == count
        assert report["rq_kmeans"][part]["num_items"] == count
    metrics = first_day[1].metrics
    assert metrics["tokenizer/all/collision"] == report["tokenizer"]["all"]["collision"]
    assert metrics["stored_ids_reproduced_share"] == 1.0
    assert all(np.isfinite(value) for value in metrics.values())
    assert 0 <= report["business_collision"] <= 1


def test_the_curve_is_a_plot(first_day):
    lines = (first_day[0].plots / "training.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,loss,")
    assert lines[1].startswith("0,0.0,")
    assert len(lines) >= 3
