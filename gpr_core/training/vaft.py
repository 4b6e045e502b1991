"""Value-aware fine-tuning (stage 2): the same targets, weighed by what they were worth.

Source: paper Eq 4; specification 4.2.
"""

import pyarrow as pa

from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.models.gpr import GPR
from gpr_core.training.batches import BatchSource
from gpr_core.training.config import SequenceConfig, VaftConfig
from gpr_core.training.examples import Examples, recent_examples
from gpr_core.training.loop import train
from gpr_core.training.mtp import Surroundings
from gpr_core.training.stages import Losses, make_task

STAGE = "vaft"


def fine_tune(
    model: GPR,
    examples: Examples,
    sequence: SequenceConfig,
    config: VaftConfig,
    surroundings: Surroundings,
) -> pa.Table:
    """Fine-tune a pre-trained model with value weights.

    A keyed share of the batches stays unweighted, which holds the hit rate.

    Args:
        model: With the weights of pre-training; changed in place.
        examples: Targets with their value weights.
        sequence: Sequences of pre-training.
        config: Parameters.
        surroundings: Seed, device, scratch folder, progress.

    Returns:
        The training curve.

    Raises:
        GateError: If a loss is not finite.
        LegalityError: If a target was not active at its request.
    """
    source = BatchSource(
        recent_examples(examples, surroundings.since(config.recent_days)),
        sequence,
        config.optimizer,
        seed=surroundings.seed,
        stage=STAGE,
        epochs=config.epochs,
        device=surroundings.device,
        num_shares=config.optimizer.accumulate * surroundings.processes.count,
    )
    losses = Losses(
        heads=config.heads,
        value=config.value_loss,
        parts=config.part_loss,
        matches_heads=sequence.targets == "matching",
        use_omega=lambda update: is_weighted(surroundings.seed, update, config.unweighted_share),
    )
    task = make_task(model, source, losses, stage=STAGE, seed=surroundings.seed)
    return train(
        task,
        config.optimizer,
        scratch=surroundings.scratch,
        progress=surroundings.progress,
        processes=surroundings.processes,
    )


def is_weighted(seed: int, update: int, unweighted_share: float) -> bool:
    """Decide whether the batch of an update uses value weights.

    Args:
        seed: Run seed.
        update: 0-based update.
        unweighted_share: Share of batches that do not.

    Returns:
        Whether it does.
    """
    return bool(keyed_uniform(seed, "vaft unweighted", update) >= unweighted_share)
