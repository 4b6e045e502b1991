"""How a path, which several ads may share, leads to single ads.

- `value`: it does not. A leaf of the tree is the list of ads with one path, in launch order;
  serving keeps the eligible ones and lets the value heads choose among them.
- `suffix`: one more level counts the ads of a path, so that every ad has a path of its own.
- `hash_level`: the last code of an ad is a hash of its advertiser and conversion type, so that ads
  of one path belong together for business too.

An id never changes once it is given: a suffix that was handed out stays, whatever is launched
later, and a hash depends on attributes that never change.

Letters: M ads or items, N ads with an older path, L levels of the codebooks, P levels of a path.

Source: specification 2.2; suffix: TIGER; hash level: UA-SID. Sizes are our own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.errors import ArtifactError, ConfigError, GateError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_value
from gpr_core.tokenizer.quality import path_ids

LEAF_FILE = "leaf.json"
LeafPolicy = Literal["value", "suffix", "hash_level"]

# Small leaves grow by whole ads: the double of one ad would be full after two launches.
_LEAST_SUFFIXES = 16
_MOST_CODES = 32767

Codes = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafRule:
    """The leaf policy of one tokenizer; ids mean something only together with it.

    Attributes:
        policy: Name of the policy.
        size: Codes of the level that the policy fills; 0 for `value`, which fills none.
    """

    policy: LeafPolicy = "value"
    size: int = 0

    @property
    def num_extra_levels(self) -> int:
        """Levels of a path beyond those of the codebooks."""
        return int(self.policy == "suffix")

    def path_sizes(self, codebook_sizes: Sequence[int]) -> tuple[int, ...]:
        """Tell how many codes a model has to learn on each level of a path.

        Args:
            codebook_sizes: Codes of the tokenizer's L levels.

        Returns:
            P sizes.

        Example:
            >>> LeafRule(policy="suffix", size=16).path_sizes((8, 8))
            (8, 8, 16)
        """
        return (*codebook_sizes, *[self.size] * self.num_extra_levels)

    def save(self, folder: Path) -> None:
        """Write `leaf.json`; the policy `value` needs none.

        Args:
            folder: Folder of the tokenizer.
        """
        if self.policy != "value":
            write_json(folder / LEAF_FILE, to_mapping(self))

    @classmethod
    def load(cls, folder: Path) -> "LeafRule":
        """Read the rule of a tokenizer.

        Args:
            folder: Folder of the tokenizer.

        Returns:
            The rule; `value` without a file.

        Raises:
            ArtifactError: If the file holds anything but a rule.
        """
        path = folder / LEAF_FILE
        if not path.exists():
            return cls()
        try:
            return load_section(cls, read_json(path), where=str(path))
        except ConfigError as error:
            raise ArtifactError(error.what, where=error.where, fix=error.fix) from error


class NewAds(NamedTuple):
    """Ads that have no path yet.

    Attributes:
        code_ML: [M, L] int16 codes of the tokenizer.
        ad_key_M: [M] uint64.
        launch_ts_M: [M] int64 epoch ms.
        advertiser_M: [M] uint64.
        conversion_type_M: [M] int8.
    """

    code_ML: Codes
    ad_key_M: npt.NDArray[np.uint64]
    launch_ts_M: npt.NDArray[np.int64]
    advertiser_M: npt.NDArray[np.uint64]
    conversion_type_M: npt.NDArray[np.int8]


def choose_leaf_rule(policy: LeafPolicy, code_ML: Codes, codebook_sizes: Sequence[int]) -> LeafRule:
    """Fix the rule of a tokenizer that was just fitted.

    Suffixes get room for twice the fullest path, rounded up to a power of two: a table of the
    model has one row per suffix and may not change its size until the next refit.

    Args:
        policy: Name of the policy.
        code_ML: [M, L] codes of all ads of the day.
        codebook_sizes: Codes of the tokenizer's L levels.

    Returns:
        The rule.

    Raises:
        ConfigError: If more ads share a path than suffixes can count.

    Example:
        >>> choose_leaf_rule("suffix", np.zeros((20, 2), np.int16), (8, 8)).size
        64
    """
    if policy == "value":
        return LeafRule()
    if policy == "hash_level":
        return LeafRule(policy=policy, size=codebook_sizes[-1])
    fullest = int(np.bincount(path_ids(code_ML)).max(initial=0))
    size = max(_LEAST_SUFFIXES, 1 << max(2 * fullest - 1, 0).bit_length())
    if size > _MOST_CODES:
        raise ConfigError(
            f"{fullest} ads share one path, expected at most {_MOST_CODES // 4}",
            where="params.yaml tokenization.leaf_policy",
            fix="use more codes or levels, or leaf_policy: value",
        )
    return LeafRule(policy=policy, size=size)


def paths_of_new_ads(rule: LeafRule, new: NewAds, path_NP: Codes) -> Codes:
    """Give paths to ads that have none.

    Args:
        rule: The rule of the tokenizer.
        new: The ads.
        path_NP: [N, P] paths that were given before, also to ads that have gone since.

    Returns:
        [M, P] int16.

    Raises:
        GateError: If a path has more ads than there are suffixes.
    """
    if rule.policy == "suffix":
        return np.column_stack([new.code_ML, _next_suffixes(new, path_NP, rule.size)])
    if rule.policy == "hash_level":
        return np.column_stack([new.code_ML[:, :-1], _business_hashes(new, rule.size)])
    return new.code_ML


def codes_in_paths(
    rule: LeafRule, path_MP: Codes, code_ML: Codes, is_ad_M: npt.NDArray[np.bool_]
) -> Codes:
    """Read from paths what the codebooks gave, to reconstruct vectors from.

    Args:
        rule: The rule of the tokenizer.
        path_MP: [M, P] paths of items.
        code_ML: [M, L] codes that the tokenizer gives today; the last one stands in where a hash
            has taken its place.
        is_ad_M: [M] bool, False for content, whose codes are never replaced.

    Returns:
        [M, L] int16.
    """
    kept_ML = path_MP[:, : code_ML.shape[1]].copy()
    if rule.policy == "hash_level":
        kept_ML[is_ad_M, -1] = code_ML[is_ad_M, -1]
    return kept_ML


def leaf_ranks(
    path_M: npt.NDArray[np.int64],
    launch_ts_M: npt.NDArray[np.int64],
    ad_key_M: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    """Number the ads of each path in launch order, so that later ads never change old numbers.

    Args:
        path_M: [M] int64, equal for ads with the same path.
        launch_ts_M: [M] int64 epoch ms.
        ad_key_M: [M] uint64, breaks ties of launch.

    Returns:
        [M] int64, position among the ads with the same path.

    Example:
        >>> leaf_ranks(np.array([5, 5, 8]), np.array([20, 10, 0]), np.array([1, 2, 3])).tolist()
        [1, 0, 0]
    """
    order_M = np.lexsort((ad_key_M, launch_ts_M, path_M))
    sorted_path_M = path_M[order_M]
    is_first_M = np.append(True, sorted_path_M[1:] != sorted_path_M[:-1])[: path_M.size]
    start_M = np.flatnonzero(is_first_M)[np.cumsum(is_first_M) - 1]
    rank_M = np.empty(path_M.size, dtype=np.int64)
    rank_M[order_M] = np.arange(path_M.size) - start_M
    return rank_M


def _next_suffixes(new: NewAds, path_NP: Codes, size: int) -> Codes:
    """Count on behind the largest suffix that a path has given, in launch order."""
    path = path_ids(np.concatenate([path_NP[:, :-1], new.code_ML]))
    path_N, path_M = np.split(path, [len(path_NP)])
    next_of_path = np.zeros(path.max(initial=-1) + 1, dtype=np.int64)
    np.maximum.at(next_of_path, path_N, path_NP[:, -1].astype(np.int64) + 1)
    suffix_M = next_of_path[path_M] + leaf_ranks(path_M, new.launch_ts_M, new.ad_key_M)
    if suffix_M.max(initial=-1) >= size:
        full = np.unique(path_M[suffix_M >= size]).size
        raise GateError(
            f"{full} paths need up to {int(suffix_M.max()) + 1} suffixes, the tokenizer has {size}",
            where=f"{LEAF_FILE} size",
            fix="refit the tokenizer, which makes room for twice the fullest path: "
            "`gpr run --set run.refit=true`",
        )
    return suffix_M.astype(np.int16)


def _business_hashes(new: NewAds, size: int) -> Codes:
    """Hash advertiser and conversion type into the codes of a level."""
    pairs = np.stack([new.advertiser_M, new.conversion_type_M.astype(np.uint64)], axis=1)
    distinct, pair_M = np.unique(pairs, axis=0, return_inverse=True)
    hashes = [int(hash_value(pair)[:15], 16) % size for pair in distinct.tolist()]
    return np.array(hashes, dtype=np.int16)[pair_M.reshape(-1)]
