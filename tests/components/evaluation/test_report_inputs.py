import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.evaluation.report_inputs import (
    data_facts,
    gate_rows,
    knowledge_remark,
    lineage_rows,
    made_up_columns,
    training_curves,
)
from gpr_core.support.hashing import hash_file
from tests.thoughts import make_thoughts


def write_curve(root, columns):
    inputs = {}
    for name in ("mtp_checkpoint", "vaft_checkpoint", "hepo_checkpoint"):
        inputs[name] = root / name
        inputs[name].mkdir()
        pq.write_table(pa.table(columns), inputs[name] / "curve.parquet")
    return inputs


def test_heads_share_a_chart_and_rates_are_not_drawn(tmp_path):
    columns = {"update": [1, 2], "loss": [2.0, 1.0], "learning_rate": [0.1, 0.1]}
    heads = {"nll_head_1": [3.0, 2.0], "nll_head_2": [4.0, None], "weight_head_1": [1.0, 1.0]}
    [mtp, _, _] = training_curves(write_curve(tmp_path, columns | heads))
    assert mtp.label == "MTP pre-training"
    assert mtp.updates == [1.0, 2.0]
    assert mtp.charts.keys() == {"negative log-likelihood", "loss"}
    lines = mtp.charts["negative log-likelihood"]
    assert lines["head 1"] == [3.0, 2.0]
    assert lines["head 2"] == pytest.approx([4.0, float("nan")], nan_ok=True)


def test_long_curves_are_averaged_over_the_last_updates(tmp_path):
    loss = np.arange(100.0)
    columns = {"update": np.arange(1, 101), "loss": loss}
    [mtp, _, _] = training_curves(write_curve(tmp_path, columns))
    drawn = mtp.charts["loss"]["loss"]
    assert (drawn[0], drawn[1], drawn[50]) == (0.0, 0.5, loss[36:51].mean())


def test_a_stage_without_updates_has_no_curve(tmp_path):
    empty = {"update": pa.array([], pa.int64()), "loss": pa.array([], pa.float64())}
    assert training_curves(write_curve(tmp_path, empty)) == []


def test_gates_of_one_step_are_listed_once(mini_day):
    inputs = {"first": mini_day.root / "catalog", "second": mini_day.root / "catalog"}
    [row] = gate_rows(inputs)
    assert (row.step, row.name, row.passed, row.value) == ("catalog", "a_gate", True, 1.0)


def test_lineage_names_manifest_code_and_parameters(mini_day):
    folder = mini_day.root / "catalog"
    rows = lineage_rows({"catalog": folder})
    assert rows[0] == ("catalog", "manifest", hash_file(folder / "manifest.json"))
    assert [what for _, what, _ in rows] == ["manifest", "code", "parameters"]


def test_data_facts_count_what_was_judged(mini_day):
    day = mini_day.prepare()
    facts = dict(data_facts(mini_day.root / "corpus", day))
    assert facts["training window"] == "2026-01-01 .. 2026-01-03"
    assert facts["requests evaluated"] == str(day.requests.num_rows)
    assert facts["items first seen that day"] == "2"
    assert facts["shown ad eligible"] == "100.00%"


def test_made_up_values_of_public_data_are_named():
    rows = made_up_columns("movielens")
    [versions] = [row for row in rows if row.startswith("ad_versions: ")]
    assert "bid_micros" in versions.split(": ")[1].split(", ")
    assert len(made_up_columns("world")) == 1
    assert made_up_columns("warehouse") == []


def test_the_authors_of_external_knowledge_are_named_where_there_is_any(tmp_path):
    assert knowledge_remark(tmp_path, None) == []
    said = [make_thoughts((1, day, [5]), provider=name) for day, name in enumerate("aab", start=1)]
    pq.write_table(pa.concat_tables(said), tmp_path / "thoughts.parquet")
    [remark] = knowledge_remark(tmp_path, said[0].slice(0, 0))
    assert remark == (
        "External knowledge was written by a (2) and b (1) in the training window and by nobody "
        "on the evaluation day."
    )
