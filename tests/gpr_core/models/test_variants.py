"""Tests of the configurations that the studies compare."""

import dataclasses

import pytest
import torch

from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.models.variants import CONTROLS, SINGLE_PARTS, full_gpr, hstu, one_rec, tiger
from gpr_core.support.errors import LeakageError
from gpr_core.training.leak_probe import leak_probe
from tests.timelines import SIZES, SMALL, make_batch, make_model

USERS = ("UOOEIOEIIOE", "UEOOIEOUE")
ONE_REQUEST = ("UOOOIOOE", "UE")


def names(config):
    """Names and shapes of all parameters but those of values."""
    return {
        name: tuple(values.shape)
        for name, values in GPR(config, SIZES).named_parameters()
        if not name.startswith("hte.")
    }


@pytest.mark.parametrize("part", SINGLE_PARTS)
def test_a_part_adds_to_hstu_and_removes_nothing(part):
    base = hstu(SMALL)
    assert names(base).keys() <= names(SINGLE_PARTS[part](base)).keys()


@pytest.mark.parametrize("part", [*SINGLE_PARTS, *CONTROLS])
def test_no_variant_of_hstu_knows_what_comes_later(part):
    config = ({**SINGLE_PARTS, **CONTROLS})[part](hstu(SMALL))
    assert leak_probe(make_model(config), make_batch(*USERS), seed=0) == 0.0


def test_every_part_of_gpr_differs_from_hstu():
    base, full = hstu(SMALL), full_gpr(SMALL)
    changed = {field.name for field in dataclasses.fields(ModelConfig)}
    same = {name for name in changed if getattr(base, name) == getattr(full, name)}
    assert same <= {
        "width",
        "table_width",
        "attention_heads",
        "hsd_layers",
        "decoder_ffn_multiple",
        "think",
        "gated",
        "norm_before_gate",
        "max_distance",
        "memory_tokens",
        "dropout",
        "experts",
        "lazy_layers",
        "copies_history",
    }


def test_the_wide_shared_network_has_the_size_of_four():
    base = hstu(SMALL)

    def size(config):
        return sum(torch.Size(shape).numel() for shape in names(config).values())

    assert size(CONTROLS["shared_ffn_wide"](base)) == size(SINGLE_PARTS["token_aware_ffn"](base))


@pytest.mark.parametrize("variant", [tiger, one_rec])
def test_encoder_decoders_read_one_request_and_generate(variant):
    model = make_model(variant(SMALL))
    state = model.read(make_batch(*ONE_REQUEST))
    logits = model.path_logits(state, torch.zeros(2, 1, 3, dtype=torch.int64))
    assert [tuple(level.shape) for level in logits] == [(2, 1, size) for size in SIZES]


def test_in_an_encoder_decoder_every_token_knows_the_whole_prompt():
    model = make_model(tiger(SMALL))
    batch = make_batch("UOOE")
    other = batch._replace(ts_BT=batch.ts_BT + torch.tensor([0, 0, 0, 10**9]))
    assert not torch.equal(model.read(batch).readout_MD, model.read(other).readout_MD)


def test_an_encoder_decoder_refuses_an_earlier_request():
    with pytest.raises(LeakageError, match="not the last token"):
        make_model(tiger(SMALL)).read(make_batch(*USERS))


def test_one_rec_balances_its_experts_in_training_only():
    model = make_model(one_rec(SMALL, experts=4))
    batch = make_batch(*ONE_REQUEST)
    model.read(batch)
    preference_E = model.ptd.generate.decoder.layers[0].feed_forward.preference_E
    assert not preference_E.any()
    model.train()
    model.read(batch)
    assert preference_E.any()
