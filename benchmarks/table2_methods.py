"""Train one row of the Table 2 study on one day, and rank the ads of its next day.

Letters: B requests, A ads by rank, K places of a list.
"""

import time
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.study_days import StudyDay
from benchmarks.study_training import train_model
from benchmarks.table2_rows import (
    DECODING_ROW,
    FLOORS,
    ITEM_ID_ROWS,
    RowSpec,
    count_parameters,
    table_rows,
)
from gpr_core.data.tables import TokenKind
from gpr_core.evaluation.floors import Scorer, fit_floors, fit_popularity
from gpr_core.evaluation.next_day import NextDay, illegal_by_rules
from gpr_core.evaluation.policies import hit_rate_beam, rank_ads
from gpr_core.evaluation.ranked_ads import NO_AD, RankedAds, check_distinct, top_ads
from gpr_core.evaluation.retrieval import ad_positions, path_positions
from gpr_core.generation.config import BeamConfig
from gpr_core.models.gpr import GPR
from gpr_core.sequential.methods import TRAINED, Problem
from gpr_core.sequential.ranking import Ranker
from gpr_core.sequential.sequences import Histories, SequenceData
from gpr_core.support.progress import Progress
from gpr_core.training.batches import BatchSource, TrainBatch
from gpr_core.training.config import MtpConfig
from gpr_core.training.mtp import STAGE
from gpr_core.training.supervised import supervised_loss

Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Measured = dict[str, Any]

HIT_RATE_KS = (1, 10, 50, 100)
_REMEMBERED = 50
_SEQUENTIAL = {"sasrec_softmax": "SASRec, softmax", "sasrec_sampled": "SASRec, sampled softmax"}
_BATCH = 64


def run_row(day: StudyDay, name: str, passes: int) -> dict[str, Measured]:
    """Train and judge one row.

    Args:
        day: Where it is trained and judged.
        name: Name of the row.
        passes: Passes of interleaved training.

    Returns:
        Row -> what was measured; the row `hstu` also gives the row that only decodes otherwise.
    """
    torch.set_num_threads(1)
    if name in FLOORS:
        return {name: _measure(day.next_day, floor_lists(day, name))}
    if name in ITEM_ID_ROWS:
        return {name: _item_id_row(day, name)}
    spec = table_rows(day.params.mtp_pretrain.model, day.codebook_sizes)[name]
    return _model_rows(day, name, spec, passes)


def _model_rows(day: StudyDay, name: str, spec: RowSpec, passes: int) -> dict[str, Measured]:
    """Train a model of the class GPR."""
    config = spec.config(day.params.mtp_pretrain, passes)
    model, examples, curve, seconds = train_model(day, config, study="table2", label=name)
    next_day = day.next_day
    policy = day.policy(model, config.sequence.max_tokens)
    beam = hit_rate_beam(day.params.evaluation)
    source = BatchSource(
        examples, config.sequence, config.optimizer, seed=day.seed, stage=STAGE, epochs=1
    )
    found = {name: _measure(next_day, rank_ads(policy, next_day, beam, batch_requests=_BATCH))}
    found[name] |= {
        "kind": spec.kind,
        "parameters": count_parameters(config.model, model.codebook_sizes)._asdict(),
        **_cost(model, source.at(0), config),
        "updates": curve.num_rows,
        "train_seconds": seconds,
        "loss_head_1": float(curve["nll_head_1"].to_numpy()[-1]),
    }
    if name == "hstu":
        guided = BeamConfig(
            num_candidates=beam.num_candidates,
            width_factors=beam.width_factors,
            exhaustive_factor=1,
            order="retrieval",
        )
        lists = rank_ads(policy, next_day, guided, batch_requests=_BATCH)
        found[DECODING_ROW] = {**found[name], **_measure(next_day, lists), "kind": "part"}
    return found


