"""Artifact folders of the small corpus, and contexts to run steps on them."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.runtime.context import StepContext
from gpr_core.models.checkpoint import CheckpointMeta, save_checkpoint
from gpr_core.support.files import write_json
from gpr_core.support.progress import Progress
from gpr_core.training.config import SequenceConfig
from gpr_core.training.sequence_file import save_sequence
from tests.gpr_core.simulation.small_corpus import CUTOFF, TOKENIZER_VERSION, make_corpus
from tests.gpr_core.training.small_hepo import make_model

SEQUENCE = SequenceConfig(max_tokens=32, new_tokens=16)


def make_inputs(root):
    """Write corpus, tokenizer, catalog and a checkpoint; returns name -> folder."""
    names = ("corpus", "tokenizer", "vaft_checkpoint")
    folders = {name: root / name for name in names}
    for folder in folders.values():
        folder.mkdir(parents=True)
    corpus = make_corpus(folders["corpus"], num_users=24)
    weights = {
        "request_key": corpus.decisions["request_key"],
        "action": corpus.decisions["action"],
        "raw": pa.array(np.ones(corpus.decisions.num_rows)),
        "omega": pa.array(np.ones(corpus.decisions.num_rows, np.float32)),
    }
    pq.write_table(pa.table(weights), folders["corpus"] / "value_weights.parquet")
    write_json(folders["tokenizer"] / "tokenizer.json", {"version": TOKENIZER_VERSION})
    pq.write_table(corpus.sid_map, folders["tokenizer"] / "sid_map.parquet")
    meta = CheckpointMeta(
        tokenizer_version=TOKENIZER_VERSION,
        catalog_version=corpus.catalog.version,
        parent=None,
    )
    save_checkpoint(folders["vaft_checkpoint"], make_model(), meta)
    save_sequence(folders["vaft_checkpoint"], SEQUENCE)
    return {**folders, "catalog": folders["corpus"] / "catalog"}


def make_context(params, root, inputs, outputs):
    """Make the context of a step."""
    folders = {name: root / name for name in outputs}
    scratch, plots, reports = (root / name for name in ("scratch", "plots", "reports"))
    for folder in (*folders.values(), scratch, plots, reports):
        folder.mkdir(parents=True, exist_ok=True)
    return StepContext(
        day=date.fromordinal(date(1970, 1, 1).toordinal() + CUTOFF // 86_400_000 - 1),
        cutoff_ts=CUTOFF,
        seed=0,
        threads=1,
        device="cpu",
        params=params,
        inputs=inputs,
        outputs=folders,
        scratch=scratch,
        plots=plots,
        reports=reports,
        lake=root / "none",
        oracle=root / "none",
        registry=root / "none",
        champion=None,
        progress=Progress("test"),
    )
