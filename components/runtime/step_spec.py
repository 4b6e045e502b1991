"""The interface of a pipeline step: what it reads, writes, checks and needs.

This module and every `components/*/spec.py` import nothing heavy: Airflow parses them all the time.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ArtifactType = Literal["dataset", "model", "metrics", "report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One versioned folder that a step writes.

    Attributes:
        name: Folder under `artifacts/`, also the name in the orchestrators.
        type: What a user interface should show it as.
        contracts: File inside the folder -> name of the data contract it must keep.
        optional: Files among `contracts` that a run leaves out when the part that makes them is
            switched off.
        cached: False for a receipt of something done outside, which no cache may replay.
    """

    name: str
    type: ArtifactType
    contracts: dict[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    cached: bool = True

    def tables_in(self, folder: Path) -> dict[str, str]:
        """Name the tables of one published or staged artifact.

        Args:
            folder: Where it lies.

        Returns:
            File -> contract; an optional file that is not there is left out.
        """
        return {
            file: contract
            for file, contract in self.contracts.items()
            if file not in self.optional or (folder / file).exists()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a step asks of the machine it runs on.

    Attributes:
        gpus: Number of GPUs it can use; it runs on a CPU where there is none.
        cpu: Cores asked for.
        memory_gib: Memory asked for, GiB.
        retries: How often a crash (never a refused input or gate) is tried again.
        timeout_s: After how long it counts as hanging, seconds.
        image: Name of its container image, without registry and tag.
    """

    gpus: int = 0
    cpu: int = 2
    memory_gib: int = 4
    retries: int = 1
    timeout_s: int = 3600
    image: str = "gpr-step"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step of the pipeline.

    Attributes:
        name: Folder of the step = DVC stage = Airflow task id = KFP component.
        summary: One sentence for user interfaces.
        inputs: Names of the artifacts it reads.
        outputs: Artifacts it writes; each is made by one step only.
        section: Section of `params.yaml` that it reads.
        run_params: Keys of the `run` section that its result depends on.
        lake_manifests: Which day manifests of the lake it depends on.
        code: Folders or files of source code that its result depends on.
        gates: Name -> what the gate demands, in words.
        plots: Files that it writes into the folder of DVC plots.
        parallel: Whether `torchrun` may run it in several processes.
        resources: What it asks of the machine.
    """

    name: str
    summary: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[Artifact, ...] = ()
    section: str
    run_params: tuple[str, ...] = ("day", "seed", "device", "threads")
    lake_manifests: tuple[Literal["train", "evaluation"], ...] = ()
    code: tuple[str, ...] = ()
    gates: dict[str, str] = field(default_factory=dict)
    plots: tuple[str, ...] = ()
    parallel: bool = False
    resources: Resources = field(default_factory=Resources)
