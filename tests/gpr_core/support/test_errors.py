"""Errors carry what, where and fix, and are also builtin errors."""

import pytest

from gpr_core.support.errors import (
    ArtifactError,
    ConfigError,
    ContractError,
    GateError,
    GprError,
    LeakageError,
    LegalityError,
    NotFittedError,
    ShapeError,
    suggest_name,
)


def test_message_has_three_lines():
    error = ConfigError("found 3", where="params.yaml run.seed", fix="use 4")
    assert str(error) == "found 3\n  where: params.yaml run.seed\n  fix: use 4"


def test_empty_parts_are_left_out():
    assert str(GateError("too high")) == "too high"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ConfigError, ValueError),
        (ShapeError, ValueError),
        (ContractError, ValueError),
        (LeakageError, ValueError),
        (NotFittedError, RuntimeError),
        (ArtifactError, RuntimeError),
        (GateError, RuntimeError),
        (LegalityError, RuntimeError),
    ],
)
def test_every_error_is_a_gpr_error_and_a_builtin_one(kind, builtin):
    assert issubclass(kind, GprError)
    assert issubclass(kind, builtin)


def test_without_a_near_name_only_the_known_ones_are_listed():
    assert suggest_name("zzz", ["seed", "day"]) == "known: day, seed"
