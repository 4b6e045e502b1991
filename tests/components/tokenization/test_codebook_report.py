"""The codebook report."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.tokenization.main import run
from gpr_core.support.files import read_json
from tests.components.tokenization.corpora import CATEGORY_WORDS, make_step_context, write_corpus


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
    assert lines[0].startswith("epoch,num_updates,loss,")
    assert lines[1].startswith("0,0,0.0,")
    assert len(lines) >= 3


def test_leaves_and_codes_are_described_in_words_of_the_titles(first_day):
    report = read_json(first_day[0].outputs["tokenizer"] / "quality.json")
    leaves, tree = report["largest_leaves"], report["code_tree"]
    assert len(leaves) == 20
    assert leaves[0]["num_items"] == max(leaf["num_items"] for leaf in leaves)
    assert {share["label"].split(", ")[0] for leaf in leaves for share in leaf["categories"]} == {
        *CATEGORY_WORDS
    }
    assert all(title.split()[1] in {"offer", "story"} for title in leaves[0]["titles"])
    assert sum(node["num_items"] for node in tree) == 150
    assert sum(node["num_ads"] for node in tree) == 60
    assert all(len(node["children"]) <= 12 for node in tree)


def test_titles_change_nothing_but_the_report(first_day, tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    for file in ("ads", "content"):
        rows = pq.read_table(corpus / f"{file}.parquet")
        place = rows.schema.get_field_index("title")
        silent = rows.set_column(
            place, rows.schema.field("title"), pa.nulls(rows.num_rows, pa.string())
        )
        pq.write_table(silent, corpus / f"{file}.parquet")
    context = make_step_context(tmp_path, corpus)
    assert run(context) == first_day[1]
    for name, folder in context.outputs.items():
        for path in folder.rglob("*"):
            twin = first_day[0].outputs[name] / path.relative_to(folder)
            is_report = path.name == "quality.json"
            assert path.is_dir() or (path.read_bytes() == twin.read_bytes()) != is_report, path
    report = read_json(context.outputs["tokenizer"] / "quality.json")
    assert all(leaf["titles"] == [] for leaf in report["largest_leaves"])
    assert {node["label"] for node in report["code_tree"]} == {""}
