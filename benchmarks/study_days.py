"""Days that the studies train and evaluate on: synthetic worlds, and MovieLens.

The first five steps of the pipeline make corpus, tokenizer, catalog and simulator once; a study
then trains its own models on these artifacts and judges all of them on the same next day.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.runners.workspace import workspace_of
from components.runtime.lake_inputs import read_tables
from gpr_core.data.days import day_end_ms, parse_day
from gpr_core.data.engine import Engine
from gpr_core.data.lake import Lake
from gpr_core.evaluation.catalogs import encode_catalog
from gpr_core.evaluation.next_day import NextDay, prepare_next_day
from gpr_core.evaluation.policies import JudgedPolicy
from gpr_core.features.corpus import (
    CuratedDays,
    corpus_config,
    curate_later_day,
    first_landing_days,
)
from gpr_core.knowledge.cache import ThoughtCache
from gpr_core.knowledge.production import make_thoughts, wanted_thoughts
from gpr_core.knowledge.template import TemplateProvider
from gpr_core.knowledge.views import History
from gpr_core.models.gpr import GPR
from gpr_core.params import Params, load_params_file, preset, render_difference
from gpr_core.support.files import write_text
from gpr_core.support.progress import Progress
from gpr_core.training.config import SequenceConfig
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.inputs import SupervisedInputs, load_inputs
from gpr_core.world.generate import fill_world
from gpr_core.world.oracle import Oracle

SOURCES = ("world", "movielens")

_STEPS = ("corpus_curation", "tokenization", "mtp_pretrain", "vaft", "simulator_snapshot")
_MAX_REQUESTS = 2000
_GPR = str(Path(sys.executable).with_name("gpr"))


@dataclass(frozen=True)
class StudyDay:
    """Artifacts of one day, and the seed of what is trained on them.

    Attributes:
        home: Folder of lake and run.
        seed: Seed of the models.
    """

    home: Path
    seed: int

    @property
    def is_made(self) -> bool:
        """Whether the last artifact that studies need is there; a step publishes it whole."""
        return (self._artifact("snapshot") / "index.json").exists()

    @cached_property
    def params(self) -> Params:
        """Parameters of the run."""
        return load_params_file(self._workspace / "params.yaml")

    @property
    def cutoff_ts(self) -> int:
        """End of the training day, epoch ms."""
        return day_end_ms(parse_day(self.params.run.day))

    @cached_property
    def inputs(self) -> SupervisedInputs:
        """Corpus, catalog and thoughts."""
        found = load_inputs(*map(self._artifact, ("corpus", "tokenizer", "catalog")))
        return found._replace(tables=found.tables._replace(thoughts=self._thoughts))

    @property
    def oracle(self) -> Path:
        """Folder of the truth; worlds only."""
        return self.home / "oracle"

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """V of each code level."""
        return self.inputs.catalog.trie.codebook_sizes

    @cached_property
    def next_day(self) -> NextDay:
        """The day that everything is judged on; the same requests for all methods and seeds."""
        return prepare_next_day(
            self._curated,
            encode_catalog(self._artifact("tokenizer"), self._curated.canonical),
            self._artifact("snapshot"),
            max_requests=_MAX_REQUESTS,
            max_tokens=self.params.mtp_pretrain.sequence.max_tokens,
            seed=0,
            thoughts=self._thoughts,
        )

    @cached_property
    def interests(self) -> list[frozenset[int]]:
        """What the user of each request of the next day is truly interested in; worlds only."""
        request_key_B = self.next_day.column("request_key").astype(np.uint64)
        return Oracle(self.oracle).live_threads(request_key_B)

    def policy(self, model: GPR, max_tokens: int) -> JudgedPolicy:
        """Let a model that was trained on this day be judged on the next.

        Args:
            model: In evaluation mode.
            max_tokens: Longest sequence it was trained with.

        Returns:
            The policy.
        """
        day = self.next_day
        return JudgedPolicy(
            model=model, catalog=day.catalog, store=day.store, max_tokens=max_tokens, device="cpu"
        )

    def checkpoint(self, step: str) -> Path:
        """Name the model that a step of the day trained.

        Args:
            step: `mtp` or `vaft`.

        Returns:
            Folder of its checkpoint.
        """
        return self._artifact(f"{step}_checkpoint")

    def examples(self, sequence: SequenceConfig, num_heads: int) -> Examples:
        """Join the training examples of one model.

        Args:
            sequence: Sequences and targets.
            num_heads: Prediction heads.

        Returns:
            The examples.
        """
        return build_examples(
            self.inputs.tables,
            self.inputs.catalog,
            sequence,
            num_heads=num_heads,
            cutoff_ts=self.cutoff_ts,
            seed=self.seed,
        )

    @cached_property
    def _curated(self) -> CuratedDays:
        """Tables through the next day."""
        corpus, lake = self._artifact("corpus"), Lake(self.home / "lake")
        first_days = first_landing_days(corpus_config(corpus), self._evaluation_day, lake.days()[0])
        tables = read_tables(lake.root, first_days, self._evaluation_day)
        with Engine(1) as engine:
            return curate_later_day(corpus, tables, self._evaluation_day, engine=engine)

    @cached_property
    def _thoughts(self) -> pa.Table:
        """What the template says about the user of every request, as of the start of its day."""
        history = History(self._curated.timelines, self._curated.canonical["users"])
        wanted = wanted_thoughts(history, from_ts=0)
        return make_thoughts(history, wanted, TemplateProvider(), ThoughtCache())

    @property
    def _workspace(self) -> Path:
        """Folder of the run."""
        return workspace_of(self.home, load_params_file(self.home / "params.yaml").run.day)

    @property
    def _evaluation_day(self) -> date:
        """The day after training."""
        return parse_day(self.params.run.day) + timedelta(days=1)

    def _artifact(self, name: str) -> Path:
        """Folder of an artifact."""
        return self._workspace / "artifacts" / name


@lru_cache(maxsize=1)
def latest_day(home: Path, seed: int) -> StudyDay:
    """Keep the day of the last job in memory: a worker gets those of one day in a row.

    Args:
        home: Folder of lake and run.
        seed: Seed of the models.

    Returns:
        The day.
    """
    return StudyDay(home, seed)


def make_days(source: str, folder: Path, seeds: Sequence[int]) -> list[StudyDay]:
    """Fill lakes and run the first five steps, as far as that has not been done.

    Args:
        source: `world`, one world per seed, or `movielens`, where only the models differ.
        folder: Where lakes and runs are kept.
        seeds: Seeds.

    Returns:
        One day per seed.
    """
    days = []
    for seed in seeds:
        home = folder / (f"world-{seed}" if source == "world" else source)
        if source == "world" and not (home / "params.yaml").exists():
            _fill_world(home, seed)
        elif not (home / "params.yaml").exists():
            _gpr("lake", "fill", f"--source={source}", f"--home={home}")
        day = StudyDay(home, seed)
        if not day.is_made:
            for step in _STEPS:
                _gpr("run", f"--home={home}", f"--only={step}")
        days.append(day)
    return days


def _fill_world(home: Path, seed: int) -> None:
    """Land all days of the world with a seed of its own."""
    params = preset("tiny")
    params = replace(
        params,
        world=replace(params.world, seed=params.world.seed + seed),
        # Threads are part of what a run reproduces, and studies do two jobs side by side.
        run=replace(params.run, seed=seed, threads=1),
    )
    last = parse_day(params.run.day) + timedelta(days=1)
    fill_world(params.world, Lake(home / "lake"), home / "oracle", last, Progress("lake"))
    write_text(home / "params.yaml", render_difference(params, preset("tiny")))


def _gpr(*arguments: str) -> None:
    """Run a command of the pipeline."""
    subprocess.run([_GPR, *arguments], check=True)  # noqa: S603
