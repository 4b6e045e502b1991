"""Parsed YAML becomes a frozen dataclass or a clear error."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from gpr_core.support.config import load_section, read_yaml, to_mapping
from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    width: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    first: Inner = field(default_factory=lambda: Inner(width=7))
    height: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tall:
    pair: Pair = field(default_factory=lambda: Pair(height=5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    rate: float
    mode: Literal["fast", "exact"] = "fast"
    sizes: tuple[int, ...] = (1, 2)
    name: str | None = None
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self):
        check_range("rate", self.rate, 0.0, 1.0)


def test_values_of_all_supported_types_are_read_back_unchanged():
    values = {
        "rate": 0.5,
        "mode": "exact",
        "sizes": [3],
        "name": "x",
        "inner": {"width": 9},
    }
    config = load_section(Outer, values, where="params.yaml outer")
    assert config == Outer(rate=0.5, mode="exact", sizes=(3,), name="x", inner=Inner(width=9))
    assert to_mapping(config) == values


def test_a_partial_mapping_changes_the_default_of_its_field_not_of_its_class():
    given = {"pair": {"first": {}}}
    assert load_section(Tall, given, where="tall") == Tall(
        pair=Pair(first=Inner(width=7), height=5)
    )
    assert load_section(Tall, {"pair": {"height": 2}}, where="tall").pair.first == Inner(width=7)


def test_an_integer_is_accepted_where_a_float_is_asked_for():
    assert load_section(Outer, {"rate": 1}, where="outer").rate == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 0.1, "mod": "fast"}, r"unknown parameter 'mod'\n.*outer\n.*did you mean 'mode'"),
        ({}, "missing parameter 'rate'"),
        ({"rate": "much"}, r"found 'much' \(str\), expected float\n.*outer.rate"),
        ({"rate": True}, r"found True \(bool\), expected float"),
        (
            {"rate": 0.1, "mode": "exakt"},
            r"expected one of: fast, exact(.|\n)*did you mean 'exact'",
        ),
        ({"rate": 0.1, "sizes": 3}, "expected a list"),
        ({"rate": 0.1, "sizes": [1, "a"]}, r"sizes\[1\]"),
        ({"rate": 2.0}, r"rate is 2.0, expected a value in \[0.0, 1.0\]"),
        ({"rate": 0.1, "inner": {"widht": 1}}, r"outer.inner(.|\n)*did you mean 'width'"),
        ([1], "found list, expected a mapping"),
    ],
)
def test_wrong_values_are_named_with_their_place_and_remedy(values, message):
    with pytest.raises(ConfigError, match=message):
        load_section(Outer, values, where="outer")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="file not found"):
        read_yaml(tmp_path / "params.yaml")


def test_broken_yaml_is_named(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: [1")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(path)
