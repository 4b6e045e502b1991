"""Specs are plain, frozen data."""

import dataclasses

import pytest

from components.runtime.step_spec import Artifact, StepSpec


def test_a_spec_cannot_be_changed():
    spec = StepSpec(name="a", summary="", section="a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "b"


def test_an_artifact_is_cached_unless_it_is_a_receipt():
    assert Artifact(name="x", type="dataset").cached is True
