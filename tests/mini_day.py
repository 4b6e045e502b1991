"""A drawn lake of four days, and the artifacts of day three made of it with untrained policies.

Everything that `evaluation` reads is written by the steps themselves, except the weights.
"""

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from components.corpus_curation.main import make_corpus, write_corpus
from components.evaluation.spec import SPEC
from components.runtime.context import StepContext
from components.simulator_snapshot import main as snapshot_step
from components.tokenization import main as tokenization_step
from gpr_core.data.config import CurationConfig
from gpr_core.data.days import day_end_ms, day_of_ms
from gpr_core.data.engine import Engine
from gpr_core.data.tables import DAY_MS
from gpr_core.evaluation.catalogs import encode_catalog
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.next_day import prepare_next_day
from gpr_core.features.corpus import CuratedDays, curate_days, curate_later_day
from gpr_core.models.checkpoint import CheckpointMeta, save_checkpoint
from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.simulation.config import RankerConfig, SnapshotConfig
from gpr_core.support.files import read_json, write_json
from gpr_core.support.progress import Progress
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.training.config import SequenceConfig
from gpr_core.training.sequence_file import save_sequence
from tests.lake_rows import (
    DAY_0,
    WIDTH,
    land,
    make_embedding,
    make_random_lake,
    make_table,
    take_landed,
)

NUM_DAYS, NUM_ADS = 4, 30
DAY = date(2026, 1, 3)
CUTOFF = day_end_ms(DAY)
NEW_ADS = (31, 32)
PARAMS = EvaluationConfig(
    hit_rate_ks=(1, 10),
    value_candidates=5,
    pool_size=12,
    pool_popular=4,
    resamples=200,
    batch_requests=4,
)

_CURATION = CurationConfig(num_price_buckets=4, num_dwell_buckets=4, cell_min_users=1)
_TOKENIZATION = TokenizationConfig(num_levels=2, codebook_size=4, epochs=2, hidden_width=8)
_SNAPSHOT = SnapshotConfig(
    num_requests=12,
    rehearsed_share=0.25,
    replay_requests=2,
    replay_candidates=4,
    rankers=RankerConfig(min_positives=10_000),
)
_MADE = []


@dataclass
class MiniDay:
    """Folders and tables of the drawn days."""

    root: Path
    curated: CuratedDays

    @property
    def inputs(self):
        return {name: self.root / name for name in SPEC.inputs}

    def context(self, out, *, champion=None, params=PARAMS):
        """Make the surroundings of the step `evaluation`."""
        for name in ("evaluation", "scratch", "reports", "plots"):
            shutil.rmtree(out / name, ignore_errors=True)
            (out / name).mkdir(parents=True)
        return make_context(
            self.root,
            params,
            inputs=self.inputs,
            outputs={"evaluation": out / "evaluation"},
            out=out,
            champion=champion,
        )

    def prepare(self, *, max_requests=1000):
        """Set the evaluation day up."""
        return prepare_next_day(
            self.curated,
            encode_catalog(self.root / "tokenizer", self.curated.canonical),
            self.root / "snapshot",
            max_requests=max_requests,
            max_tokens=32,
            seed=0,
        )


def shared_mini_day(tmp_path_factory):
    """Make the mini day once per process; nothing may write into it."""
    if not _MADE:
        _MADE.append(make_mini_day(tmp_path_factory.mktemp("mini_day")))
    return _MADE[0]


def make_mini_day(root):
    """Draw the lake and make all artifacts below a folder."""
    tables = make_mini_lake()
    land(root / "lake", tables, NUM_DAYS)
    corpus = root / "corpus"
    corpus.mkdir()
    with Engine() as engine:
        train = curate_days(take_landed(tables, CUTOFF), _CURATION, DAY, engine=engine)
        made = make_corpus(train, _CURATION, seed=0)
        write_corpus(corpus, made, train, _CURATION)
        write_split(corpus, made)
        later = take_landed(tables, CUTOFF + DAY_MS)
        curated = curate_later_day(corpus, later, day_of_ms(CUTOFF), engine=engine)
    tokenization = make_context(
        root, _TOKENIZATION, inputs={"corpus": corpus}, outputs=("tokenizer", "catalog")
    )
    tokenization_step.run(tokenization)
    version = read_json(root / "tokenizer" / "tokenizer.json")["version"]
    for seed, name in enumerate(("mtp_checkpoint", "vaft_checkpoint", "hepo_checkpoint")):
        make_policy(root / name, version, seed=seed)
    inputs = {name: root / name for name in ("corpus", "tokenizer", "catalog", "vaft_checkpoint")}
    snapshot_step.run(make_context(root, _SNAPSHOT, inputs=inputs, outputs=("snapshot",)))
    for name in SPEC.inputs:
        seal(root / name)
    return MiniDay(root, curated)


