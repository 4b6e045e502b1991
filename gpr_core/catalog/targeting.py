"""Exact eligibility of millions of ads: one bitmap per attribute value, joined bit by bit.

A bitmap has one bit per ad in rank order. Targeting is a conjunction, so the bitmaps of a request's
age, gender, device and place are joined by AND with that of the ads that are alive; a node of the
tree covers an interval of ranks, so its eligible ads are the difference of two counts.

Letters: A ads by rank, W words of 64 ads, B blocks of words, P places, X attribute values, M flat
rows, V ad versions.

Source: specification 5.1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.catalog.ads import AdTable
from gpr_core.data.tables import AdStatus
from gpr_core.support.errors import ContractError

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

_NUM_MASK_BITS = 8
_WORD = 64
_WORDS_PER_BLOCK = 8
_ONE, _EIGHT, _LAST_PAIR = np.uint64(1), np.uint64(8), np.uint64(48)
_EVEN_BYTES, _ADD_PAIRS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)


class Viewer(NamedTuple):
    """What targeting looks at of one request.

    Attributes:
        age_bucket: 0..7, 0 unknown.
        gender: 0..7, 0 unknown.
        device: Device tier, 0..7.
        place: `geo_l2`; a place that no ad names is elsewhere.
    """

    age_bucket: int
    gender: int
    device: int
    place: int


@dataclass(frozen=True, slots=True, eq=False)
class EligibleAds:
    """The ads that may serve one request.

    Attributes:
        word_W: [W] uint64, bit r % 64 of word r // 64 is set if the ad of rank r is eligible.
        before_B: [B + 1] int64, eligible ads before each block of eight words, and all.
    """

    word_W: Words
    before_B: Ints

    @classmethod
    def of(cls, word_W: Words) -> "EligibleAds":
        """Count the bits of a bitmap.

        Args:
            word_W: [W] uint64, W a multiple of 8.

        Returns:
            The eligible ads.
        """
        # Eight counts of one byte each are one word; two bytes have room for their sum.
        count_B = np.bitwise_count(word_W).view(np.uint64)
        pair_B = (count_B & _EVEN_BYTES) + ((count_B >> _EIGHT) & _EVEN_BYTES)
        before_B = np.zeros(count_B.size + 1, dtype=np.int64)
        np.cumsum((pair_B * _ADD_PAIRS) >> _LAST_PAIR, out=before_B[1:], dtype=np.int64)
        return cls(word_W, before_B)

    def __len__(self) -> int:
        """Count the eligible ads."""
        return int(self.before_B[-1])

    def count_between(self, first_M: Ints, end_M: Ints) -> Ints:
        """Count the eligible ads of rank intervals, such as those of tree nodes.

        Args:
            first_M: [M] int64, first rank.
            end_M: [M] int64, rank after the last one, first <= end <= A.

        Returns:
            [M] int64; a node is legal if and only if its count is positive.
        """
        return self._count_before(end_M) - self._count_before(first_M)

    def ranks_between(self, first_M: Ints, end_M: Ints) -> tuple[Ints, Ints]:
        """List the eligible ads of rank intervals, such as those of leaves.

        Args:
            first_M: [M] int64, first rank.
            end_M: [M] int64, rank after the last one.

        Returns:
            Row and rank of every eligible ad, both int64, by row, then rank.
        """
        count_M = end_M - first_M
        row_C = np.repeat(np.arange(count_M.size), count_M)
        start_M = np.cumsum(count_M) - count_M
        rank_C = np.arange(row_C.size) - start_M[row_C] + first_M[row_C]
        is_in_C = self.contains(rank_C)
        return row_C[is_in_C], rank_C[is_in_C]

    def contains(self, rank_M: Ints) -> npt.NDArray[np.bool_]:
        """Say which ads are eligible.

        Args:
            rank_M: [M] int64 ranks.

        Returns:
            [M] bool.
        """
        shift_M = (rank_M % _WORD).astype(np.uint64)
        return np.asarray((self.word_W[rank_M // _WORD] >> shift_M) & _ONE, dtype=np.bool_)

    def _count_before(self, rank_M: Ints) -> Ints:
        """Count the eligible ads of smaller rank."""
        word_M, bit_M = np.divmod(rank_M, _WORD)
        block_M = word_M // _WORDS_PER_BLOCK
        place_M8 = block_M[:, None] * _WORDS_PER_BLOCK + np.arange(_WORDS_PER_BLOCK)
        # A rank of A may lie behind the last word: all words of its block are before it then.
        word_M8 = self.word_W[np.minimum(place_M8, self.word_W.size - 1)]
        low_M1 = ((_ONE << bit_M.astype(np.uint64)) - _ONE)[:, None]
        own_M8 = np.where(place_M8 == word_M[:, None], word_M8 & low_M1, word_M8)
        own_M8 = np.where(place_M8 <= np.minimum(word_M, self.word_W.size - 1)[:, None], own_M8, 0)
        inside_M = np.bitwise_count(own_M8).sum(axis=1, dtype=np.int64)
        return np.asarray(self.before_B[block_M] + inside_M * (place_M8[:, 0] < self.word_W.size))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TargetingIndex:
    """Bitmaps of all ads of a catalog, as their versions stand at one time.

    Attributes:
        num_ads: Ads A.
        until_ts: Epoch ms from which on another version of some ad is valid: the index is exact
            from the time that it was made for until then.
        age_XW: [8, W] uint64, ads that admit each age bucket.
        gender_XW: [8, W] uint64.
        device_XW: [8, W] uint64.
        place_PW: [P, W] uint64, the last row for places that no ad names.
        alive_W: [W] uint64, launched, active and valid ads; the only part that changes.
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
            place_PW=np.stack([_bitmap(allowed_S[set_A]) for allowed_S in ads.geo_allowed_SG.T]),
            alive_W=_bitmap(is_alive_A),
        )

    def eligible(self, viewer: Viewer, capped_C: Ints | None = None) -> EligibleAds:
        """Find the ads that may serve a request.

        Args:
            viewer: What targeting looks at.
            capped_C: [C] int64, ranks of ads whose frequency cap this user has reached.

        Returns:
            The eligible ads.

        Raises:
            ContractError: If an age bucket, gender or device tier is outside 0..7.
        """
        word_W = self._join(viewer)
        if capped_C is not None and capped_C.size:
            _clear(word_W, capped_C)
        return EligibleAds.of(word_W)

    def stop(self, rank: int) -> None:
        """Take an ad out of service: its budget ran out, or it was paused.

        Args:
            rank: Its rank.
        """
        _clear(self.alive_W, np.array([rank]))

    def resume(self, rank: int) -> None:
        """Bring an ad back into service.

        Args:
            rank: Its rank.
        """
        self.alive_W[rank // _WORD] |= _ONE << np.uint64(rank % _WORD)

    def _join(self, viewer: Viewer) -> Words:
        """Join the bitmaps of a request with those of ads that are alive."""
        for name in ("age_bucket", "gender", "device"):
            value = getattr(viewer, name)
            if not 0 <= value < _NUM_MASK_BITS:
                raise ContractError(
                    f"{name} is {value}, expected 0..{_NUM_MASK_BITS - 1}",
                    where="request",
                    fix="curate the request first",
                )
        elsewhere = len(self.place_PW) - 1
        place = viewer.place if 0 <= viewer.place < elsewhere else elsewhere
        word_W: Words = self.age_XW[viewer.age_bucket] & self.gender_XW[viewer.gender]
        word_W &= self.device_XW[viewer.device]
        word_W &= self.place_PW[place]
        word_W &= self.alive_W
        return word_W


def _bitmap(is_set_A: npt.NDArray[np.bool_]) -> Words:
    """Pack one bit per ad, padded with zeros to whole blocks."""
    per_block = _WORD * _WORDS_PER_BLOCK
    padded = np.zeros(-(-max(is_set_A.size, 1) // per_block) * per_block, dtype=np.bool_)
    padded[: is_set_A.size] = is_set_A
    words: Words = np.packbits(padded, bitorder="little").view("<u8")
    return words


def _bitmaps_of_mask(mask_A: npt.NDArray[np.uint8]) -> Words:
    """Turn a mask per ad into one bitmap per bit, [8, W]."""
    return np.stack(
        [_bitmap((mask_A >> bit & 1).astype(np.bool_)) for bit in range(_NUM_MASK_BITS)]
    )


def _clear(word_W: Words, rank_C: Ints) -> None:
    """Clear the bits of some ads, in place."""
    np.bitwise_and.at(word_W, rank_C // _WORD, ~(_ONE << (rank_C % _WORD).astype(np.uint64)))
