"""The rows of the Table 2 study: what each of them is, and how it is trained.

All rows share tokens, semantic ids, catalog, eligibility, requests and the width of the beam. A row
of the paper's table is HSTU and one part; a control has as many parameters as a part, without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.models.variants import (
    CONTROLS,
    OWN_PARTS,
    SINGLE_PARTS,
    full_gpr,
    hstu,
    one_rec,
    tiger,
)
from gpr_core.training.config import MtpConfig, ValueLossConfig

FLOORS = ("popularity", "repeat_last", "transitions", "item_knn")
ITEM_ID_ROWS = ("sasrec_softmax", "sasrec_sampled")
DECODING_ROW = "hstu+value_guided_decoding"

_TABLES = ("codes.table_VE", "inputs.field_VE", "inputs.kind_KD", "knowledge.word_VD")
_WIDTH, _HEADS = 32, 2
# An encoder-decoder reads the history anew for every request; with one pass where the others make
# several it has seen fewer targets and read more tokens than they have.
_PREFIX_BATCH = 6


@dataclass(frozen=True)
class RowSpec:
    """One trained row.

    Attributes:
        model: Architecture.
        kind: Baseline, one part of the paper or of our own, control, or complete model.
        layout: How training sequences are cut.
        backbone_grad: Share of the gradient of value losses that reaches HSD.
    """

    model: ModelConfig
    kind: Literal["baseline", "part", "own part", "control", "complete"]
    layout: Literal["interleaved", "prefix"] = "interleaved"
    backbone_grad: float = 0.0

    def config(self, default: MtpConfig, passes: int) -> MtpConfig:
        """Give the parameters of its training.

        Args:
            default: What is the same for all rows.
            passes: Passes of interleaved training; prefix training makes one.

        Returns:
            The parameters.
        """
        optimizer, is_prefix = default.optimizer, self.layout == "prefix"
        if is_prefix:
            batch = optimizer.batch_windows * _PREFIX_BATCH
            optimizer = replace(optimizer, batch_windows=batch)
        return replace(
            default,
            model=self.model,
            optimizer=optimizer,
            sequence=replace(default.sequence, layout=self.layout),
            value_loss=ValueLossConfig(backbone_grad=self.backbone_grad),
            epochs=1 if is_prefix else passes,
        )


def table_rows(default: ModelConfig, codebook_sizes: tuple[int, ...]) -> Mapping[str, RowSpec]:
    """List the trained rows of the model class.

    Args:
        default: Depth and dropout of all rows.
        codebook_sizes: V of each level.

    Returns:
        Name -> row, in the order of the table.
    """
    daily = replace(default, width=_WIDTH, attention_heads=_HEADS, copies_history=False)
    base, full = hstu(daily), full_gpr(daily)
    rows = {
        "hstu": RowSpec(base, "baseline"),
        "tiger": RowSpec(tiger(daily), "baseline", layout="prefix"),
        "one_rec": RowSpec(one_rec(daily), "baseline", layout="prefix"),
    }
    rows |= {f"hstu+{name}": RowSpec(add(base), "part") for name, add in SINGLE_PARTS.items()}
    rows["hstu+hte"] = RowSpec(base, "part", backbone_grad=1.0)
    rows |= {f"hstu+{name}": RowSpec(add(base), "own part") for name, add in OWN_PARTS.items()}
    rows |= {f"hstu+{name}": RowSpec(add(base), "control") for name, add in CONTROLS.items()}
    wide = _as_large_as(count_parameters(full, codebook_sizes).dense, base, codebook_sizes)
    rows["hstu_as_large_as_gpr"] = RowSpec(wide, "control")
    rows["gpr_daily"] = RowSpec(daily, "complete")
    rows["gpr_full"] = RowSpec(full, "complete")
    rows["gpr_daily+copying"] = RowSpec(replace(daily, copies_history=True), "complete")
    return rows


class Parameters(NamedTuple):
    """Parameters that decide what is generated; those of the value heads are not counted.

    Attributes:
        dense: Used for every token.
        tables: Rows of look-up tables.
    """

    dense: int
    tables: int


def count_parameters(config: ModelConfig, codebook_sizes: tuple[int, ...]) -> Parameters:
    """Count parameters.

    Args:
        config: Architecture.
        codebook_sizes: V of each level.

    Returns:
        Their numbers.
    """
    sizes = {
        name: values.numel()
        for name, values in GPR(config, codebook_sizes).named_parameters()
        if not name.startswith("hte.")
    }
    tables = sum(size for name, size in sizes.items() if name in _TABLES)
    return Parameters(sum(sizes.values()) - tables, tables)


def _as_large_as(wanted: int, base: ModelConfig, codebook_sizes: tuple[int, ...]) -> ModelConfig:
    """Widen a model until it has as many dense parameters as another."""
    width = base.width
    while count_parameters(replace(base, width=width), codebook_sizes).dense < wanted:
        width += base.attention_heads * 2
    return replace(base, width=width)
