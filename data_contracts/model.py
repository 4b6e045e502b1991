"""The parsed form of a contract: frozen dataclasses, one per part of the YAML."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from data_contracts.expectations import EXPECTATIONS
from gpr_core.support.errors import ConfigError, suggest_name

Severity = Literal["critical", "warning", "info"]
OnFail = Literal["block", "quarantine", "report"]
AllowEmpty = Literal["never", "partition", "always"]
DriftMethod = Literal["psi", "js", "robust_sigma"]

ROWS_COLUMN = "rows"
EMPTY_DAYS = "empty_days_high"
NO_VALUES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One column.

    Attributes:
        name: Column name.
        logical_type: Type in the words of the Open Data Contract Standard.
        physical_type: Arrow type, for example `uint64` or `list<int16>`.
        description: What the column means.
        unit: Unit or coding of the values; empty if the description says it all.
        is_required: Whether null is refused.
        key_position: 1-based place in the primary key, None outside it.
        may_be_absent: Whether the whole column may be missing.
        zero_means_none: For a key column: whether 0 is a legal "none".
    """

    name: str
    logical_type: str
    physical_type: str
    description: str
    unit: str
    is_required: bool
    key_position: int | None
    may_be_absent: bool
    zero_means_none: bool

    @property
    def is_key_column(self) -> bool:
        """Whether it holds keys, which are 0 (none) or in [1, 2**63), and are masked in reports."""
        return self.physical_type == "uint64" and self.name.endswith("_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One promise about values.

    Attributes:
        id: Stable id, prefix of the contract and a number or a structural word.
        expectation: Name of the Great Expectations expectation; empty for a structural rule.
        arguments: Its arguments; a value `$name` stands for the parameter `name`.
        severity: How bad a breach is.
        on_fail: What a breach does: block the table, quarantine the rows, or only report.
        breach: What failing rows have, for the message `412 of 1,000 rows have <breach>`.
        reason: Why the rule exists.
        fix: How to mend a breach.
        whole_window: Whether it makes sense only on a whole window, not on one daily partition.
    """

    id: str
    expectation: str
    arguments: Mapping[str, Any]
    severity: Severity
    on_fail: OnFail
    breach: str
    reason: str
    fix: str
    whole_window: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns, derived columns or measures the rule looks at."""
        if not self.expectation:
            return ()
        form = EXPECTATIONS[self.expectation]
        return tuple(str(self.arguments[name]) for name in form.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRule:
    """One promise about how a day compares with the days before.

    Attributes:
        id: Stable id.
        column: Column or derived column whose days are compared; `rows` compares volumes.
        method: Population stability index, Jensen-Shannon distance, or robust sigmas of the mean.
        bound: Largest accepted value of the method.
        edges: Inner bin edges of a numeric histogram; empty means categorical values.
        min_days: Days of history needed before the rule is applied.
        window_days: How many days of history are compared at most.
        severity: How bad a breach is.
        on_fail: Block or report; a drifted day has no single wrong row.
        breach: What the drifted day shows, for the message.
        reason: Why the rule exists.
        fix: How to mend a breach.
    """

    id: str
    column: str
    method: DriftMethod
    bound: float
    edges: tuple[float, ...]
    min_days: int
    window_days: int
    severity: Severity
    on_fail: OnFail
    breach: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A join that brings columns of another table beside the rows under check.

    Attributes:
        table: Contract name of the other table; the contract's own name joins it with itself.
        keys: Column here -> column there.
        as_of: (time column here, validity column there): the last row valid at that time.
        columns: New column -> column or SQL aggregate of the other table.
    """

    table: str
    keys: Mapping[str, str]
    as_of: tuple[str, str] | None
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A computed column.

    Attributes:
        name: New column.
        sql: DuckDB expression over columns, reference columns and earlier derived columns.
    """

    name: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number of the whole table.

    Attributes:
        name: Name that rules use as a column.
        sql: DuckDB aggregate over the clean rows, or a whole SELECT when `tables` is set.
        tables: Tables that a whole SELECT reads besides `this`.
    """

    name: str
    sql: str
    tables: tuple[str, ...]

    @property
    def is_query(self) -> bool:
        """Whether `sql` is a whole SELECT rather than an aggregate."""
        return self.sql.lstrip().lower().startswith(("select", "with"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A bound that a caller or a data source may change.

    Attributes:
        name: Name, used as `$name`.
        value: Default; None means that the caller must give it for its rules to apply.
        reason: Why this value.
        sources: Value per lake source.
    """

    name: str
    value: float | None
    reason: str
    sources: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Everything one table promises.

    Attributes:
        name: Contract name.
        version: Semantic version.
        status: Life-cycle word of the standard, for example `active`.
        owner: Team that answers for the table.
        purpose: What one row is.
        prefix: Two letters that begin every rule id.
        allow_empty: When zero rows are accepted; the parameter `empty_days_high` tells how many
            landed days may have none where the word is `never`.
        max_quarantine_share: Largest share of rows that may be set aside, in [0, 1].
        open_columns: Whether further columns of numbers or flags are accepted, as in a curve.
        partition_column: Column whose UTC day is the partition; empty if there is none.
        properties: Columns, in order.
        references: Joins, in order.
        derived: Computed columns, in order.
        measures: Numbers of the whole table.
        rules: Structural rules first, then those of the YAML.
        drift: Rules about days.
        parameters: Bounds that may be changed from outside.
    """

    name: str
    version: str
    status: str
    owner: str
    purpose: str
    prefix: str
    allow_empty: AllowEmpty
    max_quarantine_share: float
    open_columns: bool
    partition_column: str
    properties: tuple[Property, ...]
    references: tuple[Reference, ...]
    derived: tuple[Derived, ...]
    measures: tuple[Measure, ...]
    rules: tuple[Rule, ...]
    drift: tuple[DriftRule, ...]
    parameters: tuple[Parameter, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Columns of the primary key, in order."""
        keyed = [item for item in self.properties if item.key_position is not None]
        return tuple(item.name for item in sorted(keyed, key=lambda item: item.key_position or 0))

    @property
    def reference_names(self) -> tuple[str, ...]:
        """Other tables that some rule needs, sorted."""
        joined = {reference.table for reference in self.references}
        queried = {table for measure in self.measures for table in measure.tables}
        return tuple(sorted((joined | queried) - {self.name}))

    @property
    def all_rules(self) -> tuple[Rule | DriftRule, ...]:
        """All rules, structural ones first and drift last."""
        return (*self.rules, *self.drift)

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """Ids of all rules."""
        return tuple(rule.id for rule in self.all_rules)

    @property
    def expressions(self) -> dict[str, str]:
        """SQL of every derived column and measure by name."""
        derived = {item.name: item.sql for item in self.derived}
        return derived | {item.name: item.sql for item in self.measures}

    def resolve_parameters(self, given: Mapping[str, float]) -> dict[str, float]:
        """Merge parameters from a caller over the defaults.

        Args:
            given: Parameter name -> value.

        Returns:
            Every parameter that has a value.

        Raises:
            ConfigError: If a given name is no parameter of this contract.
        """
        known = {parameter.name for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise ConfigError(
                    f"contract {self.name} has no parameter {name!r}",
                    where=f"parameters of {self.name}",
                    fix=suggest_name(name, known) if known else "this contract takes none",
                )
        values = {item.name: item.value for item in self.parameters if item.value is not None}
        return {**values, **{name: float(value) for name, value in given.items()}}
