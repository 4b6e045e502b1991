import inspect

from data_contracts.expectations import EXPECTATIONS
from data_contracts.suite import _great_expectations


def test_every_expectation_exists_with_these_arguments():
    _great_expectations()
    from great_expectations.expectations.registry import get_expectation_impl

    for name, form in EXPECTATIONS.items():
        fields = get_expectation_impl(name).__fields__
        assert set(form.required) | set(form.optional) <= set(fields), name


def test_row_expectations_are_those_that_map_rows():
    _great_expectations()
    from great_expectations.expectations.registry import get_expectation_impl

    for name, form in EXPECTATIONS.items():
        kinds = [item.__name__ for item in inspect.getmro(get_expectation_impl(name))]
        maps = "ColumnMapExpectation" in kinds or "ColumnPairMapExpectation" in kinds
        assert maps == form.is_row, name


def test_quantiles_are_absent_because_their_results_cannot_be_stored():
    assert "expect_column_quantile_values_to_be_between" not in EXPECTATIONS
