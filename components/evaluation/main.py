"""Step 7: judge the checkpoints on the day after training, and give the verdict."""

import math
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.evaluation.day import curate_evaluation_day, prepare_evaluation_day
from components.evaluation.decodes import example_decode
from components.evaluation.differences import compare, paired_evidence
from components.evaluation.outputs import Judgement, write_outputs
from components.runtime.context import GateResult, StepContext, StepResult
from components.runtime.model_store import ModelStore
from components.runtime.thoughts import provider_metrics
from gpr_core.evaluation.catalogs import encode_catalog
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.floors import fit_popularity
from gpr_core.evaluation.intervals import UserBootstrap
from gpr_core.evaluation.measures import (
    Columns,
    count_illegal_ads,
    retrieval_columns,
    summarize,
    truth_columns,
    value_columns,
)
from gpr_core.evaluation.next_day import NextDay
from gpr_core.evaluation.policies import (
    Proposals,
    floor_proposals,
    load_policy,
    propose,
)
from gpr_core.evaluation.pool import fixed_pool
from gpr_core.evaluation.verdict import decide
from gpr_core.evaluation.worth import simulated_worth, true_worth, wanted_pairs
from gpr_core.features.corpus import CuratedDays
from gpr_core.knowledge.cache import count_providers
from gpr_core.world.oracle import Oracle

PARAMS = EvaluationConfig

_CHECKPOINTS = {"hepo": "hepo_checkpoint", "vaft": "vaft_checkpoint", "mtp": "mtp_checkpoint"}


class Judged(NamedTuple):
    """Everything measured.

    Attributes:
        columns: `<method>/<metric>` -> [B] float64.
        illegal: Method -> illegal ads.
        value_scale: Names and numbers of the shared range of final values.
    """

    columns: Columns
    illegal: dict[str, int]
    value_scale: dict[str, float]


def run(context: StepContext[EvaluationConfig]) -> StepResult:
    """Judge all checkpoints and floors on the next day.

    A policy that may not be promoted is a result, not a failure: the evaluation is published with
    `promote: false`, and the step `model_push` refuses it.

    Args:
        context: Inputs, lake, oracle (if there is one), registry and parameters.

    Returns:
        Metrics and the four gates.

    Raises:
        ArtifactError: If the next day has not landed, or an input does not fit the others.
        ContractError: If a lake table breaks its contract, or the next day has no request.
    """
    evaluation_day = context.day + timedelta(days=1)
    curated, thoughts = curate_evaluation_day(context, evaluation_day)
    day = prepare_evaluation_day(context, curated, thoughts)
    judged = _judge(context, curated, day)
    bootstrap = UserBootstrap(
        day.column("user_key"),
        seed=context.seed,
        resamples=context.params.resamples,
        confidence=context.params.confidence,
    )
    context.progress.phase("resample users")
    values = summarize(judged.columns, bootstrap)
    evidence = paired_evidence(
        judged.columns, values, bootstrap, context.params, context.champion, judged.illegal
    )
    judgement = Judgement(
        day=day,
        columns=judged.columns,
        values=values,
        differences=compare(judged.columns, bootstrap, context.params),
        verdict=decide(evidence, context.params.verdict),
        illegal=judged.illegal,
        value_scale=judged.value_scale,
        has_truth="truth/fidelity" in judged.columns,
    )
    context.progress.phase("look into one decode, write tables and report")
    example = example_decode(context, day, curated.canonical["ads"])
    write_outputs(context, judgement, example, evaluation_day)
    gates = _gates(context.params, day, judged.illegal)
    metrics = {name: interval.value for name, interval in sorted(values.items())}
    metrics["promote"] = float(judgement.verdict.promote)
    if thoughts is None:
        return StepResult(metrics=metrics, gates=gates)
    metrics |= provider_metrics(thoughts)
    return StepResult(metrics=metrics, gates=gates, providers=count_providers(thoughts))


