"""The fresh process that tries a bundle: `python -m components.model_push.smoke FOLDER`.

It knows nothing but the folder, as a server would. The requests are made up: journeys of ads and
content of the bundle's own catalog under keyed draws. No real user is needed, and none may be in a
bundle. Answers are checked by another computation than the one that made them.

Letters: B requests, A ads by rank, L levels.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import typer

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.budget import BudgetLedger
from gpr_core.catalog.bundle import Catalog, load_catalog
from gpr_core.catalog.eligibility import RequestContext, eligible_ads
from gpr_core.catalog.targeting import TargetingIndex
from gpr_core.data.keyed_sampling import keyed_hash
from gpr_core.data.tables import DAY_MS, HOUR_MS, TABLES, ItemKind, TokenKind
from gpr_core.features.fields import FIELDS, NUM_FIELDS
from gpr_core.features.legal_sets import pair_eligible
from gpr_core.features.timeline_store import TimelineStore
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.emission import Handout, hand_out, with_reserve
from gpr_core.generation.protocols import Candidates, DecodeRequests
from gpr_core.generation.value_guided import decode
from gpr_core.knowledge.views import NUM_CATEGORIES
from gpr_core.knowledge.words import thought_words
from gpr_core.models.checkpoint import load_checkpoint
from gpr_core.models.gpr import GPR
from gpr_core.support.files import read_json
from gpr_core.training.sequence_file import load_sequence

_SEED = 0
_HISTORY = 8
_KINDS = (TokenKind.USER, *[TokenKind.ORGANIC, TokenKind.ITEM] * (_HISTORY // 2))
# Sizes of the context attributes; the masks of an ad hold bits for these values.
_CONTEXT_SIZES = {"age_bucket": 7, "gender": 3, "geo_l1": 4, "geo_l2": 16, "device": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeResult:
    """What became of the smoke requests.

    Attributes:
        requests: Requests made up.
        servable: Requests that at least one ad may serve.
        answered: Servable requests that got at least one ad.
        illegal: Ads that may not serve their request.
        repeated: Ads emitted twice for one request.
        latency_p95_ms: 95th percentile of the time per request, ms.
    """

    requests: int
    servable: int
    answered: int
    illegal: int
    repeated: int
    latency_p95_ms: float


@dataclass(frozen=True, slots=True)
class _Bundle:
    """What a server loads."""

    model: GPR
    catalog: Catalog
    sid_map: pa.Table
    max_tokens: int


def try_bundle(folder: Path, *, num_requests: int, num_candidates: int) -> SmokeResult:
    """Load a bundle and answer made-up requests one by one.

    Args:
        folder: Folder of the bundle.
        num_requests: Requests to answer.
        num_candidates: Ads asked for per request.

    Returns:
        What became of them.

    Raises:
        ArtifactError: If a part is missing, damaged or does not fit the others.
    """
    bundle = _load(folder)
    context = _made_up_context(bundle.catalog.ads, num_requests)
    timelines = _made_up_timelines(bundle, context)
    store = TimelineStore.from_tables(
        timelines,
        bundle.sid_map,
        bundle.catalog.trie.num_levels,
        thoughts=_made_up_thoughts(bundle, context),
    )
    targeting = TargetingIndex.build(bundle.catalog.ads, int(context.ts[0]))
    ledger = BudgetLedger(_budgets(bundle.catalog.ads, int(context.ts[0])))
    config = BeamConfig(num_candidates=num_candidates)
    answers, seconds = [], []
    for row in (0, *range(num_requests)):
        started = time.perf_counter()
        answers.append(_answer(bundle, store, _one(context, row), targeting, ledger, config))
        seconds.append(time.perf_counter() - started)
    # The first answer warms caches up and is not counted.
    return _judge(bundle, context, answers[1:], np.array(seconds[1:]))


def _load(folder: Path) -> _Bundle:
    """Load the parts of a bundle; each refuses what does not fit it."""
    version = str(read_json(folder / "tokenizer" / "tokenizer.json")["version"])
    return _Bundle(
        model=load_checkpoint(folder / "policy", tokenizer_version=version),
        catalog=load_catalog(folder / "catalog", tokenizer_version=version),
        sid_map=pq.read_table(folder / "tokenizer" / "sid_map.parquet"),
        max_tokens=load_sequence(folder / "policy").max_tokens,
    )


def _made_up_context(ad_table: AdTable, num_requests: int) -> RequestContext:
    """Draw the attributes of requests, all at the moment the catalog was last changed."""
    key_B = np.arange(1, num_requests + 1)
    attributes = {name: _draw(name, key_B, size) for name, size in _CONTEXT_SIZES.items()}
    zeros_B = np.zeros(num_requests, dtype=np.int64)
    return RequestContext(
        request_key=key_B,
        user_key=key_B,
        ts=zeros_B + int(ad_table.start_V.max()),
        placement=zeros_B,
        privacy=zeros_B,
        **attributes,
    )


def _made_up_timelines(bundle: _Bundle, context: RequestContext) -> pa.Table:
    """Draw one journey per request: a profile, alternating content and ads, then the request."""
    kinds_T = np.array([*_KINDS, TokenKind.ENVIRONMENT])
    num_tokens = len(kinds_T)
    user_M = np.repeat(context.user_key, num_tokens)
    token_M = np.tile(np.arange(num_tokens), len(context.user_key))
    kind_M = kinds_T[token_M]
    item_kind_M = np.select(
        [kind_M == TokenKind.ITEM, kind_M == TokenKind.ORGANIC],
        [int(ItemKind.AD), int(ItemKind.CONTENT)],
        int(ItemKind.NONE),
    )
    columns = {
        "user_key": user_M,
        "ts": np.repeat(context.ts, num_tokens) - (num_tokens - 1 - token_M) * HOUR_MS,
        "kind": kind_M,
        "item_kind": item_kind_M,
        "item_key": _made_up_items(bundle.sid_map, user_M, token_M, item_kind_M),
        "request_key": np.where(kind_M == TokenKind.ENVIRONMENT, user_M, 0),
    }
    for place in range(NUM_FIELDS):
        columns[f"f{place}"] = _made_up_fields(place, user_M, token_M, kind_M)
    return pa.table(columns)


def _made_up_items(
    sid_map: pa.Table,
    user_M: npt.NDArray[np.int64],
    token_M: npt.NDArray[np.int64],
    item_kind_M: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Draw the item of each token that has one."""
    key_N = sid_map["item_key"].to_numpy().astype(np.int64)
    kind_N = sid_map["item_kind"].to_numpy()
    item_M = np.zeros(len(user_M), dtype=np.int64)
    for kind in (ItemKind.AD, ItemKind.CONTENT):
        rows, keys = item_kind_M == kind, key_N[kind_N == kind]
        if rows.any() and keys.size:
            item_M[rows] = keys[_draw("item", user_M[rows], keys.size, token_M[rows])]
    return item_M


