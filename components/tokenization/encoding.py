"""Codes of all items by one tokenizer, and the paths that a leaf policy makes of them.

Letters: M items, L levels of the codebooks, P levels of a path, D width.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.runtime.context import StepContext
from components.tokenization.items import Items
from components.tokenization.start import champion_folder
from gpr_core.data.tables import ItemKind
from gpr_core.support.errors import ConfigError
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.leaf_policy import Codes, LeafRule, choose_leaf_rule, codes_in_paths
from gpr_core.tokenizer.protocol import Tokenizer
from gpr_core.tokenizer.residual import Floats
from gpr_core.tokenizer.sid_map import codes_of, paths_of_items, stored_rows


class KeptIds(NamedTuple):
    """Ids that must not change.

    Attributes:
        sid_map: The champion's ids.
        rule: The leaf policy that they follow.
    """

    sid_map: pa.Table
    rule: LeafRule


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoding:
    """Codes of all items by one tokenizer.

    Attributes:
        codebook_sizes: Codes per level.
        code_ML: [M, L] int16.
        rebuilt_MD: [M, D] float32 reconstructions.
        reproduced_share: Share of kept ids that today's vectors would give again.
    """

    codebook_sizes: tuple[int, ...]
    code_ML: Codes
    rebuilt_MD: Floats
    reproduced_share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paths:
    """What the leaf policy makes of codes.

    Attributes:
        rule: The leaf policy.
        sizes: Codes of each of the P levels.
        path_MP: [M, P] int16.
    """

    rule: LeafRule
    sizes: tuple[int, ...]
    path_MP: Codes

    def metrics(self) -> dict[str, float]:
        """Tell how near the fullest path is to the end of the suffixes, when a refit is due.

        Returns:
            Nothing where paths are not numbered.
        """
        if self.rule.policy != "suffix":
            return {}
        used = int(self.path_MP[:, -1].max(initial=0)) + 1
        return {"suffixes_used_share": used / self.rule.size}

    def bounds(self) -> dict[str, int]:
        """Tell what the contract `sid_map` cannot know.

        Returns:
            The largest code, and with suffixes that no two ads share a path.
        """
        bounds = {"code_high": max(self.sizes) - 1}
        if self.rule.policy == "suffix":
            bounds["leaf_rank_high"] = 0
        return bounds


def kept_ids(
    context: StepContext[TokenizationConfig], stored_ids: pa.Table | None
) -> KeptIds | None:
    """Bring the champion's ids together with the leaf policy that they follow.

    Args:
        context: Champion, registry and parameters.
        stored_ids: The champion's ids; None where a tokenizer was fitted.

    Returns:
        The ids to be kept, or None.

    Raises:
        ConfigError: If the parameters ask for another leaf policy.
    """
    if stored_ids is None:
        return None
    rule = LeafRule.load(champion_folder(context))
    if rule.policy != context.params.leaf_policy:
        raise ConfigError(
            f"leaf_policy is {context.params.leaf_policy}, the champion's ids follow {rule.policy}",
            where=f"run.champion {context.champion}",
            fix="refit with `gpr run --set run.refit=true`, or restore the parameter",
        )
    return KeptIds(stored_ids, rule)


def encode_items(tokenizer: Tokenizer, items: Items, kept: KeptIds | None) -> Encoding:
    """Encode all items; an item that has an id keeps it, whatever its vector is today.

    Args:
        tokenizer: Fitted.
        items: The items.
        kept: Ids to be kept, or None.

    Returns:
        Their codes and reconstructions.
    """
    code_ML = tokenizer.encode(items.x_MD)
    reproduced_share = 1.0
    if kept is not None:
        row_M = stored_rows(kept.sid_map, items.table)
        is_old_M = row_M >= 0
        old_MP = codes_of(kept.sid_map)[row_M[is_old_M]]
        new_ML, is_ad_M = code_ML[is_old_M], _is_ad(items)[is_old_M]
        old_ML = codes_in_paths(kept.rule, old_MP, new_ML, is_ad_M)
        is_same = (new_ML == old_ML).all(1)
        reproduced_share = float(is_same.mean()) if is_same.size else 1.0
        code_ML[is_old_M] = old_ML
    return Encoding(
        codebook_sizes=tuple(len(centers_VD) for centers_VD in tokenizer.codebooks),
        code_ML=code_ML,
        rebuilt_MD=tokenizer.decode(code_ML),
        reproduced_share=reproduced_share,
    )


def paths_of_the_day(
    context: StepContext[TokenizationConfig],
    items: Items,
    ads: pa.Table,
    encoding: Encoding,
    kept: KeptIds | None,
) -> Paths:
    """Apply the leaf policy, which is fixed where no ids are kept.

    Args:
        context: Parameters.
        items: The items.
        ads: Lake table `ads`.
        encoding: Their codes.
        kept: Ids to be kept, or None.

    Returns:
        The paths of all items.

    Raises:
        ConfigError: If more ads share a path than suffixes can count.
        GateError: If a path has outgrown its suffixes.
    """
    sizes, stored = encoding.codebook_sizes, kept.sid_map if kept else None
    code_AL = encoding.code_ML[_is_ad(items)]
    rule = kept.rule if kept else choose_leaf_rule(context.params.leaf_policy, code_AL, sizes)
    return Paths(
        rule=rule,
        sizes=rule.path_sizes(sizes),
        path_MP=paths_of_items(rule, encoding.code_ML, items.table, ads, stored),
    )


def _is_ad(items: Items) -> npt.NDArray[np.bool_]:
    """Tell ads from content."""
    return np.asarray(items.table.column("item_kind").to_numpy() == ItemKind.AD)
