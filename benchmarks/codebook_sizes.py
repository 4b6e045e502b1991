"""How many levels and codes a catalog needs: measures of RQ-KMeans+ over a grid of sizes.

    python -m benchmarks.codebook_sizes

Uses the catalog of the synthetic world `small` on three seeds, and a tenth of it, and writes
docs/benchmarks/codebook_sizes.json.
"""

import time
from typing import Any

import numpy as np

from benchmarks.record import write_result
from benchmarks.table1_items import StudyItems, world_items
from gpr_core.data.splits import Split
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import numpy_stream
from gpr_core.tokenizer.bundle import make_tokenizer
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.quality import codebook_quality, path_ids

SEEDS = (0, 1, 2)
GRID = ((2, 64), (2, 256), (3, 32), (3, 64), (3, 128), (3, 256), (4, 32), (4, 64), (4, 128))
SHARES = (0.1, 1.0)


def measure(items: StudyItems, levels: int, codes: int, seed: int) -> dict[str, float]:
    """Fit one size and measure it on all items.

    Args:
        items: The catalog.
        levels: Levels L.
        codes: Codes per level V.
        seed: Run seed.

    Returns:
        Measure -> value.
    """
    config = TokenizationConfig(num_levels=levels, codebook_size=codes)
    tokenizer = make_tokenizer(config)
    train, validation = items.sample(Split.TRAIN), items.sample(Split.INNER_VALIDATION)
    tokenizer.fit(train, validation, seed=seed, threads=2)
    code_ML = tokenizer.encode(items.x_MD)
    quality = codebook_quality(
        items.x_MD,
        code_ML,
        tokenizer.decode(code_ML),
        codebook_sizes=[codes] * levels,
        labels=items.labels,
    )
    spread = float(np.square(items.x_MD - items.x_MD.mean(0)).sum(1).mean())
    return {
        "capacity_per_item": codes**levels / len(items.x_MD),
        "collision": quality.collision,
        "excess": quality.excess,
        "largest_leaf": float(np.bincount(path_ids(code_ML)).max()),
        "usage_level_1": quality.usage[0],
        "perplexity_last_level": quality.perplexity[-1],
        "relative_error": quality.reconstruction_mse / spread,
        "v_measure_level_1": quality.v_measure["cat_l1"][0],
    }


def thin_out(items: StudyItems, share: float) -> StudyItems:
    """Keep a random part of a catalog.

    Args:
        items: A catalog.
        share: Share of its items, (0, 1].

    Returns:
        A smaller catalog of the same kind.
    """
    stream = numpy_stream(0, "codebook_sizes", "thin_out")
    order = stream.permutation(len(items.x_MD))
    rows = np.sort(order[: round(share * order.size)])
    return StudyItems(
        x_MD=items.x_MD[rows],
        split_M=items.split_M[rows],
        is_canonical_M=items.is_canonical_M[rows],
        weight_M=items.weight_M[rows],
        labels={name: label_M[rows] for name, label_M in items.labels.items()},
    )


def run_grid() -> list[dict[str, Any]]:
    """Measure all sizes on all seeds.

    Returns:
        One row per catalog and size: mean and range over seeds.
    """
    progress = Progress("codebook_sizes")
    found: dict[tuple[float, int, int], list[dict[str, float]]] = {}
    for number, seed in enumerate(SEEDS):
        whole = world_items(seed)
        for share in SHARES:
            items = thin_out(whole, share)
            for levels, codes in GRID:
                runs = found.setdefault((share, levels, codes), [])
                runs.append({"items": len(items.x_MD), **measure(items, levels, codes, seed)})
        progress.update(number + 1, len(SEEDS))
    return [
        {"share": share, "levels": levels, "codes": codes}
        | {name: _mean_and_range([run[name] for run in runs]) for name in runs[0]}
        for (share, levels, codes), runs in found.items()
    ]


def _mean_and_range(values: list[float]) -> dict[str, float]:
    """Summarize the values of all seeds."""
    return {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}


if __name__ == "__main__":
    started = time.monotonic()
    rows = run_grid()
    study = {"seeds": list(SEEDS), "study_s": round(time.monotonic() - started, 1), "rows": rows}
    print(write_result("codebook_sizes", study))  # noqa: T201
