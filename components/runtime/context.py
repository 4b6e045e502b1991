"""What a step gets to work with, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Generic, TypeVar

from gpr_core.support.distributed import ALONE, Processes
from gpr_core.support.progress import Progress

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """Outcome of one numeric gate.

    Attributes:
        name: A key of the spec's `gates`.
        passed: Whether the result may be used.
        value: What was measured.
        bound: What it was compared with.
        message: One sentence: found, expected, and what to do if it failed.
    """

    name: str
    passed: bool
    value: float
    bound: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext(Generic[P]):
    """Everything a step may touch.

    Attributes:
        day: Training day D.
        cutoff_ts: End of day D, epoch ms; training sees only what landed before.
        seed: Run seed.
        threads: Intra-op threads.
        device: Resolved device, "cpu" or "cuda".
        params: The step's own section of params.yaml.
        inputs: Artifact name -> folder, bytes verified against their manifest.
        outputs: Artifact name -> empty staging folder to fill.
        scratch: Folder for checkpoints that survive a crash, outside the outputs.
        plots: Empty staging folder for DVC plots (CSV or JSON series).
        reports: Folder for Data Docs and quarantined rows, never versioned.
        lake: Folder of the lake.
        oracle: Folder of the ground truth; only `evaluation` may open it.
        registry: Folder of pushed models.
        champion: Version to start from and compare with, or None.
        refit: Whether a new tokenizer is fitted although there is a champion.
        progress: Where to report progress.
        processes: Who works on the step together; alone unless `torchrun` started it.
    """

    day: date
    cutoff_ts: int
    seed: int
    threads: int
    device: str
    params: P
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    scratch: Path
    plots: Path
    reports: Path
    lake: Path
    oracle: Path
    registry: Path
    champion: str | None
    progress: Progress
    refit: bool = False
    processes: Processes = ALONE

    @property
    def keeps_codebooks(self) -> bool:
        """Whether this day speaks the champion's semantic ids."""
        return self.champion is not None and not self.refit


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step reports beside its files.

    Attributes:
        metrics: Flat name -> finite number, written as DVC metrics; no wall times.
        gates: One result for each gate of the spec.
        bounds: Contract -> parameter -> value, for bounds of output contracts that only the step
            knows, such as the size of a codebook.
        providers: Who wrote thoughts of external knowledge -> how many, for the manifest (T39);
            empty where none were made.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    gates: tuple[GateResult, ...] = ()
    bounds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    providers: Mapping[str, int] = field(default_factory=dict)
