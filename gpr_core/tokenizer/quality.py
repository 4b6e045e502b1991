"""How good semantic ids are: collision, usage, similarity, reconstruction, agreement with labels.

Collision depends on the number of items, so every result carries n and only results of equal n
may be compared. Similarity is measured in the space of the item vectors, never in the quantized
one, over paths that several items share; without any it is undefined.

Letters: M items, L levels, V codes, D width, P occupied paths, G groups.

Source: specification 2.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_shape
from gpr_core.tokenizer.residual import Floats

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodebookQuality:
    """Quality of one tokenizer on one set of items.

    Attributes:
        num_items: n; compare only at equal n.
        num_paths: Occupied paths.
        collision: Share of items whose path another item has too.
        excess: 1 - paths / n.
        usage: Share of codes in use, per level; the first is CUR_L1.
        perplexity: exp(entropy of the codes) / V, per level.
        gini: Gini coefficient of the items per code, per level; 0 is even use.
        dead_codes: Codes no item has, per level.
        pas_macro: Mean over shared paths of the mean pairwise cosine of their items, or None.
        pas_pair: The same, weighted by pairs.
        reconstruction_mse: Mean squared distance of item vector and reconstruction.
        v_measure: Label name -> agreement of each level's codes with the label, in [0, 1].
        same_label_pair_share: Label name -> share of colliding pairs with equal label, or None.
    """

    num_items: int
    num_paths: int
    collision: float
    excess: float
    usage: tuple[float, ...]
    perplexity: tuple[float, ...]
    gini: tuple[float, ...]
    dead_codes: tuple[int, ...]
    pas_macro: float | None
    pas_pair: float | None
    reconstruction_mse: float
    v_measure: Mapping[str, tuple[float, ...]]
    same_label_pair_share: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Turn the result into JSON values.

        Returns:
            One entry per attribute.
        """
        return asdict(self)


def codebook_quality(
    x_MD: Floats,
    code_ML: npt.NDArray[np.int16],
    rebuilt_MD: Floats,
    *,
    codebook_sizes: Sequence[int],
    labels: Mapping[str, Ints],
) -> CodebookQuality:
    """Measure codes of items.

    Args:
        x_MD: [M, D] float32 item vectors, M >= 1.
        code_ML: [M, L] codes.
        rebuilt_MD: [M, D] float32 reconstructions.
        codebook_sizes: Codes per level.
        labels: Label name -> [M] int64 known classes, for example the category.

    Returns:
        All measures.

    Raises:
        ConfigError: If there are no items: nothing measured is not a pass.
        ShapeError: If the shapes disagree.
    """
    check_shape("code_ML", code_ML, (len(x_MD), len(codebook_sizes)))
    check_shape("rebuilt_MD", rebuilt_MD, tuple(x_MD.shape))
    if not len(x_MD):
        raise ConfigError("there are no items to measure", fix="pass at least one item")
    path_M = path_ids(code_ML)
    num_paths = int(path_M.max()) + 1
    similarity = path_similarity(x_MD, path_M)
    used_L = [np.unique(code_M).size for code_M in code_ML.T]
    return CodebookQuality(
        num_items=len(x_MD),
        num_paths=num_paths,
        collision=collision_rate(path_M),
        excess=1.0 - num_paths / len(x_MD),
        usage=tuple(
            code_usage(code_M, size) for code_M, size in zip(code_ML.T, codebook_sizes, strict=True)
        ),
        perplexity=tuple(
            float(np.exp(_entropy(code_M)) / size)
            for code_M, size in zip(code_ML.T, codebook_sizes, strict=True)
        ),
        gini=tuple(
            code_gini(code_M, size) for code_M, size in zip(code_ML.T, codebook_sizes, strict=True)
        ),
        dead_codes=tuple(size - used for size, used in zip(codebook_sizes, used_L, strict=True)),
        pas_macro=None if similarity is None else similarity[0],
        pas_pair=None if similarity is None else similarity[1],
        reconstruction_mse=float(np.square(x_MD - rebuilt_MD).sum(1, dtype=np.float64).mean()),
        v_measure={
            name: tuple(v_measure(label_M, code_M.astype(np.int64)) for code_M in code_ML.T)
            for name, label_M in labels.items()
        },
        same_label_pair_share={
            name: same_label_pair_share(path_M, label_M) for name, label_M in labels.items()
        },
    )


def collision_gain(ours: CodebookQuality, reference: CodebookQuality) -> float:
    """Compare the collision of two tokenizers.

    Args:
        ours: One tokenizer.
        reference: Another one on the same items.

    Returns:
        Collision of `ours` minus collision of `reference`, in [-1, 1].

    Raises:
        ConfigError: If the numbers of items differ: fewer items collide less.
    """
    if ours.num_items != reference.num_items:
        raise ConfigError(
            f"collision of {ours.num_items} items compared with collision of "
            f"{reference.num_items} items",
            where="codebook quality",
            fix="measure both tokenizers on the same items",
        )
    return ours.collision - reference.collision


def path_ids(code_ML: npt.NDArray[np.int16]) -> Ints:
    """Number the distinct paths.

    Args:
        code_ML: [M, L] codes.

    Returns:
        [M] int64, equal exactly for equal paths, dense from 0 in lexicographic order.

    Example:
        >>> path_ids(np.array([[2, 1], [0, 5], [2, 1]])).tolist()
        [1, 0, 1]
    """
    path_M = np.zeros(len(code_ML), dtype=np.int64)
    for code_M in code_ML.T.astype(np.int64):
        # Renumbering after each level keeps the product of two counts inside an int64.
        pair_M = path_M * (code_M.max(initial=0) + 1) + code_M
        path_M = np.unique(pair_M, return_inverse=True)[1].reshape(-1)
    return path_M


