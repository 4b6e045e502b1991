"""What a rule demands, why, and how to mend a breach."""

from data_contracts.load import contract_names, load_contract
from data_contracts.model import Contract, DriftRule, Rule
from gpr_core.support.errors import ConfigError, suggest_name


def explain_rule(rule_id: str) -> str:
    """Explain one rule of any contract.

    Args:
        rule_id: For example `EV-003` or `EV-UNIQUE`.

    Returns:
        Several lines of text.

    Raises:
        ConfigError: If no contract has such a rule.
    """
    known: list[str] = []
    for name in contract_names():
        contract = load_contract(name)
        for rule in contract.all_rules:
            if rule.id == rule_id:
                return _text(contract, rule)
        known += contract.rule_ids
    near = [item for item in known if item[:2] == rule_id[:2]]
    raise ConfigError(
        f"unknown rule {rule_id!r}",
        where="data_contracts/tables",
        fix=suggest_name(rule_id, near or sorted({item[:2] + "-..." for item in known})),
    )


def _text(contract: Contract, rule: Rule | DriftRule) -> str:
    """Write the explanation."""
    lines = [
        f"{rule.id} of {contract.name} {contract.version} ({contract.owner})",
        f"  refused  {rule.breach}",
        f"  checked  {_check(rule)}",
        f"  on fail  {rule.on_fail} ({rule.severity})",
        f"  why      {rule.reason}",
        f"  fix      {rule.fix}",
    ]
    lines += [f"  {text}" for text in _sources(contract, rule)]
    return "\n".join(lines)


def _check(rule: Rule | DriftRule) -> str:
    """Say how a rule is checked."""
    if isinstance(rule, DriftRule):
        return (
            f"{rule.method} of {rule.column} against the last {rule.window_days} days "
            f"<= {rule.bound:g}, from {rule.min_days} days of history on"
        )
    if not rule.expectation:
        return "before all other rules, from the columns and the key of the contract"
    arguments = ", ".join(f"{name} = {value}" for name, value in rule.arguments.items())
    window = ", on whole windows only" if rule.whole_window else ""
    return f"{rule.expectation} ({arguments}){window}"


def _sources(contract: Contract, rule: Rule | DriftRule) -> list[str]:
    """Say where the columns of a rule come from, and the values of its parameters."""
    columns = (rule.column,) if isinstance(rule, DriftRule) else rule.columns
    computed = contract.expressions
    joined = {
        name: f"{source} of {reference.table}"
        for reference in contract.references
        for name, source in reference.columns.items()
    }
    lines = [
        f"where    {name} = {computed.get(name) or joined.get(name)}"
        for name in columns
        if name in computed or name in joined
    ]
    arguments = {} if isinstance(rule, DriftRule) else rule.arguments
    used = {
        value[1:] for value in arguments.values() if isinstance(value, str) and value[:1] == "$"
    }
    for parameter in contract.parameters:
        if parameter.name in used:
            value = "given by the caller" if parameter.value is None else f"{parameter.value:g}"
            lines.append(f"with     ${parameter.name} = {value}: {parameter.reason}")
    return lines
