"""Each gate of the step, passed and failed."""

import numpy as np
import pyarrow.parquet as pq

from components.tokenization.main import run
from components.tokenization.spec import SPEC
from tests.components.tokenization.corpora import (
    make_step_context,
    passed,
    write_corpus,
    write_vectors,
)


def test_every_gate_is_answered_and_passes(first_day):
    assert passed(first_day[1]) == dict.fromkeys(SPEC.gates, True)


def test_an_item_without_vector_fails_the_gate(tmp_path):
    context = make_step_context(tmp_path, write_corpus(tmp_path / "corpus", without_vector=2))
    result = run(context)
    assert passed(result) == dict.fromkeys(SPEC.gates, True) | {"every_item_has_id": False}
    assert result.gates[0].value == 2.0


def test_unused_codes_fail_the_gate(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    items = pq.read_table(corpus / "item_vectors.parquet")
    corners = np.eye(6, dtype=np.float32)[np.arange(150) % 3]
    write_vectors(corpus, items["item_kind"], items["item_key"], corners)
    result = run(make_step_context(tmp_path, corpus))
    assert passed(result)["cur_level_1"] is False
    assert result.gates[1].value == 3 / 8
