"""The methods that are compared, each from training sequences to a ranker."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from torch import nn

from gpr_core.sequential.encoders import (
    EncoderConfig,
    HstuBlock,
    ItemEncoder,
    SasrecBlock,
)
from gpr_core.sequential.floors import (
    ItemKnnFloor,
    PopularityFloor,
    RepeatLastFloor,
    TransitionFloor,
)
from gpr_core.sequential.ranking import Ranker
from gpr_core.sequential.recommender import Objective, Recommender
from gpr_core.sequential.sequences import SequenceData
from gpr_core.sequential.training import Fit, TrainingConfig, train
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch

_ENCODER = EncoderConfig()
_TRAINING = TrainingConfig()


class Fitted(NamedTuple):
    """A method that is ready to rank.

    Attributes:
        ranker: Ranks items.
        num_parameters: Numbers that were trained; 0 for floors.
        fit: How training went; None for floors.
    """

    ranker: Ranker
    num_parameters: int = 0
    fit: Fit | None = None


Method = Callable[[SequenceData, int, Progress], Fitted]


def _popularity(data: SequenceData, seed: int, progress: Progress) -> Fitted:
    """Make the popularity floor."""
    del seed, progress
    return Fitted(PopularityFloor(data.train, data.num_items))


def _repeat_last(data: SequenceData, seed: int, progress: Progress) -> Fitted:
    """Make the repeat-last floor."""
    del seed, progress
    return Fitted(RepeatLastFloor(data.num_items))


def _transitions(data: SequenceData, seed: int, progress: Progress) -> Fitted:
    """Make the transition floor."""
    del seed, progress
    return Fitted(TransitionFloor(data.train, data.num_items))


def _item_knn(data: SequenceData, seed: int, progress: Progress) -> Fitted:
    """Make the item-kNN floor."""
    del seed, progress
    return Fitted(ItemKnnFloor(data.train, data.num_items))


def _recommender(
    make_block: Callable[[EncoderConfig], nn.Module],
    objective: Objective,
    data: SequenceData,
    seed: int,
    progress: Progress,
) -> Fitted:
    """Train an encoder whose item vectors also score."""
    seed_global_torch(seed, "sequential", "init")
    model = Recommender(ItemEncoder(data.num_items, _ENCODER, make_block), objective)
    fit = train(model, data, _TRAINING, max_items=_ENCODER.max_items, seed=seed, progress=progress)
    return Fitted(model.eval(), sum(part.numel() for part in model.parameters()), fit)


FLOORS: Mapping[str, Method] = {
    "popularity": _popularity,
    "repeat-last": _repeat_last,
    "last-item transitions": _transitions,
    "item-kNN": _item_knn,
}
"""Methods without training; their results do not depend on the seed."""

TRAINED: Mapping[str, Method] = {
    "SASRec, softmax": partial(_recommender, SasrecBlock, "softmax"),
    "SASRec, sampled softmax": partial(_recommender, SasrecBlock, "sampled_softmax"),
    "HSTU": partial(_recommender, HstuBlock, "sampled_softmax"),
}
"""Methods that learn by gradients."""