def _judge(context: StepContext[EvaluationConfig], curated: CuratedDays, day: NextDay) -> Judged:
    """Collect proposals of all methods and measure them."""
    params = context.params
    popularity = fit_popularity(day, params, cutoff_ts=context.cutoff_ts)
    pool_BP = fixed_pool(
        day.requests["request_key"].to_numpy(),
        day.truth_B,
        day.eligible_BA,
        popularity.share_A,
        day.catalog.catalog.ads.ad_key_A,
        size=params.pool_size,
        popular=params.pool_popular,
        seed=context.seed,
    )
    proposals = _policy_proposals(context, curated, day, pool_BP) | floor_proposals(
        day, pool_BP, params, cutoff_ts=context.cutoff_ts, popularity=popularity
    )
    illegal = count_illegal_ads(day, proposals)
    context.progress.phase("ask the frozen rankers what the candidates are worth")
    lists = [pool_BP, *(offer.auction.rank_BK for offer in proposals.values())]
    pairs = wanted_pairs(lists, day.catalog.catalog.trie.num_ads)
    simulated = simulated_worth(day, pairs)
    columns, scales = value_columns(proposals, pool_BP, simulated, params)
    columns |= retrieval_columns(day, proposals, params)
    if (context.oracle / "world.json").exists():
        context.progress.phase("ask the truth of the synthetic world")
        oracle = Oracle(context.oracle)
        truth = true_worth(day, oracle, pairs, candidates=params.value_candidates)
        columns |= truth_columns(proposals, pool_BP, simulated, truth, params)
    return Judged(columns, illegal, scales._asdict())


def _policy_proposals(
    context: StepContext[EvaluationConfig],
    curated: CuratedDays,
    day: NextDay,
    pool_BP: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> dict[str, Proposals]:
    """Let every checkpoint, and the champion, propose."""
    policies = {
        name: (context.inputs[artifact], day.catalog, day.store)
        for name, artifact in _CHECKPOINTS.items()
    }
    if context.champion is not None:
        registry = ModelStore(context.registry)
        registry.verify(context.champion)
        folder = registry.path(context.champion)
        catalog, store = day.catalog, day.store
        if not _same_tokenizer(folder / "tokenizer", context.inputs["tokenizer"]):
            catalog = encode_catalog(folder / "tokenizer", curated.canonical)
            store = day.store_in(catalog)
        policies["champion"] = (folder / "policy", catalog, store)
    proposals = {}
    for name, (folder, catalog, timelines) in policies.items():
        context.progress.phase(f"{name} proposes for {len(pool_BP)} requests")
        policy = load_policy(folder, catalog, timelines, device=context.device)
        proposals[name] = propose(policy, day, pool_BP, context.params, context.progress.update)
    return proposals


def _same_tokenizer(left: Path, right: Path) -> bool:
    """Tell whether two folders hold the same tokenizer and the same ids."""
    names = ("tokenizer.json", "sid_map.parquet")
    return all((left / name).read_bytes() == (right / name).read_bytes() for name in names)


def _gates(
    params: EvaluationConfig, day: NextDay, illegal: dict[str, int]
) -> tuple[GateResult, ...]:
    """Judge the evaluation itself."""
    num_requests = day.requests.num_rows
    eligible_share = float(day.truth_eligible().mean())
    synthetic = int(day.requests["is_synthetic"].to_numpy(zero_copy_only=False).sum())
    total = sum(illegal.values())
    return (
        GateResult(
            name="no_illegal_ad",
            passed=total == 0,
            value=float(total),
            bound=0.0,
            message=f"{total} emitted ads may not serve their request: {illegal}; "
            "look at eligibility and legality of the catalog",
        ),
        GateResult(
            name="truth_eligible",
            passed=not math.isnan(eligible_share) and eligible_share >= params.min_truth_eligible,
            value=eligible_share,
            bound=params.min_truth_eligible,
            message=f"the ad that was shown counts as eligible for {eligible_share:.2%} of the "
            f"requests, expected {params.min_truth_eligible:.2%}; our eligibility differs from "
            "what served the day: check versions, budgets and caps of the lake",
        ),
        GateResult(
            name="no_synthetic_rows",
            passed=synthetic == 0,
            value=float(synthetic),
            bound=0.0,
            message=f"{synthetic} rehearsed requests entered the metrics; none may",
        ),
        GateResult(
            name="enough_requests",
            passed=num_requests > 0,
            value=float(num_requests),
            bound=1.0,
            message=f"{num_requests} requests were evaluated, expected at least one",
        ),
    )
