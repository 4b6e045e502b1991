"""All timelines in memory, and the windows and prefixes of them that the model reads.

Tokens of all users lie one after the other in flat arrays (M rows), as in the curated table, so
that a batch is one gather. Letters: M flat tokens, W windows, B sequences of a batch, T tokens of a
sequence, R readouts of a sequence, L levels, F fields.

Source: specification 1.2 (segments, truncation, readouts at E tokens).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from gpr_core.data.tables import ItemKind, TokenKind
from gpr_core.features.batch import TimelineBatch
from gpr_core.features.fields import NUM_FIELDS
from gpr_core.features.thoughts import ThoughtIndex
from gpr_core.features.windows import Windows
from gpr_core.support.errors import ConfigError, ContractError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineStore:
    """Tokens of all users.

    Attributes:
        kind_M: [M] int8, token kind.
        sid_ML: [M, L] int16, semantic id of the token's item, 0 where there is none.
        has_sid_M: [M] bool, whether the token has an item.
        feat_MF: [M, F] int16, categorical fields.
        ts_M: [M] int64, epoch ms.
        user_keys_U: [U] int64, users in timeline order.
        offset_U: [U + 1] int64, first token of each user, then the number of tokens.
        segment_starts: [S] int64, first token of every segment, ascending.
        user_tokens: [.] int64, every U token, ascending.
        request_tokens: [.] int64, every E token, ascending.
        request_keys: [.] int64, request of each E token.
        request_order: [.] int64, positions in `request_keys` that sort it by key.
        thoughts: External knowledge as of each day; None where nobody asked for it.
    """

    kind_M: npt.NDArray[np.int8]
    sid_ML: npt.NDArray[np.int16]
    has_sid_M: npt.NDArray[np.bool_]
    feat_MF: npt.NDArray[np.int16]
    ts_M: Ints
    user_keys_U: Ints
    offset_U: Ints
    segment_starts: Ints
    user_tokens: Ints
    request_tokens: Ints
    request_keys: Ints
    request_order: Ints
    thoughts: ThoughtIndex | None = None

    @classmethod
    def from_tables(
        cls,
        timelines: pa.Table,
        sid_map: pa.Table,
        num_levels: int,
        *,
        thoughts: pa.Table | None = None,
    ) -> "TimelineStore":
        """Load curated timelines and join the semantic ids.

        Args:
            timelines: The corpus table `timelines`, sorted by user and time.
            sid_map: Semantic ids of all items, columns item_kind, item_key, c1..cL.
            num_levels: Code levels L.
            thoughts: Lake table `thoughts`; None for a model without external knowledge.

        Returns:
            The store.

        Raises:
            ContractError: If the rows are not sorted, or an item has no semantic id.
            LeakageError: If a thought knows its own day.
        """
        user_M, ts_M = _ints(timelines, "user_key"), _ints(timelines, "ts")
        is_new_M = np.ones(user_M.size, dtype=np.bool_)
        is_new_M[1:] = user_M[1:] != user_M[:-1]
        _check_sorted(user_M, ts_M, is_new_M)
        kind_M = timelines["kind"].to_numpy().astype(np.int8)
        item_kind_M = timelines["item_kind"].to_numpy()
        is_request_M = kind_M == TokenKind.ENVIRONMENT
        request_key = _ints(timelines, "request_key")[is_request_M]
        starts_M = is_new_M.copy()
        starts_M[1:] |= is_request_M[:-1]
        columns = [timelines[f"f{i}"].to_numpy().astype(np.int16) for i in range(NUM_FIELDS)]
        first = np.flatnonzero(is_new_M)
        return cls(
            kind_M=kind_M,
            sid_ML=join_codes(item_kind_M, _ints(timelines, "item_key"), sid_map, num_levels),
            has_sid_M=np.asarray(item_kind_M != ItemKind.NONE),
            feat_MF=np.stack(columns, axis=1),
            ts_M=ts_M,
            user_keys_U=user_M[first],
            offset_U=np.append(first, user_M.size),
            segment_starts=np.flatnonzero(starts_M),
            user_tokens=np.flatnonzero(kind_M == TokenKind.USER),
            request_tokens=np.flatnonzero(is_request_M),
            request_keys=request_key,
            request_order=np.argsort(request_key, kind="stable"),
            thoughts=None if thoughts is None else ThoughtIndex.from_table(thoughts),
        )

    def positions_of(self, request_keys_B: npt.ArrayLike) -> Ints:
        """Find the E token of each request.

        Args:
            request_keys_B: [B] integers.

        Returns:
            [B] int64 flat indices.

        Raises:
            ContractError: If a request is in no timeline.
        """
        wanted_B = np.asarray(request_keys_B).astype(np.int64)
        row_B, is_known_B = find_keys(self.request_keys, self.request_order, wanted_B)
        if not is_known_B.all():
            raise ContractError(
                f"{int((~is_known_B).sum())} of {wanted_B.size} requests have no E token, "
                f"first {int(wanted_B[~is_known_B][0])}",
                where="timelines",
                fix="build requests and timelines from the same corpus",
            )
        return self.request_tokens[row_B]

    def user_keys_at(self, position_M: Ints) -> Ints:
        """Tell whose timeline tokens belong to.

        Args:
            position_M: [M] int64 flat indices.

        Returns:
            [M] int64 keys; a person without consent has another key in every session.
        """
        return self.user_keys_U[np.searchsorted(self.offset_U, position_M, side="right") - 1]

    def prefix_batch(self, request_keys_B: npt.ArrayLike, max_tokens: int) -> TimelineBatch:
        """Read what is known at each request: the user's tokens up to and including its E token.

        A prefix that is too long keeps the U token in force and the most recent whole segments;
        a single segment that is too long keeps its most recent tokens.

        Args:
            request_keys_B: [B] integers.
            max_tokens: Longest sequence.

        Returns:
            B sequences with one readout each (R = 1).

        Raises:
            ContractError: If a request is in no timeline.
            ConfigError: If `max_tokens` is below 2.
        """
        last_B = self.positions_of(request_keys_B)
        begin_B, user_token_B = self._spans(last_B, last_B, max_tokens)
        return self._gather(begin_B, last_B + 1, user_token_B, last_B[:, None])

    def windows(self, loss_positions: Ints, *, max_tokens: int, new_tokens: int) -> Windows:
        """Cut the timelines of all users into training windows.

        A window answers for the loss positions among `new_tokens` consecutive tokens of a user and
        reaches back to `max_tokens` tokens in all, so that windows overlap and each loss position
        has context, yet belongs to exactly one window.

        Args:
            loss_positions: Flat indices of E tokens, distinct, any order.
            max_tokens: Longest window.
            new_tokens: Tokens whose loss positions share a window, < max_tokens.

        Returns:
            The windows, by user and time.

        Raises:
            ConfigError: If the sizes do not fit each other.
        """
        if not 1 <= new_tokens < max_tokens:
            raise ConfigError(
                f"new_tokens is {new_tokens} with max_tokens {max_tokens}",
                where="windows",
                fix="use 1 <= new_tokens < max_tokens",
            )
        loss_M = np.sort(loss_positions)
        user_M = np.searchsorted(self.offset_U, loss_M, side="right") - 1
        block_M = (loss_M - self.offset_U[user_M]) // new_tokens
        changes_M = np.ones(loss_M.size, dtype=np.bool_)
        changes_M[1:] = (user_M[1:] != user_M[:-1]) | (block_M[1:] != block_M[:-1])
        loss_begin_W = np.flatnonzero(changes_M)
        loss_end_W = np.append(loss_begin_W[1:], loss_M.size).astype(np.int64)
        last_W = loss_M[loss_end_W - 1] if loss_M.size else loss_M
        begin_W, user_token_W = self._spans(loss_M[loss_begin_W], last_W, max_tokens)
        return Windows(
            begin_W=begin_W,
            end_W=last_W + 1,
            user_token_W=user_token_W,
            loss_begin_W=loss_begin_W,
            loss_end_W=loss_end_W[: loss_begin_W.size],
            loss_M=loss_M,
        )

    def prefixes(self, loss_positions: Ints, *, max_tokens: int) -> Windows:
        """Give every loss position a window of its own, which ends with it.

        Args:
            loss_positions: Flat indices of E tokens, distinct, any order.
            max_tokens: Longest window.

        Returns:
            One window per loss position, by user and time, equal to what `prefix_batch` reads.

        Raises:
            ConfigError: If `max_tokens` is below 2.
        """
        loss_M = np.sort(loss_positions)
        begin_M, user_token_M = self._spans(loss_M, loss_M, max_tokens)
        place_M = np.arange(loss_M.size)
        return Windows(
            begin_W=begin_M,
            end_W=loss_M + 1,
            user_token_W=user_token_M,
            loss_begin_W=place_M,
            loss_end_W=place_M + 1,
            loss_M=loss_M,
        )

    def window_batch(self, windows: Windows, ids_B: Ints, readout_BR: Ints) -> TimelineBatch:
        """Read some windows.

        Args:
            windows: All windows.
            ids_B: [B] int64, which of them.
            readout_BR: [B, R] int64, flat indices of the E tokens to read out, -1 for none.

        Returns:
            B sequences with R readouts each.
        """
        return self._gather(
            windows.begin_W[ids_B], windows.end_W[ids_B], windows.user_token_W[ids_B], readout_BR
        )

    def _spans(self, needed_B: Ints, last_B: Ints, max_tokens: int) -> tuple[Ints, Ints]:
        """Choose the first token of each sequence, and the U token to put in front or -1."""
        if max_tokens < 2:
            raise ConfigError(f"max_tokens is {max_tokens}", where="timelines", fix="use >= 2")
        first_B = self.offset_U[np.searchsorted(self.offset_U, last_B, side="right") - 1]
        # One place is kept free for the U token in force.
        low_B = last_B + 2 - max_tokens
        is_whole_B = low_B - 1 <= first_B
        next_B = np.searchsorted(self.segment_starts, np.maximum(low_B, 0))
        next_B = self.segment_starts[np.minimum(next_B, self.segment_starts.size - 1)]
        begin_B = np.where((next_B >= low_B) & (next_B <= needed_B), next_B, low_B)
        begin_B = np.where(is_whole_B, first_B, begin_B)
        latest_B = np.searchsorted(self.user_tokens, begin_B, side="right") - 1
        if self.user_tokens.size == 0:
            return begin_B, np.full_like(begin_B, -1)
        user_token_B = self.user_tokens[np.maximum(latest_B, 0)]
        is_used_B = (latest_B >= 0) & (user_token_B >= first_B) & (user_token_B < begin_B)
        return begin_B, np.where(is_used_B, user_token_B, -1)

    def _gather(
        self, begin_B: Ints, end_B: Ints, user_token_B: Ints, position_BR: Ints
    ) -> TimelineBatch:
        """Copy sequences into right-padded tensors."""
        extra_B = (user_token_B >= 0).astype(np.int64)
        length_B = end_B - begin_B + extra_B
        steps_T = np.arange(int(length_B.max(initial=1)))
        valid_BT = steps_T < length_B[:, None]
        flat_BT = np.where(valid_BT, (begin_B - extra_B)[:, None] + steps_T, 0)
        has_extra_B = extra_B == 1
        flat_BT[has_extra_B, 0] = user_token_B[has_extra_B]
        kind_BT = np.where(valid_BT, self.kind_M[flat_BT], np.int8(TokenKind.PAD))
        is_request_BT = kind_BT == TokenKind.ENVIRONMENT
        is_readout_BR = position_BR >= 0
        local_BR = position_BR - begin_B[:, None] + extra_B[:, None]
        return TimelineBatch(
            kind_BT=_tensor(kind_BT),
            sid_BTL=_tensor(self.sid_ML[flat_BT] * valid_BT[..., None]),
            has_sid_BT=torch.from_numpy(self.has_sid_M[flat_BT] & valid_BT),
            feat_BTF=_tensor(self.feat_MF[flat_BT] * valid_BT[..., None]),
            ts_BT=_tensor(np.where(valid_BT, self.ts_M[flat_BT], 0)),
            seg_BT=_tensor(np.cumsum(is_request_BT, axis=1) - is_request_BT),
            readout_BR=_tensor(np.where(is_readout_BR, local_BR, -1)),
            request_key_BR=_tensor(self._keys_at(position_BR)),
            user_key_B=_tensor(self.user_keys_at(begin_B)),
            thought_BRP=_tensor(self._thoughts_at(position_BR)),
        )

    def _thoughts_at(self, position_BR: Ints) -> Ints:
        """Give the words said about the user of each E token, [B, R, P]; zeros where none is."""
        if self.thoughts is None:
            return np.zeros((*position_BR.shape, 0), dtype=np.int64)
        place_M = np.maximum(position_BR, 0).ravel()
        word_MP = self.thoughts.at(self.user_keys_at(place_M), self.ts_M[place_M])
        word_MP = word_MP * (position_BR.ravel() >= 0)[:, None]
        return word_MP.reshape(*position_BR.shape, -1)

    def _keys_at(self, position_BR: Ints) -> Ints:
        """Give the request keys of E tokens, 0 where there is none."""
        found_BR = np.searchsorted(self.request_tokens, np.maximum(position_BR, 0))
        found_BR = np.minimum(found_BR, max(self.request_tokens.size - 1, 0))
        return np.where(position_BR >= 0, self.request_keys[found_BR], 0)


def find_keys(keys_N: Ints, order_N: Ints, wanted_M: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Find rows by key.

    Args:
        keys_N: [N] int64 distinct keys.
        order_N: [N] int64, rows of `keys_N` in ascending order of the key.
        wanted_M: [M] int64 keys.

    Returns:
        [M] int64 row in `keys_N`, arbitrary where the key is unknown, and [M] bool, known or not.
    """
    if keys_N.size == 0:
        return np.zeros(wanted_M.shape, dtype=np.int64), np.zeros(wanted_M.shape, dtype=np.bool_)
    found_M = np.searchsorted(keys_N, wanted_M, sorter=order_N)
    row_M = order_N[np.minimum(found_M, keys_N.size - 1)]
    return row_M, np.asarray(keys_N[row_M] == wanted_M)


