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

Words = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]

WORD = 64

_WORD_BITS = 6
_BLOCK_BITS = 8
_ADS_PER_BLOCK = 1 << _BLOCK_BITS
_ONE = np.uint64(1)
_EVEN_BYTES, _ADD_BYTES, _ADD_PAIRS = (
    np.uint32(0x00FF00FF),
    np.uint32(0x01010101),
    np.uint32(0x00010001),
)


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
    inside_BW: npt.NDArray[np.uint8]
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
        # The counts of a block are the four bytes of one number. The product adds up all bytes
        # below each byte; three words hold at most 192 ads, so that no sum outgrows its byte.
        count_BK = np.bitwise_count(word_BW.view(np.uint64)).view(np.uint32)
        inside_BK = (count_BK * _ADD_BYTES) << np.uint32(8)
        pair_BK = (count_BK & _EVEN_BYTES) + ((count_BK >> np.uint32(8)) & _EVEN_BYTES)
        before_BK = np.zeros((count_BK.shape[0], count_BK.shape[1] + 1), dtype=np.int32)
        block_BK = (pair_BK * _ADD_PAIRS) >> np.uint32(16)
        np.cumsum(block_BK, axis=1, out=before_BK[:, 1:], dtype=np.int32)
        return cls(num_ads, word_BW, inside_BK.view(np.uint8), before_BK)

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
        place_M = row_M * self.word_BW.shape[1] + (rank_M >> _WORD_BITS)
        shift_M = (rank_M & (WORD - 1)).astype(np.uint64)
        word_M = self.word_BW.view(np.uint64).ravel()[place_M]
        inside_M = np.bitwise_count(word_M & ((_ONE << shift_M) - _ONE))
        block_M = row_M * self.before_BK.shape[1] + (rank_M >> _BLOCK_BITS)
        before_M = self.before_BK.ravel()[block_M].astype(np.int64)
        return np.asarray(before_M + self.inside_BW.ravel()[place_M] + inside_M)

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
