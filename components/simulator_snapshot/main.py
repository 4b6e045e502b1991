"""The work of the step `simulator_snapshot`."""

import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.runtime.context import GateResult, StepContext, StepResult
from gpr_core.catalog.bundle import Catalog, load_catalog
from gpr_core.data.tables import HOUR_MS
from gpr_core.features.thoughts import read_thoughts
from gpr_core.generation.config import BeamConfig
from gpr_core.models.checkpoint import load_checkpoint
from gpr_core.simulation.config import RankerConfig, SnapshotConfig
from gpr_core.simulation.ranker_data import FittedRankers, fit_rankers, logged_rows, report_values
from gpr_core.simulation.ranker_features import RankerFeatures, ad_events, organic_events
from gpr_core.simulation.rankers import FitReport, save_rankers
from gpr_core.simulation.rollout import Simulator
from gpr_core.simulation.snapshot import (
    choose_requests,
    load_snapshot,
    save_snapshot,
    sequence_keys,
    write_rules,
)
from gpr_core.support.config import to_mapping
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_file
from gpr_core.training.sequence_file import load_sequence

PARAMS = SnapshotConfig


def run(context: StepContext[SnapshotConfig]) -> StepResult:
    """Fit the rankers, freeze the snapshot and replay it.

    Args:
        context: Inputs `corpus`, `tokenizer`, `catalog`, `vaft_checkpoint`; output `snapshot`.

    Returns:
        Quality of the rankers, counts of requests, and the three gates.

    Raises:
        ContractError: If corpus and catalog do not fit each other, or there is no recent request.
        ArtifactError: If an input is damaged or of another tokenizer.
    """
    corpus, folder = context.inputs["corpus"], context.outputs["snapshot"]
    tokenizer_version = str(read_json(context.inputs["tokenizer"] / "tokenizer.json")["version"])
    catalog = load_catalog(context.inputs["catalog"], tokenizer_version=tokenizer_version)
    timelines, decisions = (
        pq.read_table(corpus / f"{name}.parquet") for name in ("timelines", "decisions")
    )
    context.progress.phase("fitting rankers")
    rankers = _fit(context, decisions, timelines, catalog)
    context.progress.phase("freezing")
    requests, readable = choose_requests(
        decisions, timelines, context.params, cutoff_ts=context.cutoff_ts, seed=context.seed
    )
    save_rankers(folder / "rankers", rankers.models)
    write_rules(folder, to_mapping(context.params.rules))
    _copy_catalog(context.inputs["catalog"], folder / "catalog")
    save_snapshot(
        folder,
        requests=requests,
        timelines=readable,
        decisions=decisions,
        ad_rows=ad_events(timelines),
        origin=_origin(context, catalog, tokenizer_version),
        thoughts=read_thoughts(corpus),
    )
    context.progress.phase("replaying")
    same_share, rows = _replay(context, folder, tokenizer_version)
    is_synthetic = np.asarray(requests["is_synthetic"].to_numpy(zero_copy_only=False))
    metrics = {
        **report_values(rankers.reports),
        "requests/observed": float((~is_synthetic.astype(bool)).sum()),
        "requests/rehearsed": float(is_synthetic.sum()),
        "replay/candidates": float(rows),
    }
    return StepResult(
        metrics=metrics,
        gates=(
            *_ranker_gates(context.params.rankers, rankers.reports["ctr"]),
            _replay_gate(same_share, rows),
        ),
    )


def _fit(
    context: StepContext[SnapshotConfig], decisions: pa.Table, timelines: pa.Table, catalog: Catalog
) -> FittedRankers:
    """Fit the rankers on everything that landed before the snapshot minus its lag."""
    features = RankerFeatures.build(
        ad_events(timelines), organic_events(timelines), catalog.ads, catalog.trie
    )
    config = context.params.rankers
    rows = logged_rows(
        decisions,
        sequence_keys(decisions, timelines),
        features,
        catalog,
        before_ts=context.cutoff_ts - round(config.lag_hours * HOUR_MS),
    )
    return fit_rankers(
        rows, config, cutoff_ts=context.cutoff_ts, seed=context.seed, threads=context.threads
    )


