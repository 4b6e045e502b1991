import json

import pyarrow.parquet as pq
import pytest

from components.evaluation.codebook_inputs import codebook_view
from gpr_core.support.files import read_json


@pytest.fixture(scope="module")
def tokenizer(mini_day):
    return mini_day.root / "tokenizer"


@pytest.fixture(scope="module")
def view(tokenizer):
    return codebook_view(tokenizer)


def copy_with(source, folder, **changes):
    """Copy the report of a tokenizer, with other values."""
    quality = read_json(source / "quality.json") | changes
    (folder / "quality.json").write_text(json.dumps(quality))
    (folder / "tokenizer.json").write_text((source / "tokenizer.json").read_text())
    return folder


def test_facts_name_the_kind_and_the_sizes(view):
    facts = dict(view.facts)
    assert facts["tokenizer"] == "rq_kmeans_plus"
    assert facts["codes per level"] == "4 / 4"
    assert int(facts["occupied paths"]) <= int(facts["items"])


def test_counts_cover_every_item_and_every_code_of_every_level(view, tokenizer):
    rows = pq.read_metadata(tokenizer / "sid_map.parquet").num_rows
    assert [len(counts) for counts in view.counts] == [4, 4]
    assert [sum(counts) for counts in view.counts] == [rows, rows]


def test_measures_stand_beside_those_of_rq_kmeans(view, tokenizer):
    quality = read_json(tokenizer / "quality.json")
    rows = {measure.label: measure for measure in view.measures}
    assert rows["collision"].ours == f"{quality['tokenizer']['all']['collision']:.1%}"
    assert rows["collision"].reference == f"{quality['rq_kmeans']['all']['collision']:.1%}"
    assert list(rows) == [
        "collision", "excess", "PAS macro", "PAS pair", "reconstruction error",
        "pairs of equal category", "pairs of equal subcategory",
    ]  # fmt: skip


def test_every_level_has_the_same_measures(view, tokenizer):
    gini = read_json(tokenizer / "quality.json")["tokenizer"]["all"]["gini"]
    labels = ["used", "dead codes", "perplexity", "Gini", "V-measure"]
    assert [[measure.label for measure in level] for level in view.levels] == [labels, labels]
    assert [level[3].ours for level in view.levels] == [f"{value:.3f}" for value in gini]


def test_the_tree_names_codes_from_the_root(view):
    first = view.tree[0]
    assert first.num_items == max(code.num_items for code in view.tree)
    assert all(child.name.startswith(f"{first.name} / ") for child in first.children)
    assert sum(code.num_items for code in view.tree) == sum(view.counts[0])


def test_leaves_are_written_out(tokenizer, tmp_path):
    leaf = {
        "path": [3, 1], "num_items": 7, "num_ads": 2, "mean_cosine": 0.98765, "titles": ["tea"],
        "categories": [
            {"category": 4, "label": "coffee", "share": 0.75},
            {"category": 9, "label": "", "share": 0.25},
        ],
    }  # fmt: skip
    [row] = codebook_view(copy_with(tokenizer, tmp_path, largest_leaves=[leaf])).leaves
    assert row == ("3 / 1", 7, 2, "0.988", ["coffee 75%", "9 25%"], ["tea"])


def test_what_no_pair_defines_is_called_undefined(tokenizer, tmp_path):
    quality = read_json(tokenizer / "quality.json")
    quality["tokenizer"]["all"]["pas_macro"] = None
    view = codebook_view(
        copy_with(tokenizer, tmp_path, tokenizer=quality["tokenizer"], business_collision=None)
    )
    assert {m.label: m.ours for m in view.measures}["PAS macro"] == "undefined"
    assert "business collision of ads" not in dict(view.facts)
