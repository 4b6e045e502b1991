"""The `run` section of params.yaml: what one execution of the pipeline is about."""

from dataclasses import dataclass
from typing import Literal

from gpr_core.support.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Parameters shared by all steps of a run."""

    day: str
    """Training day D, ISO. Training sees what landed up to the end of D; evaluation uses D+1."""
    seed: int = 0
    """Run seed; every random stream derives from it. >= 0."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where tensors live; auto takes a GPU if there is one."""
    threads: int = 2
    """Intra-op threads of torch, faiss and LightGBM. >= 1; part of reproducibility."""
    lake: str = "var/lake"
    """Folder of the lake, absolute or relative to the workspace."""
    oracle: str = "var/oracle"
    """Folder of the synthetic world's ground truth; only evaluation opens it, if it exists."""
    registry: str = "var/registry"
    """Folder of pushed models."""
    champion: str | None = None
    """Version the run starts from and compares with; null: train from scratch."""
    refit: bool = False
    """Fit a new tokenizer and train from scratch, but still compare with the champion."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.seed < 0 or self.threads < 1:
            raise ConfigError(
                f"seed is {self.seed} and threads is {self.threads}",
                fix="use seed >= 0 and threads >= 1",
            )
