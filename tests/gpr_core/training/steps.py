"""Contexts for the supervised steps, on the small corpus."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from components.runtime.context import StepContext
from gpr_core.models.config import ModelConfig
from gpr_core.support.progress import Progress
from gpr_core.training.config import MtpConfig, OptimizerConfig, SequenceConfig, VaftConfig
from tests.gpr_core.training.small_corpus import CUTOFF_TS

MTP = MtpConfig(
    model=ModelConfig(
        width=16, attention_heads=2, hsd_layers=1, ptd_layers=1, num_heads=2, dropout=0.0
    ),
    sequence=SequenceConfig(max_tokens=32, new_tokens=16, gate_user_share=0.5),
    optimizer=OptimizerConfig(batch_windows=8, learning_rate=5e-3, checkpoint_every=10),
    epochs=12,
    min_head_divergence=0.05,
)
VAFT = VaftConfig(
    optimizer=OptimizerConfig(batch_windows=8, learning_rate=5e-4),
    max_hit_rate_drop=0.5,
    max_clipped_share=0.5,
)


def make_context(
    root: Path,
    inputs: Mapping[str, Path],
    output: str,
    params: Any,
    *,
    champion: str | None = None,
) -> StepContext[Any]:
    """Build a context with fresh folders; the day is the last one of the small corpus."""
    for name in (output, "plots", "scratch"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return StepContext(
        day=date(1970, 1, 20),
        cutoff_ts=CUTOFF_TS,
        seed=0,
        threads=1,
        device="cpu",
        params=params,
        inputs=inputs,
        outputs={output: root / output},
        scratch=root / "scratch",
        plots=root / "plots",
        reports=root / "reports",
        lake=root / "lake",
        oracle=root / "oracle",
        registry=root / "registry",
        champion=champion,
        progress=Progress("test"),
    )
