"""Makes the thoughts of external knowledge that a step writes or reads.

Answers of a language model are kept beside the partitions of the lake, in `<lake>/answers/`, so
that no later day, and no run that starts again, asks about the same user and day twice. Who
withdraws consent is forgotten there. The template is faster than a file and computed each time.
"""

import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.runtime.context import StepContext
from gpr_core.data.config import ThoughtsConfig
from gpr_core.features.corpus import CuratedDays
from gpr_core.knowledge.cache import ThoughtCache, count_providers
from gpr_core.knowledge.language_model import HttpModel, LanguageModelProvider
from gpr_core.knowledge.production import make_thoughts, wanted_thoughts
from gpr_core.knowledge.provider import ThoughtProvider
from gpr_core.knowledge.template import TemplateProvider
from gpr_core.knowledge.views import History

KEY_VARIABLE = "GPR_LANGUAGE_MODEL_KEY"

_LOGGER = logging.getLogger("gpr.knowledge")


def collect_thoughts(
    context: StepContext[Any],
    config: ThoughtsConfig,
    curated: CuratedDays,
    landed: pa.Table,
    *,
    from_ts: int,
    also_on: int | None = None,
) -> pa.Table:
    """Make the thoughts of all requests from a time on.

    What landed in the lake is taken first, then what was answered before, then the configured
    provider is asked.

    Args:
        context: The step.
        config: Whom to ask; not `none`.
        curated: Timelines and users through the last day.
        landed: Rows of the lake table `thoughts` that keep their contract.
        from_ts: Epoch ms; requests of days before it get no thought.
        also_on: Start of a day on which anyone's request may be rehearsed.

    Returns:
        Lake table `thoughts`, by user and day.

    Raises:
        ConfigError: If the address of the language model is not http or https.
    """
    history = History(curated.timelines, curated.canonical["users"])
    wanted = wanted_thoughts(history, from_ts=from_ts, also_on=also_on)
    provider = choose_provider(config)
    context.progress.phase(
        f"external knowledge: {provider.name} thinks about {wanted.user_key_N.size} user days"
    )
    if isinstance(provider, TemplateProvider):
        return make_thoughts(history, wanted, provider, ThoughtCache(landed))
    path = context.lake / "answers" / "thoughts.parquet"
    cache = ThoughtCache.load(path, landed=landed)
    cache.forget(history.users_without_consent())
    return make_thoughts(history, wanted, provider, cache, keep=partial(_keep, path))


def choose_provider(config: ThoughtsConfig) -> ThoughtProvider:
    """Choose who speaks; the credential of a language model comes from the environment.

    Args:
        config: Whom to ask; not `none`.

    Returns:
        The provider; without a credential it is the template, and its name says so.

    Raises:
        ConfigError: If the address of the language model is not http or https.
    """
    facts = TemplateProvider()
    if config.provider == "template":
        return facts
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        _LOGGER.warning(
            "there is no credential for %s, %s speaks: set %s",
            config.model,
            facts.name,
            KEY_VARIABLE,
        )
        return facts
    model = HttpModel(url=config.url, model=config.model, key=key)
    return LanguageModelProvider(config.model, model, facts)


def provider_metrics(thoughts: pa.Table) -> dict[str, float]:
    """Count who wrote thoughts, as metrics of a step.

    Args:
        thoughts: Lake table `thoughts`.

    Returns:
        `thoughts/<provider>` -> number of thoughts, and `thoughts/all`.
    """
    counts = {name: float(count) for name, count in count_providers(thoughts).items()}
    named = {f"thoughts/{name}": count for name, count in counts.items()}
    return {"thoughts/all": float(thoughts.num_rows), **named}


def _keep(path: Path, cache: ThoughtCache) -> None:
    """Keep what was answered; a lake that may only be read costs questions, not the run."""
    try:
        cache.save(path)
    except OSError as error:
        _LOGGER.warning(
            "answers are not kept, each run asks again: %s; let the step write to %s",
            error,
            path.parent,
        )
