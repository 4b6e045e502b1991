"""The frozen simulator on disk.

catalog/              ads, versions and trie
rankers/              click, conversion and hide
rules.json            business rules
requests.parquet      observed and rehearsed requests with their context
timelines.parquet     what the policy may read at them
thoughts.parquet      what external knowledge said before their days, if anybody asked for it
impressions.parquet   what had been shown and spent: budgets, caps, fatigue
ad_events.parquet     what had come of it: counts that the rankers look at
index.json            hash of every file, and of all of them; written last
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gpr_core.catalog.bundle import Catalog, load_catalog
from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.data.tables import DAY_MS, TokenKind
from gpr_core.features.thoughts import THOUGHTS_TABLE, read_thoughts
from gpr_core.features.timeline import ORDER_COLUMNS
from gpr_core.features.timeline_store import TimelineStore
from gpr_core.simulation.config import RulesConfig, SnapshotConfig
from gpr_core.simulation.ledger import LEDGER_COLUMNS, Ledger
from gpr_core.simulation.ranker_features import RankerFeatures, organic_events
from gpr_core.simulation.ranker_models import OutcomeModel
from gpr_core.simulation.rankers import load_rankers
from gpr_core.simulation.synthetic_requests import REQUEST_COLUMNS, rehearse
from gpr_core.support.config import load_section
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file, hash_value

_REQUESTS, _TIMELINES = "requests.parquet", "timelines.parquet"
_IMPRESSIONS, _AD_EVENTS = "impressions.parquet", "ad_events.parquet"
_RULES, _INDEX = "rules.json", "index.json"
_BOOKKEEPING = (_INDEX, "manifest.json", "gate_report.json")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """A loaded snapshot.

    Attributes:
        snapshot_hash: Hash of all its files.
        catalog: Ads, versions and trie.
        rankers: Outcome -> model.
        rules: Business rules.
        requests: Requests, one row each.
        sequence_key_B: [B] int64, key of the sequence that each request is read in; differs from
            the user's key in private sessions.
        timelines: Tokens of these sequences.
        ad_rows: Outcomes of ads known at the snapshot, of all users.
        ledger: Past impressions.
        features: What the rankers look at.
        thoughts: External knowledge; None where nobody asked for it.
    """

    snapshot_hash: str
    catalog: Catalog
    rankers: dict[str, OutcomeModel]
    rules: RulesConfig
    requests: pa.Table
    sequence_key_B: npt.NDArray[np.int64]
    timelines: pa.Table
    ad_rows: pa.Table
    ledger: Ledger
    features: RankerFeatures
    thoughts: pa.Table | None = None

    def timeline_store(self, sid_map: pa.Table) -> TimelineStore:
        """Load what a policy may read, external knowledge included.

        Args:
            sid_map: Semantic ids of all items, columns item_kind, item_key, c1..cL.

        Returns:
            The timelines.

        Raises:
            ContractError: If an item has no semantic id.
            LeakageError: If a thought knows its own day.
        """
        num_levels = self.catalog.trie.num_levels
        return TimelineStore.from_tables(
            self.timelines, sid_map, num_levels, thoughts=self.thoughts
        )


def choose_requests(
    decisions: pa.Table,
    timelines: pa.Table,
    config: SnapshotConfig,
    *,
    cutoff_ts: int,
    seed: int,
) -> tuple[pa.Table, pa.Table]:
    """Choose the requests of a snapshot and what can be read at them.

    Args:
        decisions: Curated decisions.
        timelines: Curated timelines.
        config: Parameters.
        cutoff_ts: End of the training day, epoch ms.
        seed: Run seed.

    Returns:
        (requests sorted by (ts, request_key), tokens of their sequences).

    Raises:
        ContractError: If no request was observed in the last days.
    """
    ts_X = np.asarray(decisions["ts"].to_numpy())
    is_recent_X = (ts_X >= cutoff_ts - config.request_days * DAY_MS) & (ts_X < cutoff_ts)
    is_real_X = ~np.asarray(decisions["is_synthetic"].to_numpy(zero_copy_only=False)).astype(bool)
    recent = np.flatnonzero(is_recent_X & is_real_X)
    if not recent.size:
        raise ContractError(
            f"no request was observed in the {config.request_days} days before {cutoff_ts}",
            where="corpus decisions",
            fix="raise request_days, or check the landing of the last days",
        )
    wanted = round(config.num_requests * (1.0 - config.rehearsed_share))
    keys = np.asarray(decisions["request_key"].to_numpy())[recent]
    draw = keyed_uniform(seed, "snapshot requests", keys)
    chosen = np.sort(recent[np.argsort(draw, kind="stable")[:wanted]])
    observed = decisions.take(chosen).select(REQUEST_COLUMNS)
    rehearsed, tokens = rehearse(
        decisions,
        timelines,
        count=config.num_requests - wanted,
        now_ts=cutoff_ts - 1,
        seed=seed,
    )
    requests = pa.concat_tables([observed, rehearsed.cast(observed.schema)])
    requests = requests.sort_by([("ts", "ascending"), ("request_key", "ascending")])
    readable = pa.concat_tables([timelines, tokens.cast(timelines.schema)])
    sequences = pc.unique(_request_tokens(readable, requests)["user_key"])
    readable = readable.filter(pc.is_in(readable["user_key"], value_set=sequences))
    readable = readable.sort_by([(name, "ascending") for name in ORDER_COLUMNS])
    return requests.combine_chunks(), readable.combine_chunks()


def save_snapshot(
    folder: Path,
    *,
    requests: pa.Table,
    timelines: pa.Table,
    decisions: pa.Table,
    ad_rows: pa.Table,
    origin: dict[str, str],
    thoughts: pa.Table | None = None,
) -> str:
    """Write the tables beside catalog, rankers and rules, then the index.

    Args:
        folder: Folder that already holds `catalog/`, `rankers/` and `rules.json`.
        requests: From `choose_requests`.
        timelines: From `choose_requests`.
        decisions: Curated decisions: impressions of all users.
        ad_rows: Outcomes of ads, of all users.
        origin: What the snapshot was made with, for the index.
        thoughts: External knowledge of the corpus, of which the requests' is kept; None for none.

    Returns:
        The snapshot hash.
    """
    tables = {
        _REQUESTS: requests,
        _TIMELINES: timelines,
        _IMPRESSIONS: decisions.select(LEDGER_COLUMNS),
        _AD_EVENTS: ad_rows,
    }
    if thoughts is not None:
        tables[THOUGHTS_TABLE] = _thoughts_at(requests, timelines, thoughts)
    for name, table in tables.items():
        pq.write_table(table, folder / name, compression="zstd")
    files = _hash_content(folder)
    snapshot_hash = hash_value(files)
    write_json(folder / _INDEX, {"files": files, "snapshot_hash": snapshot_hash, "origin": origin})
    return snapshot_hash


def write_rules(folder: Path, rules: dict[str, object]) -> None:
    """Write the business rules.

    Args:
        folder: Folder of the snapshot.
        rules: Plain values of a `RulesConfig`.
    """
    write_json(folder / _RULES, rules)


def load_snapshot(folder: Path, *, tokenizer_version: str) -> Snapshot:
    """Read a snapshot, every byte verified.

    Args:
        folder: Folder of the snapshot.
        tokenizer_version: Version that the catalog's paths must be of.

    Returns:
        The snapshot, indexed.

    Raises:
        ArtifactError: If a file is missing, changed or not in the index, or the catalog is of
            another tokenizer.
    """
    path = folder / _INDEX
    if not path.exists():
        raise ArtifactError(
            "snapshot is incomplete: it has no index",
            where=str(path),
            fix="run the step simulator_snapshot",
        )
    index = read_json(path)
    found = _hash_content(folder)
    if found != index["files"]:
        names = sorted({*found.items()} ^ {*index["files"].items()})
        raise ArtifactError(
            f"snapshot is corrupt: {names[0][0]} differs from the index",
            where=str(folder),
            fix="restore the folder, or run the step simulator_snapshot",
        )
    catalog = load_catalog(folder / "catalog", tokenizer_version=tokenizer_version)
    requests, timelines = pq.read_table(folder / _REQUESTS), pq.read_table(folder / _TIMELINES)
    ad_rows = pq.read_table(folder / _AD_EVENTS)
    sequence = _request_tokens(timelines, requests)["user_key"]
    return Snapshot(
        snapshot_hash=index["snapshot_hash"],
        catalog=catalog,
        rankers=load_rankers(folder / "rankers"),
        rules=load_section(RulesConfig, read_json(folder / _RULES), where=str(folder / _RULES)),
        requests=requests,
        sequence_key_B=np.asarray(sequence.to_numpy()).astype(np.int64),
        timelines=timelines,
        ad_rows=ad_rows,
        ledger=Ledger.build(pq.read_table(folder / _IMPRESSIONS), catalog.trie),
        features=RankerFeatures.build(
            ad_rows, organic_events(timelines), catalog.ads, catalog.trie
        ),
        thoughts=read_thoughts(folder),
    )


def sequence_keys(decisions: pa.Table, timelines: pa.Table) -> npt.NDArray[np.int64]:
    """Find the sequence that each request is read in.

    Args:
        decisions: Requests or decisions.
        timelines: Tokens that hold their E tokens.

    Returns:
        One int64 key per row.

    Raises:
        ContractError: If a request has no E token.
    """
    return np.asarray(_request_tokens(timelines, decisions)["user_key"].to_numpy()).astype(np.int64)


def _request_tokens(timelines: pa.Table, requests: pa.Table) -> pa.Table:
    """Find the E token of each request, in the order of the requests."""
    tokens = timelines.filter(pc.equal(timelines["kind"], int(TokenKind.ENVIRONMENT)))
    position = pc.index_in(requests["request_key"], value_set=tokens["request_key"])
    if position.null_count:
        raise ContractError(
            f"{position.null_count} of {requests.num_rows} requests have no E token",
            where="timelines",
            fix="build requests and timelines from the same corpus",
        )
    return tokens.take(position)


def _thoughts_at(requests: pa.Table, timelines: pa.Table, thoughts: pa.Table) -> pa.Table:
    """Keep what was said about the users of the requests, as of their days."""
    day = requests["ts"].to_numpy() // DAY_MS * DAY_MS
    asked = set(zip(sequence_keys(requests, timelines).tolist(), day.tolist(), strict=True))
    pairs = zip(thoughts["user_key"].to_pylist(), thoughts["as_of_ts"].to_pylist(), strict=True)
    return thoughts.filter(pa.array([pair in asked for pair in pairs], pa.bool_()))


def _hash_content(folder: Path) -> dict[str, str]:
    """Hash every file but the bookkeeping of the run."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: hash_file(path) for name, path in sorted(names.items()) if name not in _BOOKKEEPING
    }