def _made_up_fields(
    place: int,
    user_M: npt.NDArray[np.int64],
    token_M: npt.NDArray[np.int64],
    kind_M: npt.NDArray[np.int64],
) -> npt.NDArray[np.int16]:
    """Draw one field of every token within its size."""
    value_M = np.zeros(len(user_M), dtype=np.int16)
    for kind, fields in FIELDS.items():
        rows = kind_M == kind
        if place < len(fields):
            size = fields[place].size
            value_M[rows] = _draw(f"field{place}", user_M[rows], size, token_M[rows])
    return value_M


def _made_up_thoughts(bundle: _Bundle, context: RequestContext) -> pa.Table | None:
    """Draw what is said about most users, for a model that reads it; nothing is said of some."""
    if not bundle.model.config.knowledge_vectors:
        return None
    spoken_of = np.flatnonzero(_draw("thought", context.user_key, 4))
    as_of = context.ts[spoken_of] // DAY_MS * DAY_MS
    liked = _draw("liked", context.user_key[spoken_of], NUM_CATEGORIES)
    texts = [f"likes category{category}" for category in liked]
    columns = {
        "user_key": context.user_key[spoken_of],
        "as_of_ts": as_of,
        "text": texts,
        "token_ids": [thought_words(text) for text in texts],
        "provider": ["smoke"] * len(texts),
        "prompt_hash": ["0" * 16] * len(texts),
        "source_max_ts": as_of - 1,
    }
    return pa.table(columns, schema=TABLES["thoughts"].schema)


