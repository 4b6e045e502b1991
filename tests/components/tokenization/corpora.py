"""A small corpus for the step, written as the files of the artifact `corpus`."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.runtime.context import StepContext
from components.tokenization.main import run
from gpr_core.data.days import day_end_ms, parse_day
from gpr_core.data.tables import TABLES, ItemKind
from gpr_core.support.files import write_json
from gpr_core.support.progress import Progress
from gpr_core.tokenizer.config import TokenizationConfig
from tests.conformance.tokenizer import make_items
from tests.gpr_core.catalog.catalogs import make_ads, make_versions

CATEGORY_WORDS = ("coffee", "shoes", "garden")
CONFIG = TokenizationConfig(
    num_levels=2, codebook_size=8, hidden_width=16, epochs=5, batch_size=64, kmeans_iterations=10
)


def write_corpus(folder, *, num_ads=60, num_contents=90, without_vector=0, seed=0, stats="first"):
    """Ads 1..A and contents 1..C; the first items are the same however many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = {
        ItemKind.AD: make_items(500, seed=seed).x_MD[:num_ads],
        ItemKind.CONTENT: make_items(500, seed=seed + 1).x_MD[:num_contents],
    }
    ads = [
        {"ad_key": key, "advertiser_key": key % 5, "cat_l1": key % 3, "launch_ts": key}
        | {"title": f"{CATEGORY_WORDS[key % 3]} offer {key}"}
        for key in range(1, num_ads + 1)
    ]
    versions = [
        {"ad_key": key, "bid_type": key % 2, "valid_from": ts}
        for key in range(1, num_ads + 1)
        for ts in (1000, 0)
    ]
    contents = [
        {"content_key": key, "cat_l1": key % 3, "title": f"{CATEGORY_WORDS[key % 3]} story {key}"}
        for key in range(1, num_contents + 1)
    ]
    pq.write_table(make_ads(ads), folder / "ads.parquet")
    pq.write_table(make_versions(versions), folder / "ad_versions.parquet")
    pq.write_table(make_contents(contents), folder / "content.parquet")
    kinds = np.repeat([kind.value for kind in vectors], [num_ads, num_contents])
    keys = np.r_[1 : num_ads + 1, 1 : num_contents + 1]
    x = np.concatenate(list(vectors.values()))
    split = np.array([0, 0, 0, 0, 0, 0, 0, 1, 2, 2])[keys % 10]
    kept = slice(without_vector, None)
    write_vectors(folder, kinds[kept], keys[kept], x[kept])
    sample = pa.table(
        {
            "item_kind": kinds[kept].astype(np.int8),
            "item_key": keys[kept].astype(np.uint64),
            "cluster": np.arange(keys[kept].size),
            "split": split[kept].astype(np.int8),
            "weight": np.ones(keys[kept].size, np.float32),
            "is_canonical": keys[kept] % 7 > 0,
        }
    )
    pq.write_table(sample, folder / "tokenizer_sample.parquet")
    write_json(folder / "embedding_stats.json", {"of": stats})
    return folder


def launch(folder, times):
    """Change when ads of a corpus were launched; key -> epoch ms."""
    ads = pq.read_table(folder / "ads.parquet").to_pydict()
    for key, ts in times.items():
        ads["launch_ts"][ads["ad_key"].index(key)] = ts
    pq.write_table(pa.table(ads, TABLES["ads"].schema), folder / "ads.parquet")


def write_vectors(folder, kinds, keys, x):
    """Write item_vectors.parquet."""
    table = pa.table(
        {
            "item_kind": np.asarray(kinds, np.int8),
            "item_key": np.asarray(keys, np.uint64),
            "emb_row": np.arange(len(keys)),
            "x": pa.array(list(x), pa.list_(pa.float32())),
        }
    )
    pq.write_table(table, folder / "item_vectors.parquet")


def make_contents(rows):
    """Rows of the lake table `content`; each needs a content_key."""
    schema = TABLES["content"].schema
    columns = [pa.array([row.get(field.name, 0) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def make_step_context(root, corpus, *, params=CONFIG, champion=None, registry=None, refit=False):
    """A context of the step with fresh output folders below a root."""
    outputs = {name: root / "out" / name for name in ("tokenizer", "catalog")}
    for folder in (*outputs.values(), root / "plots"):
        folder.mkdir(parents=True)
    day = parse_day("2026-01-14")
    return StepContext(
        day=day,
        cutoff_ts=day_end_ms(day),
        seed=5,
        threads=1,
        device="cpu",
        params=params,
        inputs={"corpus": corpus},
        outputs=outputs,
        scratch=root / "scratch",
        plots=root / "plots",
        reports=root / "reports",
        lake=root / "lake",
        oracle=root / "oracle",
        registry=registry or root / "registry",
        champion=champion,
        progress=Progress("tokenization"),
        refit=refit,
    )


def run_with_champion(root, registry, *, num_ads=66, seed=0, params=CONFIG, **options):
    corpus = write_corpus(root / "corpus", num_ads=num_ads, seed=seed)
    folder, version = registry
    context = make_step_context(
        root, corpus, params=params, champion=version, registry=folder, **options
    )
    return context, run(context)


def passed(result):
    return {gate.name: gate.passed for gate in result.gates}
