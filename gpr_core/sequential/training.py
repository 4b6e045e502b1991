"""Training on next items, with the number of passes chosen on the validation item.

Letters: U users, B users of a batch, T items of a sequence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gpr_core.sequential.ranking import Ranker, Scores, ranking_metrics, target_ranks
from gpr_core.sequential.sequences import Histories, Ints, LeaveOneOut, SequenceData
from gpr_core.support.matmul import fast_float32_matmul
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import numpy_stream, seed_global_torch, torch_stream
from gpr_core.support.shapes import check_range

# Batches of similar length waste little on padding; chunks of this many keep them mixed.
_BATCHES_PER_CHUNK = 16
_CRITERION = "ndcg@10"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a model is trained."""

    epochs: int = 60
    """Most passes over the training sequences."""
    patience: int = 10
    """Passes without a better validation result after which training ends."""
    measure_every: int = 2
    """Passes between two looks at the validation item."""
    validation_users: int = 5000
    """Users, drawn once, by whom the pass is chosen."""
    batch_users: int = 128
    """Users per update."""
    learning_rate: float = 1e-3
    """Step size of AdamW."""
    weight_decay: float = 0.0
    """Weight decay of AdamW."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("epochs", "patience", "measure_every", "validation_users", "batch_users"):
            check_range(name, getattr(self, name), 1, 1_000_000)
        check_range("learning_rate", self.learning_rate, 1e-8, 1.0)
        check_range("weight_decay", self.weight_decay, 0.0, 10.0)


class Trainable(Protocol):
    """A model of next items."""

    def loss(self, item_BT: Tensor, generator: torch.Generator) -> Tensor:
        """Compute the loss of [B, T + 1] sequences."""
        ...

    def score(self, history: Histories) -> Scores:
        """Score every item as the next one."""
        ...


class Fit(NamedTuple):
    """How training went.

    Attributes:
        best_epoch: Pass whose weights were kept.
        curve: (pass, mean training loss, validation NDCG@10) of every look.
    """

    best_epoch: int
    curve: tuple[tuple[int, float, float], ...]


def train(
    model: nn.Module,
    data: SequenceData,
    config: TrainingConfig,
    *,
    max_items: int,
    seed: int,
    progress: Progress,
) -> Fit:
    """Train a model and leave it with the weights of its best pass.

    Args:
        model: An `nn.Module` that is `Trainable`.
        data: Its training sequences are learned from, its validation items choose the pass.
        config: Passes, step size and so on.
        max_items: Latest items of a sequence that are read, T.
        seed: Run seed; equal seeds give equal weights in one thread.
        progress: Told about every pass.

    Returns:
        The kept pass and the curve.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    sequences, watched = data.train, watched_users(data, config, seed)
    best, kept, curve = (0, -1.0), {}, []
    for epoch in range(1, config.epochs + 1):
        seed_global_torch(seed, "sequential", "dropout", epoch)
        loss = _train_epoch(model, sequences, optimizer, config, max_items, epoch, seed)
        if epoch % config.measure_every and epoch < config.epochs:
            continue
        reached = float(ranking_metrics(target_ranks(evaluated(model), watched))[_CRITERION].mean())
        curve.append((epoch, loss, reached))
        progress.update(epoch, config.epochs, {"loss": loss, _CRITERION: reached})
        if reached > best[1]:
            best = (epoch, reached)
            kept = {name: value.clone() for name, value in model.state_dict().items()}
        if epoch - best[0] >= config.patience:
            break
    model.load_state_dict(kept)
    return Fit(best[0], tuple(curve))


def evaluated(model: nn.Module) -> Ranker:
    """Rank by a model without dropout, whatever mode it is in.

    Args:
        model: An `nn.Module` that is `Trainable`.

    Returns:
        The ranker; it puts the model back into the mode that it finds.
    """
    return _Evaluated(model)


def watched_users(data: SequenceData, config: TrainingConfig, seed: int) -> LeaveOneOut:
    """Draw the users whose validation item decides.

    Args:
        data: The data set.
        config: How many.
        seed: Run seed.

    Returns:
        Their histories and validation items; all users if there are no more.
    """
    task = data.validation
    num_users = len(task.target_B)
    stream = numpy_stream(seed, "sequential", "watched")
    user_B = np.sort(stream.permutation(num_users)[: min(config.validation_users, num_users)])
    return LeaveOneOut(task.history.select(user_B), task.target_B[user_B])


class _Evaluated:
    """A model that scores without dropout, whatever mode it is in."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def score(self, history: Histories) -> Scores:
        """Score in evaluation mode and go back to training."""
        was_training = self._model.training
        self._model.eval()
        with fast_float32_matmul():
            scores: Scores = self._model.score(history)  # type: ignore[operator]
        self._model.train(was_training)
        return scores


def _train_epoch(
    model: nn.Module,
    train_sequences: Histories,
    optimizer: torch.optim.Optimizer,
    config: TrainingConfig,
    max_items: int,
    epoch: int,
    seed: int,
) -> float:
    """Pass once over the users; returns the mean loss of the updates."""
    model.train()
    losses = []
    for batch, user_B in enumerate(_batches(train_sequences, config.batch_users, epoch, seed)):
        item_BT = torch.from_numpy(train_sequences.select(user_B).latest(max_items + 1))
        generator = torch_stream(seed, "sequential", "negatives", epoch, batch)
        with fast_float32_matmul():
            loss: Tensor = model.loss(item_BT, generator)  # type: ignore[operator]
            optimizer.zero_grad()
            torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _batches(sequences: Histories, batch_users: int, epoch: int, seed: int) -> Iterator[Ints]:
    """Shuffle the users that have something to predict, and put similar lengths together."""
    stream = numpy_stream(seed, "sequential", "order", epoch)
    user_U = stream.permutation(np.flatnonzero(sequences.lengths >= 2))
    length_U = sequences.lengths[user_U]
    chunk_U = np.arange(len(user_U)) // (batch_users * _BATCHES_PER_CHUNK)
    user_U = user_U[np.lexsort((length_U, chunk_U))]
    batches = [user_U[first : first + batch_users] for first in range(0, len(user_U), batch_users)]
    return (batches[idx] for idx in stream.permutation(len(batches)))