def _draw(
    purpose: str, key_M: npt.NDArray[np.int64], size: int, *more: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Draw keyed integers in [0, size)."""
    bits = keyed_hash(_SEED, f"smoke_{purpose}", key_M, *more)
    return (bits % np.uint64(size)).astype(np.int64)


def _answer(
    bundle: _Bundle,
    store: TimelineStore,
    one: RequestContext,
    targeting: TargetingIndex,
    ledger: BudgetLedger,
    config: BeamConfig,
) -> Candidates:
    """Answer one request as a server would."""
    requests = DecodeRequests(
        request_key_B=one.request_key, ts_B=one.ts, eligible=targeting.eligible(one)
    )
    with torch.no_grad():
        batch = store.prefix_batch(requests.request_key_B, bundle.max_tokens)
        state = bundle.model.read(batch)
        offered = decode(
            bundle.model,
            bundle.model,
            state,
            requests,
            bundle.catalog.trie,
            bundle.catalog.ads,
            with_reserve(config),
        )
    ads, rank_M = bundle.catalog.ads, offered.rank_M.numpy()
    price_M = ads.largest_cost(np.repeat(one.ts, rank_M.size), rank_M)
    emitted = hand_out(
        offered,
        requests.eligible,
        count=config.num_candidates,
        price_micros_M=price_M,
        ledger=ledger,
        is_alive=targeting.is_alive,
    )
    # Nobody sees these answers, so that what was reserved goes back.
    sold = emitted.handout_M == Handout.HANDED_OUT
    ledger.release(rank_M[sold], price_M[sold])
    return emitted.candidates


def _one(context: RequestContext, row: int) -> RequestContext:
    """Take one request."""
    return RequestContext(*(column[row : row + 1] for column in context))


def _budgets(ads: AdTable, ts: int) -> npt.NDArray[np.int64]:
    """Give what each ad may spend on a day on which it has not spent anything yet, [A] micros."""
    version_A = ads.versions_at(np.array([ts]))[0]
    budget_A = np.minimum(ads.daily_budget_V[version_A], ads.total_budget_V[version_A])
    return np.where(version_A >= 0, budget_A, 0)


def _judge(
    bundle: _Bundle,
    context: RequestContext,
    answers: list[Candidates],
    seconds_B: npt.NDArray[np.float64],
) -> SmokeResult:
    """Check the answers pair by pair."""
    length_B = np.array([answer.rank_M.numel() for answer in answers])
    row_M = np.repeat(np.arange(len(answers)), length_B)
    rank_M = torch.cat([answer.rank_M for answer in answers]).numpy()
    distinct = np.unique(row_M * bundle.catalog.trie.num_ads + rank_M).size
    servable_B = eligible_ads(bundle.catalog.ads, context).any(axis=1)
    return SmokeResult(
        requests=len(answers),
        servable=int(servable_B.sum()),
        answered=int((length_B[servable_B] > 0).sum()),
        illegal=int((~pair_eligible(bundle.catalog.ads, context, row_M, rank_M)).sum()),
        repeated=int(rank_M.size - distinct),
        latency_p95_ms=float(np.percentile(seconds_B, 95) * 1000),
    )


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    requests: Annotated[int, typer.Option(help="Requests to answer.")] = 100,
    candidates: Annotated[int, typer.Option(help="Ads asked for per request.")] = 10,
) -> None:
    """Try a bundle and print what became of the requests as JSON."""
    torch.set_num_threads(1)
    result = try_bundle(folder, num_requests=requests, num_candidates=candidates)
    typer.echo(json.dumps(asdict(result)))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