def _copy_catalog(source: Path, target: Path) -> None:
    """Copy the catalog without the bookkeeping of the step that made it."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("index.safetensors", "ads.parquet", "ad_versions.parquet", "catalog.json"):
        shutil.copyfile(source / name, target / name)


def _origin(
    context: StepContext[SnapshotConfig], catalog: Catalog, tokenizer_version: str
) -> dict[str, str]:
    """Name what the snapshot was made with."""
    weights = context.inputs["vaft_checkpoint"] / "weights.safetensors"
    return {
        "catalog_version": catalog.version,
        "tokenizer_version": tokenizer_version,
        "policy_hash": hash_file(weights),
        "day": context.day.isoformat(),
    }


def _replay(
    context: StepContext[SnapshotConfig], folder: Path, tokenizer_version: str
) -> tuple[float, int]:
    """Roll the starting policy out twice, each time from the files; returns (equal share, rows)."""
    shards = [_roll_once(context, folder, tokenizer_version) for _ in range(2)]
    first, second = shards
    if first.num_rows != second.num_rows:
        return 0.0, first.num_rows
    same = [first[name].equals(second[name]) for name in first.column_names]
    return sum(same) / len(same), first.num_rows


def _roll_once(
    context: StepContext[SnapshotConfig], folder: Path, tokenizer_version: str
) -> pa.Table:
    """Load everything from disk and roll the starting policy out on some requests."""
    checkpoint = context.inputs["vaft_checkpoint"]
    snapshot = load_snapshot(folder, tokenizer_version=tokenizer_version)
    sid_map = pq.read_table(context.inputs["tokenizer"] / "sid_map.parquet")
    store = snapshot.timeline_store(sid_map)
    max_tokens = load_sequence(checkpoint).max_tokens
    simulator = Simulator(
        snapshot=snapshot,
        prefixes=lambda keys: store.prefix_batch(keys, max_tokens),
        device=context.device,
    )
    policy = load_checkpoint(checkpoint, tokenizer_version=tokenizer_version, device=context.device)
    beam = BeamConfig(
        num_candidates=context.params.replay_candidates,
        width_factors=(1.5,),
        value_bonus=(0.0,),
        share_by_value=False,
        leaf_ads=1,
        mode="gumbel",
        advertiser_cap=snapshot.rules.advertiser_cap,
    )
    rows = np.arange(min(context.params.replay_requests, simulator.num_requests))
    rollout = simulator.rollout(policy, rows, beam, seed=context.seed)
    return simulator.table(rollout, policy_hash=hash_file(checkpoint / "weights.safetensors"))


def _ranker_gates(config: RankerConfig, report: FitReport) -> tuple[GateResult, GateResult]:
    """Judge the click ranker on held-out logs; without any click there it fails."""
    deviation = abs(report.calibration - 1.0)
    bound = config.calibration_tolerance + 3.0 / math.sqrt(max(report.positives, 1))
    # A positive row's place among the others is uniform if the ranker knows nothing.
    lowest_auc = config.min_auc - 2.0 / math.sqrt(12.0 * max(report.positives, 1))
    return (
        GateResult(
            name="ranker_calibration",
            passed=report.positives > 0 and deviation <= bound,
            value=report.calibration,
            bound=bound,
            message=f"predicted over observed clicks is {report.calibration:.3f} on {report.rows} "
            f"held-out impressions with {report.positives} clicks, expected 1 within {bound:.3f}; "
            "check the click labels of the last days, or refit with more data",
        ),
        GateResult(
            name="ranker_auc",
            passed=report.positives > 0 and report.auc > lowest_auc,
            value=report.auc,
            bound=lowest_auc,
            message=f"the click ranker's AUC is {report.auc:.3f} on {report.rows} held-out "
            f"impressions, expected above {lowest_auc:.3f}; check its features and labels",
        ),
    )


def _replay_gate(same_share: float, rows: int) -> GateResult:
    """Judge the replay; no candidate is a failure."""
    return GateResult(
        name="replay_bit_exact",
        passed=rows > 0 and same_share == 1.0,
        value=same_share,
        bound=1.0,
        message=f"{same_share:.0%} of the columns of {rows} replayed candidates are identical, "
        "expected all; look for a draw that does not come from a named stream",
    )
