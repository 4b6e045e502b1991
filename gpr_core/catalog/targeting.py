"""Exact eligibility of millions of ads: one bitmap per attribute value, joined bit by bit.

A bitmap has one bit per ad in rank order. Targeting is a conjunction, so the bitmaps of a request's
age, gender, device and place are joined by AND with that of the ads that are alive; a node of the
tree covers an interval of ranks, so its eligible ads are the difference of two counts.

Letters: B requests, A ads by rank, W words of 64 ads, P places, X attribute values, C capped ads,
M flat ranks, V ad versions.

Source: specification 5.1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import RequestContext
from gpr_core.catalog.eligible_ads import WORD, EligibleAds, Words, pack_ads
from gpr_core.data.tables import AdStatus
from gpr_core.support.compiled import compiled
from gpr_core.support.errors import ContractError

Ints = npt.NDArray[np.int64]

_NUM_MASK_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TargetingIndex:
    """Bitmaps of all ads of a catalog, as their versions stand at one time.

    Attributes:
        num_ads: Ads A.
        until_ts: Epoch ms from which on another version of some ad is valid: the index is exact
            from the time that it was made for until then.
        age_XW: [8, W] int64, ads that admit each age bucket.
        gender_XW: [8, W] int64.
        device_XW: [8, W] int64.
        place_PW: [P, W] int64, the last row for places that no ad names.
        alive_W: [W] int64, launched, active and valid ads; the only part that changes.
    """

    num_ads: int
    until_ts: int
    age_XW: Words
    gender_XW: Words
    device_XW: Words
    place_PW: Words
    alive_W: Words

    @classmethod
    def build(cls, ads: AdTable, ts: int) -> "TargetingIndex":
        """Make the bitmaps.

        Args:
            ads: Ads in rank order, with their versions.
            ts: Epoch ms.

        Returns:
            The index.
        """
        version_A = ads.versions_at(np.array([ts]))[0]
        is_alive_A = (version_A >= 0) & (ads.status_V[version_A] == AdStatus.ACTIVE)
        changes_V = np.concatenate([ads.start_V, ads.stop_V])
        later_V = changes_V[changes_V > ts]
        set_A = ads.geo_set_V[version_A]
        return cls(
            num_ads=ads.num_ads,
            until_ts=int(later_V.min(initial=np.iinfo(np.int64).max)),
            age_XW=_bitmaps_of_mask(ads.age_mask_V[version_A]),
            gender_XW=_bitmaps_of_mask(ads.gender_mask_V[version_A]),
            device_XW=_bitmaps_of_mask(ads.device_mask_V[version_A]),
            place_PW=pack_ads(ads.geo_allowed_SG.T[:, set_A]),
            alive_W=pack_ads(is_alive_A[None])[0],
        )

    def eligible(
        self, context: RequestContext, capped: tuple[Ints, Ints] | None = None
    ) -> EligibleAds:
        """Find the ads that may serve requests.

        Args:
            context: B requests, all at times for which the index is exact.
            capped: Request and rank, both [C] int64, of ads whose frequency cap the user of the
                request has reached.

        Returns:
            The eligible ads.

        Raises:
            ContractError: If an age bucket, gender or device tier is outside 0..7.
        """
        _check_context(context)
        elsewhere = len(self.place_PW) - 1
        is_named_B = (context.geo_l2 >= 0) & (context.geo_l2 < elsewhere)
        place_B = np.where(is_named_B, context.geo_l2, elsewhere)
        word_BW = np.empty((context.ts.size, self.alive_W.size), dtype=np.int64)
        rows = zip(context.age_bucket, context.gender, context.device, place_B, strict=True)
        for row, (age, gender, device, place) in enumerate(rows):
            _join(
                self.age_XW[age],
                self.gender_XW[gender],
                self.device_XW[device],
                self.place_PW[place],
                self.alive_W,
                word_BW[row],
            )
        if capped is not None:
            row_C, rank_C = capped
            np.bitwise_and.at(word_BW, (row_C, rank_C // WORD), ~(1 << (rank_C % WORD)))
        return EligibleAds.of_words(word_BW, self.num_ads)

    def is_alive(self, rank_M: Ints) -> npt.NDArray[np.bool_]:
        """Say whether ads still run, stopped ones left out.

        Args:
            rank_M: [M] int64 ranks.

        Returns:
            [M] bool.
        """
        return np.asarray((self.alive_W[rank_M // WORD] >> (rank_M % WORD)) & 1, dtype=np.bool_)

    def stop(self, rank: int) -> None:
        """Take an ad out of service: its budget ran out, or it was paused.

        Args:
            rank: Its rank.
        """
        self.alive_W[rank // WORD] &= ~(np.int64(1) << np.int64(rank % WORD))

    def resume(self, rank: int) -> None:
        """Bring an ad back into service.

        Args:
            rank: Its rank.
        """
        self.alive_W[rank // WORD] |= np.int64(1) << np.int64(rank % WORD)


def _check_context(context: RequestContext) -> None:
    """Refuse attributes that no mask has a bit for."""
    for name in ("age_bucket", "gender", "device"):
        value_B = getattr(context, name)
        if value_B.size and not (value_B.min() >= 0 and value_B.max() < _NUM_MASK_BITS):
            raise ContractError(
                f"{name} ranges from {value_B.min()} to {value_B.max()}, expected "
                f"0..{_NUM_MASK_BITS - 1}",
                where=f"request context, column {name}",
                fix="curate the requests first",
            )


def _bitmaps_of_mask(mask_A: npt.NDArray[np.uint8]) -> Words:
    """Turn a mask per ad into one bitmap per bit, [8, W]."""
    bit_X1 = np.arange(_NUM_MASK_BITS)[:, None]
    return pack_ads((mask_A >> bit_X1 & 1).astype(np.bool_))


@compiled
def _join(
    age_W: Words, gender_W: Words, device_W: Words, place_W: Words, alive_W: Words, found_W: Words
) -> None:
    """Fill in the ads that all bitmaps have."""
    for place in range(found_W.size):
        found_W[place] = (
            age_W[place] & gender_W[place] & device_W[place] & place_W[place] & alive_W[place]
        )
