"""The ads that may serve each request of a batch: one bit per ad, and counts to skip over them.

A trie node covers an interval of ranks. How many eligible ads it holds is the difference of two
counts, and a count is three reads: ads before the block of four words, ads before the word inside
its block, and the bits of the word itself.

Letters: B requests, A ads by rank, W words of 64 ads, K blocks of four words, M flat rows,
C flat (row, ad) pairs.

Source: specification 5.1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpr_core.support.compiled import bit_count, compiled, compiled_unchecked

Words = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
# What counting reads: word_BW, inside_BW and before_BK of `EligibleAds`.
Bits = tuple[Words, Bytes, npt.NDArray[np.int32]]

WORD = 64

_WORD_BITS = 6
_BLOCK_BITS = 8
_ADS_PER_BLOCK = 1 << _BLOCK_BITS
_WORDS_PER_BLOCK = _ADS_PER_BLOCK // WORD
_ONE = np.uint64(1)


@dataclass(frozen=True, slots=True, eq=False)
class EligibleAds:
    """The ads that may serve each request.

    Attributes:
        num_ads: Ads A of the catalog.
        word_BW: [B, W] int64, bit r % 64 of word r // 64 is set if the ad of rank r is eligible;
            W is a multiple of 4 and there is room for one ad more than there are.
        inside_BW: [B, W] uint8, eligible ads of the same block before the word.
        before_BK: [B, K + 1] int32, eligible ads before each block, and all.
    """

    num_ads: int
    word_BW: Words
    inside_BW: Bytes
    before_BK: npt.NDArray[np.int32]

    @classmethod
    def of_words(cls, word_BW: Words, num_ads: int) -> "EligibleAds":
        """Count the bits of bitmaps.

        Args:
            word_BW: [B, W] int64, from `pack_ads` or joined from such.
            num_ads: A.

        Returns:
            The eligible ads.
        """
        inside_BW = np.empty(word_BW.shape, dtype=np.uint8)
        num_blocks = word_BW.shape[1] // _WORDS_PER_BLOCK
        before_BK = np.empty((len(word_BW), num_blocks + 1), dtype=np.int32)
        _count_blocks(word_BW, inside_BW, before_BK)
        return cls(num_ads, word_BW, inside_BW, before_BK)

    @classmethod
    def of_mask(cls, eligible_BA: npt.NDArray[np.bool_]) -> "EligibleAds":
        """Pack a mask.

        Args:
            eligible_BA: [B, A] bool.

        Returns:
            The eligible ads.
        """
        return cls.of_words(pack_ads(eligible_BA), eligible_BA.shape[1])

    @classmethod
    def everything(cls, num_requests: int, num_ads: int) -> "EligibleAds":
        """Let every ad serve every request.

        Args:
            num_requests: B.
            num_ads: A.

        Returns:
            The eligible ads.
        """
        return cls.of_mask(np.ones((num_requests, num_ads), dtype=np.bool_))

    @property
    def num_requests(self) -> int:
        """Requests B."""
        return len(self.word_BW)

    @property
    def bits(self) -> Bits:
        """The arrays, for compiled callers."""
        return self.word_BW, self.inside_BW, self.before_BK

    def totals(self) -> Ints:
        """Count the eligible ads of each request.

        Returns:
            [B] int64.
        """
        return self.before_BK[:, -1].astype(np.int64)

    def count_before(self, row_M: Ints, rank_M: Ints) -> Ints:
        """Count the eligible ads of smaller rank.

        Args:
            row_M: [M] int64, request.
            rank_M: [M] integers in 0..A.

        Returns:
            [M] int64.
        """
        found_M = np.empty(len(row_M), dtype=np.int64)
        _count_all(self.bits, row_M, rank_M, found_M)
        return found_M

    def count_between(self, row_M: Ints, first_M: Ints, end_M: Ints) -> Ints:
        """Count the eligible ads of rank intervals, such as those of tree nodes.

        Args:
            row_M: [M] int64, request.
            first_M: [M] int64, first rank.
            end_M: [M] int64, rank after the last one, first <= end <= A.

        Returns:
            [M] int64; a node is legal if and only if its count is positive.
        """
        return self.count_before(row_M, end_M) - self.count_before(row_M, first_M)

    def list_between(self, row_M: Ints, first_M: Ints, end_M: Ints) -> tuple[Ints, Ints]:
        """List the eligible ads of rank intervals.

        Args:
            row_M: [M] int64, request.
            first_M: [M] int64, first rank.
            end_M: [M] int64, rank after the last one, first <= end <= A.

        Returns:
            (interval [C] int64 ascending, rank [C] int64 ascending inside an interval).
        """
        found_2C = np.empty((2, self.count_between(row_M, first_M, end_M).sum()), dtype=np.int64)
        _list_all(self.word_BW, row_M, first_M, end_M, found_2C)
        return found_2C[0], found_2C[1]

    def contains(self, row_M: Ints, rank_M: Ints) -> npt.NDArray[np.bool_]:
        """Say whether ads are eligible.

        Args:
            row_M: [M] int64, request.
            rank_M: [M] int64 ranks.

        Returns:
            [M] bool.
        """
        word_M = self.word_BW.ravel()[row_M * self.word_BW.shape[1] + (rank_M >> _WORD_BITS)]
        return np.asarray((word_M >> (rank_M & (WORD - 1))) & 1, dtype=np.bool_)

    def mask(self) -> npt.NDArray[np.bool_]:
        """Unpack the bits.

        Returns:
            [B, A] bool.
        """
        bits = np.unpackbits(self.word_BW.view(np.uint8), axis=1, bitorder="little")
        return bits[:, : self.num_ads].astype(np.bool_)


def pack_ads(is_set_BA: npt.NDArray[np.bool_]) -> Words:
    """Pack one bit per ad.

    Args:
        is_set_BA: [B, A] bool.

    Returns:
        [B, W] int64, padded with zeros.

    Example:
        >>> pack_ads(np.array([[True, False, True]])).tolist()
        [[5, 0, 0, 0]]
    """
    num_requests, num_ads = is_set_BA.shape
    num_blocks = num_ads // _ADS_PER_BLOCK + 1
    padded = np.zeros((num_requests, num_blocks * _ADS_PER_BLOCK), dtype=np.bool_)
    padded[:, :num_ads] = is_set_BA
    words: Words = np.packbits(padded, axis=1, bitorder="little").view("<i8")
    return words


@compiled_unchecked
def ads_before(
    word_BW: Words, inside_BW: Bytes, before_BK: npt.NDArray[np.int32], row: int, rank: int
) -> int:
    """Count the eligible ads of a request before a rank; for compiled callers.

    Args:
        word_BW: As in `EligibleAds`.
        inside_BW: As in `EligibleAds`.
        before_BK: As in `EligibleAds`.
        row: Request, below B, which is not checked.
        rank: 0..A, which is not checked.

    Returns:
        The count.
    """
    place = rank >> _WORD_BITS
    below = np.uint64(word_BW[row, place]) & ((_ONE << np.uint64(rank & (WORD - 1))) - _ONE)
    before: int = before_BK[row, rank >> _BLOCK_BITS]
    return before + int(inside_BW[row, place]) + int(bit_count(below))


@compiled
def _count_all(bits: Bits, row_M: Ints, rank_M: Ints, found_M: Ints) -> None:
    """Fill in counts."""
    word_BW, inside_BW, before_BK = bits
    num_ranks = WORD * word_BW.shape[1]
    for idx in range(row_M.size):
        row, rank = row_M[idx], rank_M[idx]
        if not (0 <= row < len(word_BW) and 0 <= rank < num_ranks):
            raise IndexError("no such request or ad")
        found_M[idx] = ads_before(word_BW, inside_BW, before_BK, row, rank)


@compiled
def _list_all(word_BW: Words, row_M: Ints, first_M: Ints, end_M: Ints, found_2C: Ints) -> None:
    """Fill in intervals and ranks."""
    count = 0
    for idx in range(row_M.size):
        rank = first_M[idx]
        while rank < end_M[idx]:
            word = np.uint64(word_BW[row_M[idx], rank >> _WORD_BITS]) >> np.uint64(
                rank & (WORD - 1)
            )
            if word & _ONE:
                found_2C[0, count], found_2C[1, count] = idx, rank
                count += 1
            # Nothing more in this word: go on with the next one.
            rank = rank + 1 if word else (rank | (WORD - 1)) + 1


@compiled_unchecked
def _count_blocks(word_BW: Words, inside_BW: Bytes, before_BK: npt.NDArray[np.int32]) -> None:
    """Fill in the ads before each block, and inside it before each word."""
    for row in range(len(word_BW)):
        total = np.int32(0)
        for block in range(before_BK.shape[1] - 1):
            before_BK[row, block] = total
            inside = np.int32(0)
            for place in range(block * _WORDS_PER_BLOCK, (block + 1) * _WORDS_PER_BLOCK):
                inside_BW[row, place] = inside
                inside += np.int32(bit_count(np.uint64(word_BW[row, place])))
            total += inside
        before_BK[row, -1] = total
