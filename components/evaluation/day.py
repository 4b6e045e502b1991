"""Sets the evaluation day up: for the step, and for a look into one of its decodes."""

from datetime import date, timedelta

import pyarrow as pa

from components.runtime.context import StepContext
from components.runtime.lake_inputs import read_checked
from components.runtime.thoughts import collect_thoughts
from gpr_core.data.days import day_start_ms
from gpr_core.data.engine import Engine
from gpr_core.data.lake import Lake
from gpr_core.evaluation.catalogs import encode_catalog
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.next_day import NextDay, prepare_next_day
from gpr_core.features.corpus import (
    CuratedDays,
    corpus_config,
    curate_later_day,
    first_landing_days,
)
from gpr_core.support.errors import ContractError
from gpr_core.training.sequence_file import load_sequence


def curate_evaluation_day(
    context: StepContext[EvaluationConfig], evaluation_day: date
) -> tuple[CuratedDays, pa.Table | None]:
    """Read and check the lake through the next day, curated as the corpus was.

    Whoever thought about the users of the corpus also thinks about those of the next day, from
    what was known at its start.

    Args:
        context: The step.
        evaluation_day: The day after training.

    Returns:
        The curated days, and the thoughts of the next day; None where nobody asked for them.

    Raises:
        ArtifactError: If the next day has not landed.
        ContractError: If a lake table breaks its contract.
    """
    context.progress.phase(f"read the lake through {evaluation_day}")
    corpus = context.inputs["corpus"]
    landed = Lake(context.lake).days()
    first = landed[0] if landed else evaluation_day
    config = corpus_config(corpus)
    first_days = first_landing_days(config, evaluation_day, first)
    if "thoughts" in first_days:
        first_days["thoughts"] = evaluation_day
    tables = read_checked(context, first_days, evaluation_day)
    context.progress.phase("curate the next day")
    with Engine(context.threads) as engine:
        curated = curate_later_day(corpus, tables, evaluation_day, engine=engine)
    if config.thoughts.provider == "none":
        return curated, None
    start_ts = day_start_ms(evaluation_day)
    thoughts = collect_thoughts(
        context, config.thoughts, curated, tables["thoughts"], from_ts=start_ts
    )
    return curated, thoughts


def prepare_evaluation_day(
    context: StepContext[EvaluationConfig], curated: CuratedDays, thoughts: pa.Table | None
) -> NextDay:
    """Encode new items and set the day up.

    Args:
        context: The step.
        curated: Tables through the next day.
        thoughts: Its thoughts; None where nobody asked for them.

    Returns:
        The day.

    Raises:
        ArtifactError: If an input does not fit the others.
        ContractError: If the day has no real request.
    """
    context.progress.phase("encode new items, compute eligibility")
    day = prepare_next_day(
        curated,
        encode_catalog(context.inputs["tokenizer"], curated.canonical),
        context.inputs["snapshot"],
        max_requests=context.params.max_requests,
        max_tokens=load_sequence(context.inputs["hepo_checkpoint"]).max_tokens,
        seed=context.seed,
        thoughts=thoughts,
    )
    if day.requests.num_rows == 0:
        raise ContractError(
            f"no real request landed on {context.day + timedelta(days=1)}: nothing to evaluate on",
            where=f"lake {context.lake}",
            fix="check the landing of requests and impressions of that day",
        )
    return day
