"""Looks into decodes of the policy that would be pushed, as it serves."""

import numpy as np
import pyarrow as pa

from components.runtime.context import StepContext
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.decode_view import (
    DecodeView,
    choose_example,
    describe_decode,
    titles_by_rank,
)
from gpr_core.evaluation.next_day import NextDay
from gpr_core.evaluation.policies import auction_search, explain_decodes, load_policy

_EXAMPLES = 32


def example_decode(
    context: StepContext[EvaluationConfig], day: NextDay, ads: pa.Table
) -> DecodeView:
    """Look into the decode that shows most among the first requests of the day.

    Args:
        context: Inputs and parameters of the step.
        day: The evaluation day, with at least one request.
        ads: Lake table `ads`, for the titles.

    Returns:
        The first of the decodes with the most different fates, in words.
    """
    rows_B = np.arange(min(_EXAMPLES, day.requests.num_rows))
    policy = load_policy(
        context.inputs["hepo_checkpoint"], day.catalog, day.store, device=context.device
    )
    decodes = explain_decodes(policy, day, auction_search(context.params), rows_B)
    row = choose_example(decodes)
    tables = day.catalog.catalog
    return describe_decode(
        int(day.column("request_key")[row]),
        int(day.eligible_BA[row].sum()),
        decodes[row],
        tables,
        titles_by_rank(ads, tables.trie),
    )
