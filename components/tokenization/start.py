"""Where the tokenizer of a day comes from: the champion, whose codebooks are kept, or a fit."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from components.runtime.context import StepContext
from components.runtime.model_store import ModelStore
from components.tokenization.items import TRAIN, VALIDATION, Items
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.tokenizer.bundle import load_tokenizer, make_tokenizer, read_version_file
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import FitReport, Tokenizer

STATS_FILE = "embedding_stats.json"


class Start(NamedTuple):
    """The tokenizer of a day.

    Attributes:
        tokenizer: Fitted.
        fit: How the fit went; without a curve where codebooks are kept.
        stored_ids: Ids that the champion gave, to be kept; None where a tokenizer was fitted.
    """

    tokenizer: Tokenizer
    fit: FitReport
    stored_ids: pa.Table | None


def start_tokenizer(context: StepContext[TokenizationConfig], items: Items) -> Start:
    """Keep the champion's tokenizer, or fit one on a refit and where there is no champion.

    Args:
        context: Champion, registry, parameters, seed and threads.
        items: What to fit on.

    Returns:
        The tokenizer.

    Raises:
        ConfigError: If the sizes do not fit the data or the champion's tokenizer.
        ArtifactError: If the champion is missing or damaged, or the corpus does not belong to it.
    """
    if not context.keeps_codebooks:
        context.progress.phase(f"fitting {context.params.kind}")
        tokenizer = make_tokenizer(context.params)
        fit = tokenizer.fit(
            items.sample(TRAIN),
            items.sample(VALIDATION),
            seed=context.seed,
            threads=context.threads,
        )
        return Start(tokenizer, fit, None)
    context.progress.phase(f"keeping the codebooks of {context.champion}")
    folder = champion_folder(context)
    _require_same_kind(context, folder, items)
    _require_same_statistics(context, folder)
    ids = pq.read_table(folder / "sid_map.parquet")
    return Start(load_tokenizer(folder), FitReport(curve=(), best_epoch=0), ids)


def champion_folder(context: StepContext[TokenizationConfig]) -> Path:
    """Find the champion's tokenizer, every byte verified.

    Args:
        context: Champion and registry.

    Returns:
        Its folder.

    Raises:
        ArtifactError: If the champion is missing or damaged.
    """
    store = ModelStore(context.registry)
    store.verify(str(context.champion))
    return store.path(str(context.champion)) / "tokenizer"


def _require_same_kind(
    context: StepContext[TokenizationConfig], folder: Path, items: Items
) -> None:
    """Refuse parameters that ask for another tokenizer than the champion has."""
    meta, params = read_version_file(folder), context.params
    sizes = [params.codebook_size] * params.num_levels
    found = tuple(meta[name] for name in ("kind", "codebook_sizes", "dim", "projection"))
    wanted = (params.kind, sizes, items.x_MD.shape[1], params.projection)
    if found != wanted:
        raise ConfigError(
            f"the champion's tokenizer is (kind, codebook sizes, width, projection) {found}, "
            f"parameters and corpus ask for {wanted}",
            where=f"run.champion {context.champion}",
            fix="refit with `gpr run --set run.refit=true`, or restore the parameters",
        )


def _require_same_statistics(context: StepContext[TokenizationConfig], folder: Path) -> None:
    """Refuse vectors that were centered for other codebooks."""
    if (folder / STATS_FILE).read_bytes() != (context.inputs["corpus"] / STATS_FILE).read_bytes():
        raise ArtifactError(
            "the item vectors were centered with other statistics than the champion's codebooks",
            where=f"corpus {STATS_FILE}, run.champion {context.champion}",
            fix="run corpus_curation again with the same run.champion",
        )
