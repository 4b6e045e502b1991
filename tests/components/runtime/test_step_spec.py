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


def test_an_optional_table_is_named_only_where_it_is(tmp_path):
    contracts = {"a.parquet": "users", "b.parquet": "thoughts"}
    artifact = Artifact(name="x", type="dataset", contracts=contracts, optional=("b.parquet",))
    assert artifact.tables_in(tmp_path) == {"a.parquet": "users"}
    (tmp_path / "b.parquet").touch()
    assert artifact.tables_in(tmp_path) == contracts
