"""Multi-token-prediction pre-training (stage 1).

Source: paper section 3.1 and Eq 3; specification 3.7 and 4.1.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from gpr_core.data.tables import DAY_MS
from gpr_core.models.gpr import GPR
from gpr_core.support.distributed import ALONE, Processes
from gpr_core.support.errors import ConfigError
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import derive_seed
from gpr_core.training.batches import BatchSource
from gpr_core.training.config import MtpConfig
from gpr_core.training.examples import Examples, recent_examples
from gpr_core.training.loop import train
from gpr_core.training.stages import Losses, make_task
from gpr_core.training.supervised import fit_value_scale

STAGE = "mtp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a training gets from the step that runs it.

    Attributes:
        seed: Run seed.
        device: Where tensors live.
        cutoff_ts: End of training data, epoch ms.
        scratch: Folder of the training checkpoint.
        progress: Where to report progress.
        processes: Who trains together.
    """

    seed: int
    device: str
    cutoff_ts: int
    scratch: Path
    progress: Progress
    processes: Processes = ALONE

    def since(self, days: int) -> int:
        """Give the start of the last days of training data.

        Args:
            days: Number of days.

        Returns:
            Epoch ms.
        """
        return self.cutoff_ts - days * DAY_MS


def pretrain(
    model: GPR,
    examples: Examples,
    config: MtpConfig,
    surroundings: Surroundings,
    *,
    continues: bool,
) -> pa.Table:
    """Train all heads on their targets and the value heads on logged outcomes.

    Args:
        model: Fresh, or with the champion's weights; changed in place.
        examples: Targets, labels and sequences.
        config: Parameters.
        surroundings: Seed, device, scratch folder, progress.
        continues: Whether the model starts from a champion: fewer epochs over fewer days, a lower
            rate, and the champion's value scale.

    Returns:
        The training curve.

    Raises:
        ConfigError: If a model with experts is to be trained by several processes.
        GateError: If a loss is not finite.
        LegalityError: If a target was not active at its request.
    """
    _check_processes(model, surroundings)
    optimizer, epochs = config.optimizer, config.epochs
    if continues:
        optimizer = replace(optimizer, learning_rate=config.continue_learning_rate)
        epochs = config.continue_epochs
        examples = recent_examples(examples, surroundings.since(config.continue_days))
    else:
        fit_value_scale(model, examples)
    # Set once a day: fine-tuning and HEPO replay the noise, so that importance ratios start at 1.
    model.draw_new_noise(derive_seed(surroundings.seed, "refining", surroundings.cutoff_ts))
    source = BatchSource(
        examples,
        config.sequence,
        optimizer,
        seed=surroundings.seed,
        stage=STAGE,
        epochs=epochs,
        device=surroundings.device,
        num_shares=optimizer.accumulate * surroundings.processes.count,
    )
    task = make_task(model, source, losses_of(config), stage=STAGE, seed=surroundings.seed)
    return train(
        task,
        optimizer,
        scratch=surroundings.scratch,
        progress=surroundings.progress,
        processes=surroundings.processes,
    )


def losses_of(config: MtpConfig) -> Losses:
    """Give the losses of pre-training, in which no target weighs more than another.

    Args:
        config: Parameters.

    Returns:
        Parameters of the loss.
    """
    return Losses(
        heads=config.heads,
        value=config.value_loss,
        parts=config.part_loss,
        matches_heads=config.sequence.targets == "matching",
        use_omega=lambda _: False,
    )


def _check_processes(model: GPR, surroundings: Surroundings) -> None:
    """Refuse what would not stay equal in all processes."""
    if model.config.experts.count and surroundings.processes.count > 1:
        raise ConfigError(
            f"{surroundings.processes.count} processes train a model with experts, whose load each "
            "process would balance by its own share of a batch",
            where="mtp_pretrain",
            fix="train it in one process, or set model.experts.count to 0",
        )