def _cost(model: GPR, batch: TrainBatch, config: MtpConfig) -> Measured:
    """Count the multiplications of one update, forward and backward."""
    model.train()
    with FlopCounterMode(display=False) as counter:
        loss = supervised_loss(
            model, batch, config.value_loss, config.part_loss, use_omega=False
        ).loss
        loss.backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    model.eval()
    tokens = int((batch.timeline.kind_BT != TokenKind.PAD).sum())
    flops = counter.get_total_flops()
    return {
        "megaflop_per_target": flops / len(batch.ts_M) / 1e6,
        "tokens_per_target": tokens / len(batch.ts_M),
    }


def _item_id_row(day: StudyDay, name: str) -> Measured:
    """Train a recommender of ad ids on the exposures of each user."""
    next_day = day.next_day
    known = next_day.exposures.before(day.cutoff_ts)
    histories = _histories(known.user_M, known.rank_M)
    ad_keys_A = np.asarray(next_day.catalog.catalog.trie.ad_key_A)
    data = SequenceData("ads", ad_keys_A.astype(np.int64), histories)
    started = time.monotonic()
    # The method reads sequences only; attributes are for methods with semantic ids.
    problem = Problem(data, attributes=None)  # type: ignore[arg-type]
    fitted = TRAINED[_SEQUENTIAL[name]](problem, day.seed, Progress(f"{name} {day.seed}"))
    (ranker,) = fitted.rankers.values()
    return {
        **_measure(next_day, _top_lists(next_day, partial(_score_by_history, ranker))),
        "kind": "baseline",
        "parameters": {"dense": fitted.num_parameters, "tables": 0},
        "train_seconds": round(time.monotonic() - started, 1),
    }


def floor_lists(day: StudyDay, name: str) -> RankedAds:
    """Rank the eligible ads of every request by a floor of the daily evaluation.

    Args:
        day: Where it is fitted and judged.
        name: One of `FLOORS`.

    Returns:
        Lists as long as the largest cut of the hit rates.
    """
    next_day, config = day.next_day, day.params.evaluation
    popularity = fit_popularity(next_day, config, cutoff_ts=day.cutoff_ts)
    floors = fit_floors(next_day, config, cutoff_ts=day.cutoff_ts, popularity=popularity)
    return _top_lists(next_day, floors[name])


def _score_by_history(ranker: Ranker, recent_BH: Ints) -> Scores:
    """Score all ads by the recent exposures, which come latest first; -inf without any."""
    is_known_BH = recent_BH[:, ::-1] != NO_AD
    row_M, column_M = np.nonzero(is_known_BH)
    has_any_B = is_known_BH.any(axis=1)
    histories = _histories(np.cumsum(has_any_B)[row_M] - 1, recent_BH[:, ::-1][row_M, column_M])
    score_BA = ranker.score(histories).astype(np.float64)
    out_BA = np.full((len(recent_BH), score_BA.shape[1]), -1e30)
    out_BA[has_any_B] = score_BA
    return out_BA


def _histories(user_M: Ints, item_M: Ints) -> Histories:
    """Cut interactions, sorted by user and time, into sequences."""
    starts = np.flatnonzero(np.diff(user_M, prepend=-1)) if user_M.size else user_M
    return Histories(item_M, np.append(starts, user_M.size))


def _top_lists(day: NextDay, score: Scorer) -> RankedAds:
    """Rank the eligible ads of every request by scores of the whole catalog."""
    user_B, ts_B = day.column("user_key"), day.column("ts")
    score_BA = score(day.exposures.recent(user_B, ts_B, _REMEMBERED))
    return top_ads(score_BA, day.eligible_BA, HIT_RATE_KS[-1])


def _measure(day: NextDay, lists: RankedAds) -> Measured:
    """Find the shown ad in the lists; refuse lists that hold an ad twice or an illegal one."""
    check_distinct("table2", lists)
    row, place = np.nonzero(lists.is_ad())
    illegal = int(illegal_by_rules(day, row, lists.rank_BK[row, place]).sum())
    if illegal:
        raise AssertionError(f"{illegal} illegal ads in the lists")
    path_A = day.catalog.catalog.trie.leaves().numpy()
    return {
        "position": ad_positions(lists, day.truth_B).tolist(),
        "path_position": path_positions(lists, day.truth_B, path_A).tolist(),
    }