def make_mini_lake():
    """Draw lake tables in which every ad may serve and two ads launch on the last day."""
    tables = make_random_lake(3, num_users=12, num_days=NUM_DAYS, num_ads=NUM_ADS)
    last_day = DAY_0 + (NUM_DAYS - 1) * DAY_MS
    keys = range(1, NUM_ADS + 1)
    versions = [{"ad_key": key, "valid_from": DAY_0} for key in keys]
    versions += [{"ad_key": key, "valid_from": last_day} for key in NEW_ADS]
    free = {"age_mask": 255, "gender_mask": 255, "device_mask": 255, "bid_type": 1}
    money = {"daily_budget_micros": 10**12, "total_budget_micros": 10**14}
    rows = [
        row | free | money | {"bid_micros": 100_000 * (row["ad_key"] % 7 + 1)} for row in versions
    ]
    launched = [
        {"ad_key": key, "launch_ts": last_day, "content_hash": key, "emb_row": 1000 + key}
        for key in NEW_ADS
    ]
    embedded = [
        make_embedding(1000 + key, np.eye(WIDTH)[key % WIDTH].tolist()) | {"encoded_ts": last_day}
        for key in NEW_ADS
    ]
    more = {"ads": launched, "embeddings": embedded}
    added = {
        name: pa.concat_tables([tables[name], make_table(name, *new)]) for name, new in more.items()
    }
    return tables | added | {"ad_versions": make_table("ad_versions", *rows)}


def make_policy(folder, tokenizer_version, *, seed=0, codebook_sizes=(4, 4)):
    """Write an untrained policy with a curve."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)  # noqa: TID251 - weights of a test model
    config = ModelConfig(width=8, attention_heads=2, hsd_layers=1, ptd_layers=1, num_thoughts=2)
    meta = CheckpointMeta(tokenizer_version=tokenizer_version, catalog_version="c", parent=None)
    save_checkpoint(folder, GPR(config, codebook_sizes), meta)
    save_sequence(folder, SequenceConfig(max_tokens=32, new_tokens=16))
    curve = {"update": [1, 2], "loss": [3.0, 2.0], "nll_head_1": [2.5, None]}
    pq.write_table(pa.table(curve), folder / "curve.parquet")


def make_context(root, params, *, inputs, outputs, out=None, champion=None):
    """Make the surroundings of a step."""
    out = out or root
    if not isinstance(outputs, dict):
        outputs = {name: root / name for name in outputs}
    for folder in outputs.values():
        folder.mkdir(exist_ok=True)
    for name in ("scratch", "reports", "plots"):
        (out / name).mkdir(exist_ok=True)
    return StepContext(
        day=DAY,
        cutoff_ts=CUTOFF,
        seed=0,
        threads=1,
        device="cpu",
        params=params,
        inputs=inputs,
        outputs=outputs,
        scratch=out / "scratch",
        plots=out / "plots",
        reports=out / "reports",
        lake=root / "lake",
        oracle=root / "oracle",
        registry=root / "registry",
        champion=champion,
        progress=Progress("test"),
    )


def write_split(corpus, made):
    """Describe the corpus as far as the report reads it."""
    rows = {name: table.num_rows for name, table in made.tables.items()}
    write_json(corpus / "split.json", {"t0": DAY_0, "t1": CUTOFF, "rows": rows})


def seal(folder):
    """Write what the runtime adds to an artifact."""
    gate = {"name": "a_gate", "demand": "holds", "passed": True, "value": 1.0, "bound": 1.0}
    write_json(folder / "gate_report.json", {"step": folder.name, "gates": [gate]})
    write_json(folder / "manifest.json", {"origin": {"code": "ab" * 32, "params": {}}})
