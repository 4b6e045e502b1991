"""A complete set of small artifacts, as the steps before `model_push` leave them."""

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from components.model_push.spec import SPEC
from components.runtime.context import StepContext
from components.runtime.model_store import content_hash
from gpr_core.catalog.bundle import save_catalog
from gpr_core.data.days import day_end_ms, day_start_ms
from gpr_core.data.tables import TABLES, ItemKind
from gpr_core.evaluation.config import PromotionConfig
from gpr_core.models.checkpoint import CheckpointMeta, save_checkpoint
from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.support.files import read_json, write_json
from gpr_core.support.progress import Progress
from gpr_core.tokenizer.sid_map import build_sid_map
from gpr_core.training.config import SequenceConfig
from gpr_core.training.sequence_file import save_sequence

DAY = date(2026, 3, 1)
NUM_ADS, NUM_CONTENT, SIZES = 12, 5, (4, 4)


def make_ads():
    key_A = np.arange(1, NUM_ADS + 1)
    values = dict.fromkeys(TABLES["ads"].schema.names, key_A)
    values |= {"launch_ts": np.zeros(NUM_ADS, dtype=np.int64), "title": [""] * NUM_ADS}
    return pa.table(values, schema=TABLES["ads"].schema)


def make_ad_versions():
    schema = TABLES["ad_versions"].schema
    key_A = np.arange(1, NUM_ADS + 1)
    values = {name: np.ones(NUM_ADS, dtype=np.int64) for name in schema.names} | {
        "ad_key": key_A,
        "valid_from": np.full(NUM_ADS, day_start_ms(DAY)),
        "valid_to": pa.nulls(NUM_ADS, pa.int64()),
        "bid_micros": key_A * 1_000_000,
        "daily_budget_micros": key_A * 10**9,
        "total_budget_micros": key_A * 10**11,
        "status": np.zeros(NUM_ADS, dtype=np.int64),
        # Every second ad is for gender 1 only.
        "gender_mask": np.where(key_A % 2 == 0, 255, 2),
        "age_mask": np.full(NUM_ADS, 255),
        "device_mask": np.full(NUM_ADS, 255),
        "geo_set": [[]] * NUM_ADS,
    }
    return pa.table({name: values[name] for name in schema.names}, schema=schema)


def make_catalog(folder, tokenizer):
    kinds = [int(ItemKind.AD)] * NUM_ADS + [int(ItemKind.CONTENT)] * NUM_CONTENT
    keys = [*range(1, NUM_ADS + 1), *range(1, NUM_CONTENT + 1)]
    items = pa.table({"item_kind": kinds, "item_key": keys})
    codes = np.array([[idx % 4, idx // 4 % 4] for idx in range(len(keys))])
    ads, error = make_ads(), np.zeros(len(keys), dtype=np.float32)
    sid_map = build_sid_map(items, codes, error, ads, tokenizer_version="tok")
    tokenizer.mkdir()
    pq.write_table(sid_map, tokenizer / "sid_map.parquet")
    write_json(tokenizer / "tokenizer.json", {"version": "tok"})
    arguments = {"codebook_sizes": SIZES, "tokenizer_version": "tok"}
    save_catalog(folder, sid_map, ads, make_ad_versions(), **arguments)


def make_policy(folder, *, tokenizer_version="tok", **changes):
    torch.manual_seed(0)  # noqa: TID251 - weights of a test model
    small = {"width": 8, "attention_heads": 2, "hsd_layers": 1, "ptd_layers": 1, "num_thoughts": 2}
    config = ModelConfig(**small, **changes)
    meta = CheckpointMeta(tokenizer_version=tokenizer_version, catalog_version="cat", parent=None)
    folder.mkdir(exist_ok=True)
    save_checkpoint(folder, GPR(config, SIZES), meta)
    save_sequence(folder, SequenceConfig())


def make_verdict(root, **changes):
    verdict = {
        "promote": True,
        "reasons": ["HR@10 is above the popularity floor"],
        "champion": None,
        "policy_hash": content_hash(root / "hepo_checkpoint"),
        "tokenizer_hash": content_hash(root / "tokenizer"),
        "catalog_hash": content_hash(root / "catalog"),
    } | changes
    write_json(root / "evaluation" / "verdict.json", verdict)


@dataclass
class Stage:
    """A step's surroundings; `verdict` rewrites the verdict."""

    root: Path

    @property
    def registry(self):
        return self.root / "registry"

    def verdict(self, **changes):
        make_verdict(self.root / "inputs", **changes)

    def context(self, *, day=DAY, **params):
        for name in ("out", "scratch", "reports", "plots"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).mkdir()
        return StepContext(
            day=day,
            cutoff_ts=day_end_ms(day),
            seed=0,
            threads=1,
            device="cpu",
            params=PromotionConfig(**{"smoke_requests": 5, "latency_budget_ms": 60_000.0} | params),
            inputs={name: self.root / "inputs" / name for name in SPEC.inputs},
            outputs={"push": self.root / "out"},
            scratch=self.root / "scratch",
            plots=self.root / "plots",
            reports=self.root / "reports",
            lake=self.root / "lake",
            oracle=self.root / "oracle",
            registry=self.registry,
            champion=None,
            progress=Progress("model_push"),
        )

    def receipt(self):
        path = self.root / "out" / "receipt.json"
        return read_json(path) if path.exists() else None


@pytest.fixture(scope="session")
def finished_artifacts(tmp_path_factory):
    root = tmp_path_factory.mktemp("artifacts")
    make_catalog(root / "catalog", root / "tokenizer")
    make_policy(root / "hepo_checkpoint")
    for name in ("corpus", "evaluation"):
        (root / name).mkdir()
    for name in ("buckets", "embedding_stats", "value_weights"):
        write_json(root / "corpus" / f"{name}.json", {"version": 1})
    write_json(root / "corpus" / "split.json", {"day": DAY.isoformat(), "users": 7, "rows": {}})
    interval = {"value": 0.25, "ci_low": 0.2, "ci_high": 0.3, "n": 10}
    write_json(root / "evaluation" / "metrics.json", {"hepo/HR_ad@10": interval})
    make_verdict(root)
    for folder in root.iterdir():
        write_json(folder / "manifest.json", {"origin": {"code": "c", "params": {}}})
        write_json(folder / "gate_report.json", {"gates": []})
    return root


@pytest.fixture
def stage(tmp_path, finished_artifacts):
    shutil.copytree(finished_artifacts, tmp_path / "inputs")
    return Stage(tmp_path)