def collision_rate(path_M: Ints) -> float:
    """Give the share of items whose path another item has too.

    Args:
        path_M: [M] int64 from `path_ids`.

    Returns:
        A share in [0, 1]; 0 for no items.

    Example:
        >>> collision_rate(np.array([0, 0, 1, 2]))
        0.5
    """
    count_P = np.bincount(path_M)
    return float(count_P[count_P > 1].sum() / max(path_M.size, 1))


def code_usage(code_M: npt.NDArray[np.int16], codebook_size: int) -> float:
    """Give the share of codes that some item has.

    Args:
        code_M: [M] codes of one level.
        codebook_size: Number of codes V.

    Returns:
        A share in [0, 1].
    """
    return float(np.unique(code_M).size / codebook_size)


def code_gini(code_M: npt.NDArray[np.int16], codebook_size: int) -> float:
    """Measure how unevenly the codes are used: the Gini coefficient of the items per code.

    Args:
        code_M: [M] codes of one level, M >= 1.
        codebook_size: Number of codes V; codes that no item has count as well.

    Returns:
        0 if every code has as many items, 1 - 1 / V if one code has all.

    Source:
        C. Gini, Variabilita e mutabilita, 1912; the form over ascending counts.

    Example:
        >>> code_gini(np.array([0, 0, 0, 1], dtype=np.int16), 2)
        0.25
    """
    count_V = np.sort(np.bincount(code_M, minlength=codebook_size))
    weight_V = 2 * np.arange(1, count_V.size + 1) - count_V.size - 1
    return float(weight_V @ count_V / (count_V.size * count_V.sum()))


def path_similarity(x_MD: Floats, path_M: Ints) -> tuple[float, float] | None:
    """Average the pairwise cosine of item vectors that share a path.

    With normalized vectors u the cosines of all ordered pairs of n items sum to |sum u|^2 - n.

    Args:
        x_MD: [M, D] float32 item vectors.
        path_M: [M] int64 path of each item.

    Returns:
        (macro mean over shared paths, mean over pairs), or None if no path is shared.

    Source:
        GPR, path average similarity; specification 2.3.
    """
    count_P = np.bincount(path_M)
    is_shared_P = count_P > 1
    if not is_shared_P.any():
        return None
    norm_M = np.sqrt(np.square(x_MD, dtype=np.float64).sum(1))
    unit_MD = x_MD / np.maximum(norm_M, np.finfo(np.float64).tiny)[:, None]
    sum_PD = np.zeros((count_P.size, x_MD.shape[1]))
    np.add.at(sum_PD, path_M, unit_MD)
    own_P = np.bincount(path_M, weights=np.square(unit_MD).sum(1))
    cosines_P = (np.square(sum_PD).sum(1) - own_P)[is_shared_P]
    pairs_P = (count_P * (count_P - 1))[is_shared_P]
    return float((cosines_P / pairs_P).mean()), float(cosines_P.sum() / pairs_P.sum())


def v_measure(label_M: Ints, cluster_M: Ints) -> float:
    """Compare a clustering with known classes: harmonic mean of homogeneity and completeness.

    Args:
        label_M: [M] int64 known classes.
        cluster_M: [M] int64 clusters.

    Returns:
        1 for equal partitions, 0 for independent ones.
    """
    joint = _entropy(path_ids(np.stack([label_M, cluster_M], axis=1)))
    label, cluster = _entropy(label_M), _entropy(cluster_M)
    shared = max(label + cluster - joint, 0.0)
    homogeneity = shared / label if label > 0 else 1.0
    completeness = shared / cluster if cluster > 0 else 1.0
    total = homogeneity + completeness
    return float(2 * homogeneity * completeness / total) if total > 0 else 0.0


def same_label_pair_share(path_M: Ints, label_M: Ints) -> float | None:
    """Give the share of colliding pairs of items whose labels agree.

    Args:
        path_M: [M] int64 path of each item.
        label_M: [M] int64 label of each item.

    Returns:
        A share in [0, 1], or None if no pair collides.
    """
    num_pairs = _count_pairs(path_M)
    if not num_pairs:
        return None
    return _count_pairs(path_ids(np.stack([path_M, label_M], axis=1))) / num_pairs


def business_collision(path_M: Ints, business_M: Ints) -> float | None:
    """Give the share of colliding ads that collide with an ad of another business kind.

    Args:
        path_M: [M] int64 path of each ad.
        business_M: [M] int64, equal for ads of equal advertiser and bid type.

    Returns:
        A share in [0, 1], or None if no ads collide.
    """
    count_P = np.bincount(path_M)
    pairs = np.unique(np.stack([path_M, business_M], axis=1), axis=0)
    kinds_P = np.bincount(pairs[:, 0], minlength=count_P.size)
    num_colliding = count_P[count_P > 1].sum()
    if not num_colliding:
        return None
    return float(count_P[kinds_P > 1].sum() / num_colliding)


def _entropy(label_M: npt.NDArray[np.integer[Any]]) -> float:
    """Entropy of labels, in nats."""
    share = np.unique(label_M, return_counts=True)[1] / label_M.size
    return float(-(share * np.log(share)).sum())


def _count_pairs(group_M: Ints) -> int:
    """Count unordered pairs of rows with equal group."""
    count_G = np.bincount(group_M)
    return int((count_G * (count_G - 1) // 2).sum())
