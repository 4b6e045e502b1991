"""Where the weights of a run come from: the champion, or a fresh draw."""

from typing import NamedTuple

from components.runtime.context import StepContext
from components.runtime.model_store import ModelStore
from gpr_core.models.checkpoint import load_checkpoint, read_checkpoint_meta
from gpr_core.models.gpr import GPR
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.config import MtpConfig


class Start(NamedTuple):
    """A model to train.

    Attributes:
        model: On the device of the run.
        parent: Version of the champion it continues, None if it was drawn afresh.
        reason: One sentence for people.
    """

    model: GPR
    parent: str | None
    reason: str


def start_model(
    context: StepContext[MtpConfig], *, tokenizer_version: str, codebook_sizes: tuple[int, ...]
) -> Start:
    """Continue the champion unless the tokenizer was refitted or the architecture changed.

    Args:
        context: Champion, registry, parameters, seed and device.
        tokenizer_version: Version of the semantic ids of this run.
        codebook_sizes: V of each level.

    Returns:
        The model and why it starts as it does.

    Raises:
        ArtifactError: If there is no such version, or its files are missing or damaged.
    """
    if context.champion is None:
        return _fresh(context, codebook_sizes, "there is no champion")
    if context.refit:
        return _fresh(context, codebook_sizes, "the tokenizer was fitted anew")
    folder = ModelStore(context.registry).path(context.champion) / "policy"
    spoken = read_checkpoint_meta(folder).tokenizer_version
    if spoken != tokenizer_version:
        why = f"champion {context.champion} speaks tokenizer {spoken}, not {tokenizer_version}"
        return _fresh(context, codebook_sizes, why)
    model = load_checkpoint(folder, tokenizer_version=tokenizer_version, device=context.device)
    if model.config != context.params.model:
        why = f"champion {context.champion} has another architecture than mtp_pretrain.model"
        return _fresh(context, codebook_sizes, why)
    reason = f"continuing champion {context.champion} with {context.params.continue_epochs} epochs"
    return Start(model, context.champion, reason)


def _fresh(context: StepContext[MtpConfig], codebook_sizes: tuple[int, ...], why: str) -> Start:
    """Draw new weights."""
    seed_global_torch(context.seed, "mtp", "init")
    model = GPR(context.params.model, codebook_sizes).to(context.device)
    return Start(model, None, f"training from scratch: {why}")
