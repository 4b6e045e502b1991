"""Every parameter of the project as one frozen tree, and the presets.

For the command line and the tests. A step loads only the `run` section and its own, so that its
result depends on nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from gpr_core.data.config import CurationConfig
from gpr_core.evaluation.config import EvaluationConfig, PromotionConfig
from gpr_core.simulation.config import SnapshotConfig
from gpr_core.support.config import load_section, read_yaml, to_mapping
from gpr_core.support.errors import ConfigError, suggest_name
from gpr_core.support.run_config import RunConfig
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.training.config import MtpConfig, VaftConfig
from gpr_core.training.hepo_config import HepoConfig
from gpr_core.world.config import WorldConfig, world_preset

_HEADER = "# Every parameter of a run; `gpr params show --preset NAME` prints a preset.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """All sections of params.yaml; the defaults are the preset `tiny`."""

    run: RunConfig
    """What one execution is about."""
    world: WorldConfig = field(default_factory=lambda: world_preset("tiny"))
    """The synthetic ad world; read by `gpr lake fill` only."""
    corpus_curation: CurationConfig = field(default_factory=CurationConfig)
    """Step 1."""
    tokenization: TokenizationConfig = field(default_factory=TokenizationConfig)
    """Step 2."""
    mtp_pretrain: MtpConfig = field(default_factory=MtpConfig)
    """Step 3."""
    vaft: VaftConfig = field(default_factory=VaftConfig)
    """Step 4."""
    simulator_snapshot: SnapshotConfig = field(default_factory=SnapshotConfig)
    """Step 5."""
    hepo: HepoConfig = field(default_factory=HepoConfig)
    """Step 6."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Step 7."""
    model_push: PromotionConfig = field(default_factory=PromotionConfig)
    """Step 8."""

    def __post_init__(self) -> None:
        """Check what concerns two sections."""
        vectors = self.mtp_pretrain.model.knowledge_vectors
        if vectors and self.corpus_curation.thoughts.provider == "none":
            raise ConfigError(
                f"mtp_pretrain.model.knowledge_vectors is {vectors}, but nobody makes thoughts",
                fix="set corpus_curation.thoughts.provider: template, or knowledge_vectors: 0",
            )


def preset(name: str) -> Params:
    """Make the parameters of a preset.

    Args:
        name: `micro` (tests, seconds) or `tiny` (the default, minutes on two cores).

    Returns:
        Complete parameters.

    Raises:
        ConfigError: If there is no such preset.
    """
    if name not in _PRESETS:
        raise ConfigError(f"unknown preset {name!r}", fix=suggest_name(name, _PRESETS))
    return _PRESETS[name]()


def for_movielens(params: Params, day: str) -> Params:
    """Adapt parameters to MovieLens-100K.

    Few people rate many movies in a few sittings: there are fewer windows than in the synthetic
    world and more requests in each, so training takes more passes and more requests a window. What
    is rated next and what is rated after that differ little within a sitting, so that the heads
    may be closer to each other (decision 0011).

    Args:
        params: A preset.
        day: Training day.

    Returns:
        Changed parameters.
    """
    mtp = params.mtp_pretrain
    sequence = replace(mtp.sequence, max_readouts=16)
    return replace(
        params,
        run=replace(params.run, day=day),
        mtp_pretrain=replace(mtp, sequence=sequence, epochs=6, min_head_divergence=0.005),
    )


def load_params_file(path: Path) -> Params:
    """Read and check a whole params.yaml.

    Args:
        path: The file.

    Returns:
        Its parameters; what it leaves out has the default.

    Raises:
        ConfigError: If a section or key is unknown, missing, of the wrong type or out of range.
    """
    return load_section(Params, read_yaml(path), where=str(path))


def render_params(params: Params) -> str:
    """Write parameters as YAML.

    Args:
        params: The parameters.

    Returns:
        Content of a params.yaml that `load_params_file` reads back unchanged.
    """
    return _HEADER + yaml.safe_dump(to_mapping(params), sort_keys=False, width=100)