def join_codes(
    item_kind_M: npt.NDArray[np.int8], item_key_M: Ints, sid_map: pa.Table, num_levels: int
) -> npt.NDArray[np.int16]:
    """Look up the semantic id of each item.

    Args:
        item_kind_M: [M] int8, `ItemKind`; NONE rows get zeros.
        item_key_M: [M] int64 keys.
        sid_map: Columns item_kind, item_key, c1..cL.
        num_levels: Code levels L.

    Returns:
        [M, L] int16 codes.

    Raises:
        ContractError: If an item has no semantic id.
    """
    codes_NL = np.stack([sid_map[f"c{level + 1}"].to_numpy() for level in range(num_levels)], 1)
    map_kind_N, map_key_N = sid_map["item_kind"].to_numpy(), _ints(sid_map, "item_key")
    sid_ML = np.zeros((item_key_M.size, num_levels), dtype=np.int16)
    for kind in (ItemKind.AD, ItemKind.CONTENT):
        rows = np.flatnonzero(item_kind_M == kind)
        known = np.flatnonzero(map_kind_N == kind)
        keys = map_key_N[known]
        found, is_known = find_keys(keys, np.argsort(keys, kind="stable"), item_key_M[rows])
        if not is_known.all():
            raise ContractError(
                f"{int((~is_known).sum())} of {rows.size} {kind.name.lower()} rows have no "
                f"semantic id, first key {int(item_key_M[rows[~is_known]][0])}",
                where="sid_map",
                fix="run tokenization on the same corpus; every item is encoded",
            )
        if rows.size:
            sid_ML[rows] = codes_NL[known[found]]
    return sid_ML


def _ints(table: pa.Table, name: str) -> Ints:
    """Read an integer column as int64; keys lie below 2**63."""
    return np.asarray(table[name].to_numpy().astype(np.int64))


def _tensor(array: npt.NDArray[np.generic]) -> torch.Tensor:
    """Make an int64 tensor."""
    return torch.from_numpy(array.astype(np.int64))


def _check_sorted(user_M: Ints, ts_M: Ints, is_new_M: npt.NDArray[np.bool_]) -> None:
    """Refuse timelines whose users are scattered or whose times go back."""
    goes_back = bool((np.diff(ts_M) < 0)[~is_new_M[1:]].any())
    if goes_back or bool((np.diff(user_M) < 0).any()):
        raise ContractError(
            "timelines are not sorted by user_key and ts",
            where="timelines",
            fix="sort by (user_key, ts, kind, order_key) while curating",
        )
