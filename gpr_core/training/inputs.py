"""Reads the artifacts that both supervised steps train on."""

from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from gpr_core.catalog.bundle import load_catalog
from gpr_core.features.thoughts import read_thoughts
from gpr_core.support.files import read_json
from gpr_core.training.examples import CatalogView, CorpusTables


class SupervisedInputs(NamedTuple):
    """Corpus and catalog of one run.

    Attributes:
        tables: Curated tables.
        catalog: Semantic ids and ads.
        tokenizer_version: Version of the semantic ids.
        catalog_version: Version of the catalog.
    """

    tables: CorpusTables
    catalog: CatalogView
    tokenizer_version: str
    catalog_version: str


def load_inputs(corpus: Path, tokenizer: Path, catalog: Path) -> SupervisedInputs:
    """Read corpus, tokenizer and catalog, and check that they belong together.

    Args:
        corpus: Folder of the artifact `corpus`.
        tokenizer: Folder of the artifact `tokenizer`.
        catalog: Folder of the artifact `catalog`.

    Returns:
        Tables and versions.

    Raises:
        ArtifactError: If the catalog is incomplete, changed, or of another tokenizer.
    """
    tokenizer_version = str(read_json(tokenizer / "tokenizer.json")["version"])
    ads = load_catalog(catalog, tokenizer_version=tokenizer_version)
    timelines, decisions, value_weights = (
        pq.read_table(corpus / f"{name}.parquet")
        for name in ("timelines", "decisions", "value_weights")
    )
    return SupervisedInputs(
        tables=CorpusTables(timelines, decisions, value_weights, read_thoughts(corpus)),
        catalog=CatalogView(
            sid_map=pq.read_table(tokenizer / "sid_map.parquet"),
            trie=ads.trie,
            ad_table=ads.ads,
        ),
        tokenizer_version=tokenizer_version,
        catalog_version=ads.version,
    )
