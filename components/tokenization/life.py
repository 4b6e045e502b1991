"""The tokenizer's life on the day of the run, and the map from old ids to new ones on a refit."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.runtime.context import StepContext
from components.tokenization.items import HELD_OUT, Items
from components.tokenization.start import champion_folder
from gpr_core.data.days import day_end_ms, parse_day
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.drift import TokenizerLife, measure_life
from gpr_core.tokenizer.id_map import ID_MAP_SCHEMA, build_id_map
from gpr_core.tokenizer.quality import path_ids
from gpr_core.tokenizer.residual import Floats


def life_of_the_day(
    context: StepContext[TokenizationConfig], items: Items, code_ML: Any, error_M: Floats
) -> TokenizerLife:
    """Measure how well the tokenizer fits the items born since its fit.

    Args:
        context: Champion and registry; the life of codebooks that are kept goes on.
        items: All items.
        code_ML: [M, L] int16 codes.
        error_M: [M] float32 squared reconstruction errors.

    Returns:
        The life as of today.

    Raises:
        ArtifactError: If the champion's tokenizer has no recorded life.
    """
    if context.keeps_codebooks:
        life = TokenizerLife.load(champion_folder(context))
    else:
        held_out_M = items.split_M == HELD_OUT
        life = TokenizerLife(
            fitted_day=context.day.isoformat(),
            held_out_error=float(error_M[held_out_M].mean()) if held_out_M.any() else 0.0,
        )
    is_new_M = items.born_ts_M >= day_end_ms(parse_day(life.fitted_day))
    return measure_life(life, path_ids(code_ML), error_M, np.asarray(is_new_M))


def id_map_of_the_day(context: StepContext[TokenizationConfig], sid_map: pa.Table) -> pa.Table:
    """Pair the champion's ids with the new ones where the tokenizer was refitted.

    Args:
        context: Champion and registry.
        sid_map: Ids of the day.

    Returns:
        `ID_MAP_SCHEMA`; empty where ids were kept or there were none before.
    """
    if context.champion is None or not context.refit:
        return ID_MAP_SCHEMA.empty_table()
    return build_id_map(pq.read_table(champion_folder(context) / "sid_map.parquet"), sid_map)


def life_metrics(life: TokenizerLife) -> dict[str, float]:
    """Flatten a life for the metrics of the step.

    Args:
        life: The tokenizer's life.

    Returns:
        What was measured, by name.
    """
    values = {
        "num_new": life.num_new,
        "held_out_error": life.held_out_error,
        "new_error": life.new_error,
        "new_collision": life.new_collision,
        "old_collision": life.old_collision,
    }
    return {f"life/{name}": float(value) for name, value in values.items() if value is not None}
