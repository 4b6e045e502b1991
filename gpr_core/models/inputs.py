"""Embedding of tokens: kind, semantic id and fields.

Letters: B users, T tokens, L levels, F fields, D width, E width of look-up tables, G packed tokens,
N flat rows, P levels of a prefix.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.data.tables import TokenKind
from gpr_core.features.batch import TimelineBatch
from gpr_core.features.fields import FIELDS, NUM_FIELDS
from gpr_core.models.token_aware import NUM_KINDS, TokenAwareLinear, TokenGroups, pack
from gpr_core.support.errors import ContractError
from gpr_core.support.shapes import check_shape


class CodeEmbedding(nn.Module):
    """One embedding table per code level, the same for organic content and ads.

    Args:
        codebook_sizes: V of each level.
        width: D.
        table_width: E; None for D. Narrower rows are widened by a matrix that all levels share.

    Source:
        Paper section 2.1 (one semantic space for content and ads).
    """

    def __init__(
        self, codebook_sizes: Sequence[int], width: int, table_width: int | None = None
    ) -> None:
        super().__init__()
        sizes = torch.tensor(codebook_sizes, dtype=torch.int64)
        self.codebook_sizes = tuple(codebook_sizes)
        self.register_buffer("offset_L", sizes.cumsum(0) - sizes, persistent=False)
        self.table_VE = _embedding_table(int(sizes.sum()), table_width or width)
        self.widen = _make_widening(table_width, width)

    def forward(self, codes_NP: Tensor) -> Tensor:
        """Embed prefixes: the sum over their levels.

        Args:
            codes_NP: [N, P] int64, codes of levels 1..P.

        Returns:
            [N, D] float.
        """
        offset_L: Tensor = self.get_buffer("offset_L")
        row_NP = codes_NP + offset_L[: codes_NP.shape[1]]
        widened_ND: Tensor = self.widen(F.embedding(row_NP, self.table_VE).sum(dim=1))
        return widened_ND

    def level(self, level: int) -> Tensor:
        """Give the table of one level.

        Args:
            level: 0-based level.

        Returns:
            [V, D] float.
        """
        table_VE = torch.split(self.table_VE, list(self.codebook_sizes))[level]
        widened_VD: Tensor = self.widen(table_VE)
        return widened_VD


class TokenInputs(nn.Module):
    """Sum of kind, code and field embeddings, then a linear layer per token kind.

    Args:
        codebook_sizes: V of each level, to check codes.
        width: D.
        table_width: E; None for D. Narrower rows are widened by a matrix that all fields share.

    Source:
        Specification 1.2 and 3.1.
    """

    def __init__(
        self, codebook_sizes: Sequence[int], width: int, table_width: int | None = None
    ) -> None:
        super().__init__()
        offset_KF, size_KF, total = _field_layout()
        self.register_buffer("offset_KF", offset_KF, persistent=False)
        self.register_buffer("size_KF", size_KF, persistent=False)
        self.register_buffer("size_L", torch.tensor(codebook_sizes), persistent=False)
        self.kind_KD = _embedding_table(NUM_KINDS, width)
        # Row 0 belongs to fields that a kind does not have; it stays zero.
        self.field_VE = _embedding_table(total, table_width or width)
        self.widen = _make_widening(table_width, width)
        with torch.no_grad():
            self.field_VE[0].zero_()
        self.linear = TokenAwareLinear(width)

    def forward(self, batch: TimelineBatch, groups: TokenGroups, codes: CodeEmbedding) -> Tensor:
        """Embed the valid tokens of a batch.

        Args:
            batch: Timelines.
            groups: Groups of the batch.
            codes: Code tables, shared with the code decoder.

        Returns:
            [G, D] float, packed.
        """
        offset_GF = self.get_buffer("offset_KF").index_select(0, groups.kind_G)
        row_GF = torch.where(offset_GF > 0, pack(batch.feat_BTF, groups) + offset_GF, 0)
        field_GD = self.widen(F.embedding(row_GF, self.field_VE, padding_idx=0).sum(dim=1))
        code_GD = codes(pack(batch.sid_BTL, groups))
        has_sid_G1 = pack(batch.has_sid_BT[..., None], groups)
        kind_GD = F.embedding(groups.kind_G, self.kind_KD)
        x_GD = kind_GD + field_GD + torch.where(has_sid_G1, code_GD, 0.0)
        embedded: Tensor = self.linear(x_GD, groups)
        return embedded

    def check(self, batch: TimelineBatch) -> None:
        """Check a batch before it is embedded.

        A field outside its range would silently read the embedding of another field.

        Args:
            batch: Timelines.

        Raises:
            ShapeError: If a tensor has another shape than `TimelineBatch` promises.
            ContractError: If a kind, field or code is outside its range, or a readout is not at an
                environment token.
        """
        users, tokens = batch.kind_BT.shape
        size_L = self.get_buffer("size_L")
        check_shape("sid_BTL", batch.sid_BTL, (users, tokens, len(size_L)))
        check_shape("feat_BTF", batch.feat_BTF, (users, tokens, NUM_FIELDS))
        for name in ("has_sid_BT", "ts_BT", "seg_BT"):
            check_shape(name, getattr(batch, name), (users, tokens))
        check_shape("readout_BR", batch.readout_BR, (users, None))
        kind_BT = batch.kind_BT.clamp(0, NUM_KINDS)
        size_BTF = self.get_buffer("size_KF")[kind_BT]
        _refuse("kind", batch.kind_BT != kind_BT)
        _refuse("field", (batch.feat_BTF < 0) | (batch.feat_BTF >= size_BTF))
        _refuse("code", (batch.sid_BTL < 0) | (batch.sid_BTL >= size_L))
        # Only the last token of a segment is blind to everything after it.
        place_BR = batch.readout_BR.clamp(-1, tokens - 1)
        is_request_BR = batch.kind_BT.gather(1, place_BR.clamp(min=0)) == TokenKind.ENVIRONMENT
        is_fine_BR = (batch.readout_BR < 0) | (is_request_BR & (place_BR == batch.readout_BR))
        _refuse("readout", ~is_fine_BR)


def _embedding_table(rows: int, width: int) -> nn.Parameter:
    """Draw an embedding table of about unit norm."""
    return nn.Parameter(torch.randn(rows, width) * width**-0.5)


def _make_widening(table_width: int | None, width: int) -> nn.Module:
    """Make what turns rows of look-up tables into vectors of the width of the model."""
    if table_width in (None, width):
        return nn.Identity()
    return nn.Linear(int(table_width or width), width, bias=False)


def _field_layout() -> tuple[Tensor, Tensor, int]:
    """Lay the fields of all kinds out in one table: offsets (0 = no such field), sizes, rows."""
    offset_KF = torch.zeros(NUM_KINDS + 1, NUM_FIELDS, dtype=torch.int64)
    size_KF = torch.ones(NUM_KINDS + 1, NUM_FIELDS, dtype=torch.int64)
    total = 1
    for kind, fields in FIELDS.items():
        for idx, field in enumerate(fields):
            offset_KF[kind, idx] = total
            size_KF[kind, idx] = field.size
            total += field.size
    return offset_KF, size_KF, total


def _refuse(what: str, bad: Tensor) -> None:
    """Raise if any value is bad, naming the first place."""
    if not bool(bad.any()):
        return
    place = torch.nonzero(bad)[0].tolist()
    raise ContractError(
        f"{int(bad.sum())} values are no {what} of this model, first at {place}",
        where="TimelineBatch",
        fix="fields must fit gpr_core.features.fields, codes the codebooks of the model, and a "
        "readout must be -1 or the position of an environment token",
    )
