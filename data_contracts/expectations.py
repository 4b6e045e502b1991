"""The expectations a contract may use, described without importing Great Expectations.

A row expectation names the rows that break it and may quarantine them; a table expectation judges
one number of the whole column. Quantile expectations are absent on purpose: their results cannot
be stored by Great Expectations 1.24; take the quantile as a measure instead.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExpectationForm:
    """What the loader must know of one expectation.

    Attributes:
        columns: Arguments that name one column.
        is_row: Whether it judges row by row.
        required: Arguments it cannot do without, columns included.
        optional: Arguments it accepts besides.
    """

    columns: tuple[str, ...]
    is_row: bool
    required: tuple[str, ...]
    optional: tuple[str, ...]


def _row(required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> ExpectationForm:
    """Describe an expectation on the values of one column."""
    return ExpectationForm(("column",), True, ("column", *required), ("mostly", *optional))


def _table(*optional: str) -> ExpectationForm:
    """Describe an expectation on one number of a column."""
    return ExpectationForm(("column",), False, ("column",), optional)


_BOUNDS = ("min_value", "max_value", "strict_min", "strict_max")

EXPECTATIONS: dict[str, ExpectationForm] = {
    "expect_column_values_to_not_be_null": _row(),
    "expect_column_values_to_be_null": _row(),
    "expect_column_values_to_be_between": _row((), _BOUNDS),
    "expect_column_values_to_be_in_set": _row(("value_set",)),
    "expect_column_values_to_be_unique": _row(),
    "expect_column_values_to_match_regex": _row(("regex",)),
    "expect_column_pair_values_a_to_be_greater_than_b": ExpectationForm(
        ("column_A", "column_B"), True, ("column_A", "column_B"), ("or_equal", "mostly")
    ),
    "expect_column_mean_to_be_between": _table(*_BOUNDS),
    "expect_column_stdev_to_be_between": _table(*_BOUNDS),
    "expect_column_unique_value_count_to_be_between": _table(*_BOUNDS),
}
