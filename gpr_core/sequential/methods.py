"""The methods that are compared, each from training sequences to rankers."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from torch import nn

from gpr_core.models.config import ModelConfig
from gpr_core.models.variants import one_rec, tiger
from gpr_core.sequential.encoder_decoder import EncoderDecoder, with_suffix
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
from gpr_core.sequential.gpr import ItemCatalog, SequenceGpr
from gpr_core.sequential.item_attributes import ItemAttributes
from gpr_core.sequential.memory import choose_memory
from gpr_core.sequential.ranking import Ranker
from gpr_core.sequential.recommender import Objective, Recommender
from gpr_core.sequential.semantic_ids import semantic_ids
from gpr_core.sequential.sequences import SequenceData
from gpr_core.sequential.training import Fit, TrainingConfig, evaluated, train, watched_users
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch
from gpr_core.tokenizer.config import TokenizationConfig

_ENCODER = EncoderConfig()
_TRAINING = TrainingConfig()
_GPR = ModelConfig(
    width=64,
    attention_heads=2,
    hsd_layers=1,
    ffn_multiple=1,
    num_heads=1,
    mask="causal",
    # There is one kind of token, which needs no parameters of its own.
    token_aware_norm=False,
    token_aware_ffn=False,
    max_distance=50,
    dropout=0.5,
)
_ENCODER_DECODER = ModelConfig(
    width=64,
    attention_heads=2,
    hsd_layers=2,
    ptd_layers=2,
    max_distance=50,
    dropout=0.2,
)
# A pass shows two targets of each user, where the other methods learn from all of them; a look at
# the validation item is a beam search, so that few are taken, at few users.
_ENCODER_DECODER_TRAINING = TrainingConfig(
    epochs=100,
    patience=30,
    measure_every=5,
    validation_users=3000,
    batch_users=128,
    learning_rate=2e-3,
)
_GPR_TRAINING = TrainingConfig(epochs=40, batch_users=256, learning_rate=2e-3)
_GPR_FUTURE_WEIGHT = 0.5
_NUM_LEVELS, _NUM_CODES = 3, 64


class Problem(NamedTuple):
    """What a method may learn from.

    Attributes:
        sequences: The data set.
        attributes: What is known of its items.
    """

    sequences: SequenceData
    attributes: ItemAttributes


class Fitted(NamedTuple):
    """A method that is ready to rank.

    Attributes:
        rankers: Row of the table -> ranker.
        num_parameters: Numbers that were trained; 0 for floors.
        fit: How training went; None for floors.
    """

    rankers: Mapping[str, Ranker]
    num_parameters: int = 0
    fit: Fit | None = None


Method = Callable[[Problem, int, Progress], Fitted]


def _floor(
    name: str,
    make: Callable[[SequenceData], Ranker],
    problem: Problem,
    seed: int,
    progress: Progress,
) -> Fitted:
    """Make a floor, which needs no seed."""
    del seed, progress
    return Fitted({name: make(problem.sequences)})


def _recommender(
    name: str,
    make_block: Callable[[EncoderConfig], nn.Module],
    objective: Objective,
    problem: Problem,
    seed: int,
    progress: Progress,
) -> Fitted:
    """Train an encoder whose item vectors also score."""
    data = problem.sequences
    seed_global_torch(seed, "sequential", "init")
    model = Recommender(ItemEncoder(data.num_items, _ENCODER, make_block), objective)
    fit = train(model, data, _TRAINING, max_items=_ENCODER.max_items, seed=seed, progress=progress)
    return Fitted({name: evaluated(model)}, _count(model), fit)


def _gpr(problem: Problem, seed: int, progress: Progress) -> Fitted:
    """Train GPR on item tokens, and give it a memory of transitions."""
    data = problem.sequences
    config = _codebooks(data)
    path_AL = semantic_ids(problem.attributes.texts, data.train, config, seed=seed)
    sizes = (config.codebook_size,) * config.num_levels
    catalog = ItemCatalog(path_AL, sizes, problem.attributes)
    seed_global_torch(seed, "sequential", "init")
    model = SequenceGpr(
        catalog, _GPR, max_items=_ENCODER.max_items, future_weight=_GPR_FUTURE_WEIGHT
    )
    fit = train(
        model, data, _GPR_TRAINING, max_items=_ENCODER.max_items, seed=seed, progress=progress
    )
    ranker = evaluated(model)
    transitions = TransitionFloor(data.train, data.num_items)
    watched = watched_users(data, _GPR_TRAINING, seed)
    remembering = choose_memory(ranker, transitions, watched)
    return Fitted({"GPR": ranker, "GPR + transitions": remembering}, _count(model), fit)


def _encoder_decoder(
    name: str,
    variant: Callable[[ModelConfig], ModelConfig],
    problem: Problem,
    seed: int,
    progress: Progress,
) -> Fitted:
    """Train an encoder-decoder of semantic ids with a suffix."""
    data = problem.sequences
    path_AL = semantic_ids(problem.attributes.texts, data.train, _codebooks(data), seed=seed)
    seed_global_torch(seed, "sequential", "init")
    model = EncoderDecoder(
        with_suffix(path_AL), variant(_ENCODER_DECODER), max_items=_ENCODER.max_items
    )
    fit = train(
        model,
        data,
        _ENCODER_DECODER_TRAINING,
        max_items=_ENCODER.max_items,
        seed=seed,
        progress=progress,
    )
    return Fitted({name: evaluated(model)}, _count(model), fit)


def _codebooks(data: SequenceData) -> TokenizationConfig:
    """Size the codebooks of all methods with semantic ids."""
    codes = min(_NUM_CODES, data.num_items)
    return TokenizationConfig(num_levels=_NUM_LEVELS, codebook_size=codes)


def _count(model: nn.Module) -> int:
    """Count trained numbers."""
    return sum(parameter.numel() for parameter in model.parameters())


_MAKE_FLOOR: Mapping[str, Callable[[SequenceData], Ranker]] = {
    "popularity": lambda data: PopularityFloor(data.train, data.num_items),
    "repeat-last": lambda data: RepeatLastFloor(data.num_items),
    "last-item transitions": lambda data: TransitionFloor(data.train, data.num_items),
    "item-kNN": lambda data: ItemKnnFloor(data.train, data.num_items),
}

FLOORS: Mapping[str, Method] = {
    name: partial(_floor, name, make) for name, make in _MAKE_FLOOR.items()
}
"""Methods without training; their results do not depend on the seed."""

_SOFTMAX, _SAMPLED, _HSTU = "SASRec, softmax", "SASRec, sampled softmax", "HSTU"

TRAINED: Mapping[str, Method] = {
    _SOFTMAX: partial(_recommender, _SOFTMAX, SasrecBlock, "softmax"),
    _SAMPLED: partial(_recommender, _SAMPLED, SasrecBlock, "sampled_softmax"),
    _HSTU: partial(_recommender, _HSTU, HstuBlock, "sampled_softmax"),
    "TIGER": partial(_encoder_decoder, "TIGER", tiger),
    "OneRec": partial(_encoder_decoder, "OneRec", one_rec),
    "GPR": _gpr,
}
"""Methods that learn by gradients."""
