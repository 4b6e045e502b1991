import pytest

from data_contracts.lint import lint_contract
from data_contracts.load import contract_names, load_contract
from gpr_core.support.errors import ConfigError
from tests.data_contracts.contracts import make_contract, raw_rule


@pytest.mark.parametrize("name", contract_names())
def test_every_contract_can_be_run(name):
    lint_contract(load_contract(name))


def test_sql_that_cannot_run_is_found():
    rule = raw_rule(arguments={"column": "bad", "min_value": 0})
    with pytest.raises(ConfigError, match="cannot be computed"):
        lint_contract(make_contract(rule, derived=[{"name": "bad", "sql": "nonsense(price)"}]))


def test_arguments_of_the_wrong_type_are_found():
    rule = raw_rule(arguments={"column": "price", "min_value": [1]})
    with pytest.raises(ConfigError, match="refuses the arguments"):
        lint_contract(make_contract(rule))
