"""The gates of the step `tokenization`."""

from collections.abc import Mapping

import numpy as np

from components.runtime.context import GateResult
from components.tokenization.encoding import Encoding
from components.tokenization.items import TRAIN, Items
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import Tokenizer
from gpr_core.tokenizer.quality import CodebookQuality, code_usage, collision_gain


def measure_gates(
    params: TokenizationConfig,
    items: Items,
    ours: Encoding,
    quality: Mapping[str, Mapping[str, CodebookQuality]],
    tokenizer: Tokenizer,
) -> tuple[GateResult, ...]:
    """Judge the ids.

    Args:
        params: Bounds.
        items: The items.
        ours: Their codes.
        quality: Tokenizer -> split -> measures.
        tokenizer: What made the codes.

    Returns:
        One result for each gate of the spec.
    """
    num_missing = items.num_expected - items.num_known
    is_train_M = (items.split_M == TRAIN) & items.is_canonical_M
    usage = code_usage(ours.code_ML[is_train_M, 0], ours.codebook_sizes[0])
    gain = collision_gain(quality["tokenizer"]["all"], quality["rq_kmeans"]["all"])
    arrays = (*tokenizer.codebooks, ours.rebuilt_MD)
    num_bad = sum(int((~np.isfinite(array)).sum()) for array in arrays)
    return (
        GateResult(
            name="every_item_has_id",
            passed=num_missing == 0 and items.num_expected > 0,
            value=float(num_missing),
            bound=0.0,
            message=f"{num_missing} of {items.num_expected} items have no vector and so no id; "
            "curate their embeddings",
        ),
        GateResult(
            name="cur_level_1",
            passed=usage >= params.min_usage,
            value=usage,
            bound=params.min_usage,
            message=f"training items use {usage:.1%} of the first-level codes, expected at least "
            f"{params.min_usage:.1%}; use a smaller codebook_size or refit",
        ),
        GateResult(
            name="collision_not_above_rq_kmeans",
            passed=gain <= params.max_collision_gain,
            value=gain,
            bound=params.max_collision_gain,
            message=f"collision over {items.table.num_rows} items is {gain:+.2%} from RQ-KMeans, "
            f"expected at most {params.max_collision_gain:+.2%}; refit with "
            "`gpr run --set run.refit=true`, or use kind: rq_kmeans",
        ),
        GateResult(
            name="no_nan",
            passed=num_bad == 0,
            value=float(num_bad),
            bound=0.0,
            message=f"{num_bad} numbers in codebooks and reconstructions are not finite; lower "
            "learning_rate",
        ),
    )
