"""The registry is one ordered, consistent graph."""

import pytest

from components.pipeline.registry import STEPS, edges, find_artifact, find_step
from components.runtime.step_spec import Artifact, StepSpec
from gpr_core.support.errors import ConfigError


def make_spec(name, inputs=(), outputs=()):
    artifacts = tuple(Artifact(name=output, type="dataset") for output in outputs)
    return StepSpec(name=name, summary=name, section=name, inputs=inputs, outputs=artifacts)


def test_the_eight_steps_stand_in_the_order_of_the_pipeline():
    assert [spec.name for spec in STEPS] == [
        "corpus_curation",
        "tokenization",
        "mtp_pretrain",
        "vaft",
        "simulator_snapshot",
        "hepo",
        "evaluation",
        "model_push",
    ]


def test_every_step_but_the_first_follows_an_earlier_one():
    order = [spec.name for spec in STEPS]
    pairs = edges()
    assert all(order.index(upstream) < order.index(downstream) for upstream, downstream in pairs)
    assert {downstream for _, downstream in pairs} == set(order[1:])


def test_edges_are_made_from_shared_artifacts():
    steps = [
        make_spec("a", (), ("x", "y")),
        make_spec("b", ("x",), ("z",)),
        make_spec("c", ("y", "z")),
    ]
    assert edges(steps) == (("a", "b"), ("a", "c"), ("b", "c"))


def test_an_input_that_nobody_writes_is_refused():
    with pytest.raises(ConfigError, match=r"step 'b' reads 'corpsu'(.|\n)*did you mean 'corpus'"):
        edges([make_spec("a", (), ("corpus",)), make_spec("b", ("corpsu",))])


def test_an_artifact_with_two_writers_is_refused():
    with pytest.raises(ConfigError, match="both 'a' and 'b' write 'x'"):
        edges([make_spec("a", (), ("x",)), make_spec("b", (), ("x",))])


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="did you mean 'tokenization'"):
        find_step("tokenisation")
    with pytest.raises(ConfigError, match="did you mean 'corpus'"):
        find_artifact("corpsu")
