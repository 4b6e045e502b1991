"""The truth behind the logs; only world generation and evaluation may import this.

B = requests, K = ads asked about per request, M = B * K flat pairs, A = ads, C = categories.

Source: specification 6.2 (oracle API).
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpr_core.data.days import parse_day
from gpr_core.data.tables import DAY_MS
from gpr_core.support.config import load_section
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json
from gpr_core.support.shapes import check_shape
from gpr_core.world.behavior import Offsets, Pairs, Probabilities, probabilities, true_logits
from gpr_core.world.config import WorldConfig
from gpr_core.world.economics import num_ads_by
from gpr_core.world.state import read_arrays
from gpr_core.world.taxonomy import Floats, Ints, Keys, build_ads
from gpr_core.world.users import (
    Threads,
    brand_affinity,
    build_population,
    category_affinity,
    live_slots,
)


class Oracle:
    """Answers questions about the requests of landed days.

    Args:
        root: The oracle tree that `fill_world` wrote.

    Raises:
        ArtifactError: If there is no oracle tree, or no day in it.
    """

    def __init__(self, root: Path) -> None:
        path = root / "world.json"
        if not path.exists():
            raise ArtifactError(
                "there is no oracle here",
                where=str(root),
                fix="only lakes filled from the synthetic world have one: `gpr lake fill`",
            )
        known = read_json(path)
        self.config = load_section(WorldConfig, known["config"], where=str(path))
        self._offsets = Offsets(*known["offsets"])
        self._paths = sorted((root / "days").glob("day=*.npz"))
        if not self._paths:
            raise ArtifactError(
                "the oracle holds no day",
                where=str(root / "days"),
                fix="fill the lake: `gpr lake fill`",
            )
        first = parse_day(self.config.first_day)
        days = [parse_day(path.stem.removeprefix("day=")) for path in self._paths]
        self._ads = build_ads(self.config, num_ads_by(self.config, (days[-1] - first).days + 1))
        self._population = build_population(self.config)
        self._index_requests()
        order = np.argsort(self._ads.key_A)
        self._ad_order, self._ad_keys = order, self._ads.key_A[order]

    def outcome_probabilities(
        self, request_keys: npt.NDArray[np.uint64], ad_keys: npt.NDArray[np.uint64]
    ) -> tuple[Floats, Floats, Floats]:
        """Give the true probabilities, had each ad been shown at each request.

        Args:
            request_keys: [B] uint64 or int64, keys of landed requests.
            ad_keys: [B, K] uint64 or int64, keys of ads.

        Returns:
            p_ctr, p_cvr (given a click) and p_neg, each [B, K] float64.

        Raises:
            ArtifactError: If a request or an ad is unknown.
            ShapeError: If the two arrays do not have one row per request.
        """
        check_shape("request_keys", request_keys, (None,))
        check_shape("ad_keys", ad_keys, (len(request_keys), None))
        rows_B = self._rows_of(request_keys)
        parts = [np.empty(ad_keys.shape, dtype=np.float64) for _ in Probabilities._fields]
        for day in np.unique(self._day_B[rows_B]).tolist():
            [chosen] = np.nonzero(self._day_B[rows_B] == day)
            truth = self._truth_of_day(day, rows_B[chosen], np.asarray(ad_keys)[chosen])
            for part, values in zip(parts, truth, strict=True):
                part[chosen] = values.reshape(len(chosen), -1)
        return parts[0], parts[1], parts[2]

    def earlier_impressions(
        self, request_keys: npt.NDArray[np.uint64], ad_keys: npt.NDArray[np.uint64]
    ) -> Ints:
        """Count the logged impressions of each ad to the user before each request.

        Args:
            request_keys: [B] keys of landed requests.
            ad_keys: [B, K] keys of ads.

        Returns:
            [B, K] int64.
        """
        rows_B = self._rows_of(request_keys)
        ad_BK = self._ads_of(np.asarray(ad_keys))
        user_BK = np.repeat(self._user_B[rows_B][:, None], ad_BK.shape[1], axis=1)
        ts_BK = np.repeat(self._ts_B[rows_B][:, None], ad_BK.shape[1], axis=1)
        flat = self._shown_before(user_BK.ravel(), ad_BK.ravel(), ts_BK.ravel())
        return flat.reshape(ad_BK.shape)

    def category_affinity(
        self, request_keys: npt.NDArray[np.uint64], ad_keys: npt.NDArray[np.uint64]
    ) -> Floats:
        """Say how much each user likes the category and the brand of each ad.

        Args:
            request_keys: [B] keys of landed requests.
            ad_keys: [B, K] keys of ads.

        Returns:
            [B, K] float64, the affinity part of the click logit.
        """
        rows_B, ad_BK = self._rows_of(request_keys), self._ads_of(np.asarray(ad_keys))
        result = np.empty(ad_BK.shape, dtype=np.float64)
        for day in np.unique(self._day_B[rows_B]).tolist():
            [chosen] = np.nonzero(self._day_B[rows_B] == day)
            like_UC, like_UX = self._affinities(day)
            user, ad = self._user_B[rows_B[chosen]][:, None], ad_BK[chosen]
            result[chosen] = 1.5 * like_UC[user, self._ads.category_A[ad]]
            result[chosen] += like_UX[user, self._ads.brand_A[ad]]
        return result

    def live_threads(self, request_keys: npt.NDArray[np.uint64]) -> list[frozenset[int]]:
        """Give the categories each user was truly interested in at each request.

        Args:
            request_keys: [B] keys of landed requests.

        Returns:
            B sets of first-level categories.
        """
        rows_B = self._rows_of(request_keys)
        answers: list[frozenset[int]] = []
        threads = {day: self._threads(day) for day in np.unique(self._day_B[rows_B]).tolist()}
        for row in rows_B.tolist():
            day = threads[int(self._day_B[row])]
            user = int(self._user_B[row])
            live = day.category_US[user][live_slots(day)[user]]
            answers.append(frozenset(int(category) for category in live))
        return answers

    def hidden_gems(self) -> Keys:
        """List the ads of high value that the logging cascade hardly ever shows.

        Returns:
            uint64 keys, known by construction.
        """
        return np.asarray(self._ads.key_A[self._ads.is_gem_A])

    def _index_requests(self) -> None:
        """Read what is small of all days: who asked when, and what was shown."""
        parts: dict[str, list[npt.NDArray[np.generic]]] = {}
        for number, path in enumerate(self._paths):
            arrays = read_arrays(path)
            for name in ("request_key", "user", "ts", "shown", "scene", "position"):
                parts.setdefault(name, []).append(arrays[name])
            size = len(arrays["request_key"])
            parts.setdefault("day", []).append(np.full(size, number, dtype=np.int64))
            parts.setdefault("row", []).append(np.arange(size))
        columns = {name: np.concatenate(values) for name, values in parts.items()}
        order = np.argsort(columns["request_key"])
        self._key_B = columns["request_key"][order].astype(np.uint64)
        self._user_B, self._ts_B, self._shown_B, self._scene_B, self._position_B = (
            columns[name][order].astype(np.int64)
            for name in ("user", "ts", "shown", "scene", "position")
        )
        self._day_B, self._row_B = (
            columns[name][order].astype(np.int64) for name in ("day", "row")
        )
        seen = self._shown_B >= 0
        by_pair = np.lexsort((self._ts_B[seen], self._shown_B[seen], self._user_B[seen]))
        self._seen_pair = self._user_B[seen][by_pair] * 2**32 + self._shown_B[seen][by_pair]
        self._seen_ts = self._ts_B[seen][by_pair]

    def _truth_of_day(
        self, day: int, rows_B: Ints, ad_keys: npt.NDArray[np.uint64]
    ) -> Probabilities:
        """Answer for requests of one day."""
        ad_BK = self._ads_of(ad_keys)
        num_asked = ad_BK.shape[1]
        row_M, ad_M = np.repeat(rows_B, num_asked), ad_BK.ravel()
        intent_BC = read_arrays(self._paths[day])["intent"]
        like_UC, like_UX = self._affinities(day)
        user_M, category_M = self._user_B[row_M], self._ads.category_A[ad_M]
        pairs = Pairs(
            user_M=user_M,
            ad_M=ad_M,
            day_M=self._ts_B[row_M] // DAY_MS,
            scene_M=self._scene_B[row_M],
            position_M=self._position_B[row_M],
            like_category_M=like_UC[user_M, category_M],
            like_brand_M=like_UX[user_M, self._ads.brand_A[ad_M]],
            intent_M=intent_BC[self._row_B[row_M], category_M].astype(np.float64),
            shown_M=self._shown_before(user_M, ad_M, self._ts_B[row_M]),
        )
        logits = true_logits(self.config, self._population, self._ads, pairs)
        return probabilities(logits, self._offsets)

    def _threads(self, day: int) -> Threads:
        """Read the threads of a day."""
        arrays = read_arrays(self._paths[day])
        return Threads(arrays["category"], arrays["weight"], arrays["strength"], arrays["born"])

    def _affinities(self, day: int) -> tuple[Floats, Floats]:
        """Compute the category and brand affinities of a day."""
        threads = self._threads(day)
        return category_affinity(self.config, threads), brand_affinity(self.config, threads)

    def _shown_before(self, user_M: Ints, ad_M: Ints, ts_M: Ints) -> Ints:
        """Count logged impressions of (user, ad) before a time."""
        pair_M = user_M * 2**32 + ad_M
        first_M = np.searchsorted(self._seen_pair, pair_M, side="left")
        last_M = np.searchsorted(self._seen_pair, pair_M, side="right")
        count_M = np.zeros(len(pair_M), dtype=np.int64)
        for offset in range(int((last_M - first_M).max(initial=0))):
            at_M = first_M + offset
            inside_M = at_M < last_M
            count_M += inside_M & (self._seen_ts[np.minimum(at_M, len(self._seen_ts) - 1)] < ts_M)
        return count_M

    def _rows_of(self, request_keys: npt.NDArray[np.generic]) -> Ints:
        """Find requests."""
        wanted = np.asarray(request_keys).astype(np.uint64)
        return _find(self._key_B, wanted, "request")

    def _ads_of(self, ad_keys: npt.NDArray[np.generic]) -> Ints:
        """Find ads."""
        wanted = np.asarray(ad_keys).astype(np.uint64)
        return self._ad_order[_find(self._ad_keys, wanted, "ad")]


def _find(keys: Keys, wanted: Keys, what: str) -> Ints:
    """Find keys in a sorted array, refusing unknown ones."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    unknown = keys[at] != wanted
    if unknown.any():
        examples = wanted[unknown][:5].tolist()
        raise ArtifactError(
            f"the oracle knows no {what} of these keys: {examples} ({int(unknown.sum())} in all)",
            where="oracle",
            fix="ask about days that this world has landed",
        )
    return at