def render_difference(params: Params, base: Params) -> str:
    """Write only what differs from another tree, for a params.yaml that people edit.

    Args:
        params: The parameters.
        base: What the reader of the file starts from; `preset("tiny")` holds the defaults.

    Returns:
        YAML text; the day is always written, since it has no default.
    """
    nested: dict[str, dict[str, object]] = {"run": {"day": params.run.day}}
    for name, (value, _) in differences(params, base).items():
        section, key = name.split(".", maxsplit=1)
        node = nested.setdefault(section, {})
        *parents, leaf = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})  # type: ignore[assignment]
        node[leaf] = value
    return _HEADER + yaml.safe_dump(nested, sort_keys=False, width=100)


def override(params: Params, assignments: Mapping[str, str]) -> Params:
    """Change single values by their dotted names.

    Args:
        params: The parameters to start from.
        assignments: `section.key` -> value as YAML text.

    Returns:
        Changed parameters.

    Raises:
        ConfigError: If a name is unknown or a value does not fit.
    """
    values = to_mapping(params)
    for name, text in assignments.items():
        *parents, leaf = name.split(".")
        node = values
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                raise ConfigError(
                    f"unknown parameter {name!r}", where="--set", fix=suggest_name(parent, node)
                )
            node = node[parent]
        node[leaf] = yaml.safe_load(text)
    return load_section(Params, values, where="--set")


def differences(params: Params, base: Params) -> dict[str, tuple[object, object]]:
    """List what differs between two parameter trees.

    Args:
        params: One tree.
        base: The other, usually a preset.

    Returns:
        Dotted name -> (value in params, value in base), sorted by name.
    """
    ours, theirs = _flatten(to_mapping(params)), _flatten(to_mapping(base))
    names = sorted(ours.keys() | theirs.keys())
    return {
        name: (ours.get(name), theirs.get(name))
        for name in names
        if ours.get(name) != theirs.get(name)
    }


def _flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Turn nested mappings into dotted names."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _tiny() -> Params:
    """600 users, 1,500 ads, 60 days of training: minutes on two cores."""
    return Params(run=RunConfig(day="2026-03-01"))


def _micro() -> Params:
    """60 users, 120 ads, 14 days of training: seconds; for tests of the machinery."""
    tiny = _tiny()
    mtp, vaft, hepo = tiny.mtp_pretrain, tiny.vaft, tiny.hepo
    model = replace(mtp.model, width=32, attention_heads=2, hsd_layers=2, ptd_layers=1)
    sequence = replace(mtp.sequence, max_tokens=64, new_tokens=32)
    often = 10
    return replace(
        tiny,
        run=replace(tiny.run, day="2026-01-14", threads=1),
        world=world_preset("micro"),
        tokenization=replace(tiny.tokenization, codebook_size=16, epochs=20),
        mtp_pretrain=replace(
            mtp,
            model=model,
            sequence=sequence,
            optimizer=replace(
                mtp.optimizer, checkpoint_every=often, learning_rate=3e-3, batch_windows=16
            ),
            epochs=2,
            min_head_divergence=0.0,
        ),
        vaft=replace(vaft, optimizer=replace(vaft.optimizer, checkpoint_every=often)),
        simulator_snapshot=replace(
            tiny.simulator_snapshot,
            num_requests=200,
            # About twenty held-out clicks say nothing about the order of a ranker.
            rankers=replace(tiny.simulator_snapshot.rankers, min_auc=0.2),
        ),
        hepo=replace(
            hepo, num_candidates=16, critic=replace(hepo.critic, min_r2=0.0), iterations=1
        ),
        evaluation=replace(
            tiny.evaluation,
            max_requests=200,
            resamples=500,
            verdict=replace(tiny.evaluation.verdict, min_fidelity=0.0),
        ),
        model_push=replace(tiny.model_push, smoke_requests=20),
    )


_PRESETS: Mapping[str, Callable[[], Params]] = {"micro": _micro, "tiny": _tiny}
