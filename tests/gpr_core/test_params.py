"""Presets, overrides and the YAML form of all parameters."""

import pytest

from gpr_core.params import (
    differences,
    for_movielens,
    load_params_file,
    override,
    preset,
    render_difference,
    render_params,
)
from gpr_core.support.errors import ConfigError


@pytest.mark.parametrize("name", ["micro", "tiny"])
def test_a_preset_is_read_back_unchanged(name, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(render_params(preset(name)))
    assert load_params_file(path) == preset(name)


def test_a_file_of_differences_gives_the_same_preset(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(render_difference(preset("micro"), preset("tiny")))
    assert load_params_file(path) == preset("micro")
    assert "max_readouts" not in path.read_text()


def test_movielens_trains_longer_on_another_day_and_changes_nothing_else():
    changed = differences(for_movielens(preset("tiny"), "1998-01-06"), preset("tiny"))
    assert set(changed) == {
        "run.day",
        "mtp_pretrain.epochs",
        "mtp_pretrain.min_head_divergence",
        "mtp_pretrain.sequence.max_readouts",
    }


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown preset 'tinny'(.|\n)*did you mean 'tiny'"):
        preset("tinny")


def test_single_values_are_changed_by_dotted_names():
    changed = override(preset("tiny"), {"vaft.optimizer.learning_rate": "0.5", "run.seed": "7"})
    assert differences(changed, preset("tiny")) == {
        "run.seed": (7, 0),
        "vaft.optimizer.learning_rate": (0.5, preset("tiny").vaft.optimizer.learning_rate),
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("vaft.optimizer.learning_rat", "1.0", "unknown parameter 'learning_rat'"),
        ("vatf.optimizer.learning_rate", "1.0", r"did you mean 'vaft'"),
        ("run.seed", "many", "found 'many'"),
    ],
)
def test_a_wrong_override_is_named(name, text, message):
    with pytest.raises(ConfigError, match=message):
        override(preset("tiny"), {name: text})


def test_a_model_that_reads_thoughts_needs_somebody_who_thinks():
    reads = {"mtp_pretrain.model.knowledge_vectors": "4"}
    with pytest.raises(ConfigError, match="knowledge_vectors is 4, but nobody makes thoughts"):
        override(preset("micro"), reads)
    both = override(preset("micro"), reads | {"corpus_curation.thoughts.provider": "template"})
    assert both.mtp_pretrain.model.knowledge_vectors == 4
    # The other way round is the way back: the champion may still read what the new model does not.
    assert override(preset("micro"), {"corpus_curation.thoughts.provider": "template"})
