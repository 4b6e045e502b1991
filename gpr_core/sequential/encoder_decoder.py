"""TIGER and OneRec on item sequences: encode a history, generate the codes of the next item.

Encoder and decoder are the parts of GPR with the switches of `gpr_core.models.variants`. An item is
one token, the sum of its code embeddings (TIGER spells it with one token per code), and a request
token ends the history. A bidirectional encoder may know one target only, so each pass draws some
places of every training sequence and reads what comes before them.

Letters: B users, T items of a sequence, M histories, L levels, A items, V codes, N rows, P codes.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import TokenKind
from gpr_core.generation.beam import advance, begin, enter_root, extend, follow
from gpr_core.generation.ordering import best_of_groups
from gpr_core.generation.path_logp import prefix_nodes
from gpr_core.models.code_decoder import Prefixes
from gpr_core.models.config import ModelConfig
from gpr_core.models.hsd import HSD
from gpr_core.models.inputs import CodeEmbedding
from gpr_core.models.masks import bidirectional_peers
from gpr_core.models.ptd import PTD, Intent
from gpr_core.models.relation import relate
from gpr_core.models.token_aware import group_tokens, pack
from gpr_core.objectives.code_loss import path_logp
from gpr_core.sequential.ranking import Scores
from gpr_core.sequential.sequences import Histories, Ints

_BEAM_WIDTH = 30
_PLACES_PER_SEQUENCE = 2


class CodePrefixes(NamedTuple):
    """Prefixes of one length.

    Attributes:
        state: What they start from.
        decoded: What the decoder keeps of them.
    """

    state: Intent
    decoded: Prefixes


class EncoderDecoder(nn.Module):
    """Generates the code path of the next item.

    Weights are drawn from torch's global stream.

    Args:
        path_AL: [A, L] int64, a path for each item; no two items share one.
        config: An encoder-decoder of `gpr_core.models.variants`.
        max_items: Latest items that are read, T.

    Source:
        TIGER (Rajput et al., 2023), OneRec (2025); specification 3.9.
    """

    head_weights_J: Tensor

    def __init__(self, path_AL: Ints, config: ModelConfig, *, max_items: int) -> None:
        super().__init__()
        sizes = tuple((path_AL.max(axis=0) + 1).tolist())
        self.codes = CodeEmbedding(sizes, config.width)
        self.request_D = nn.Parameter(torch.randn(config.width) * config.width**-0.5)
        self.encoder = HSD(config)
        self.ptd = PTD(config, len(sizes))
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("path_AL", torch.from_numpy(path_AL), persistent=False)
        self.register_buffer("head_weights_J", torch.ones(1), persistent=False)
        keys_A = np.arange(len(path_AL), dtype=np.uint64)
        self._trie = Trie.build(path_AL.astype(np.int16), keys_A, sizes)
        self._max_distance, self.max_items = config.max_distance, max_items

    def loss(self, item_BT: Tensor, generator: torch.Generator) -> Tensor:
        """Predict items at some places of each sequence from what comes before.

        Args:
            item_BT: [B, T + 1] int64, left-aligned, -1 behind the end.
            generator: Draws the places.

        Returns:
            [] float, mean negative log-likelihood per path, over codes that lead to an item.
        """
        length_B = (item_BT >= 0).sum(dim=1)
        draw_BP = torch.rand(len(item_BT), _PLACES_PER_SEQUENCE, generator=generator)
        place_M = (1 + draw_BP * (length_B - 1)[:, None]).long().flatten()
        row_M = torch.arange(len(item_BT)).repeat_interleave(_PLACES_PER_SEQUENCE)
        history_MT = item_BT[row_M].masked_fill(
            torch.arange(item_BT.shape[1]) >= place_M[:, None], -1
        )
        path_ML = self.get_buffer("path_AL")[item_BT[row_M, place_M]]
        return -self._path_logp(self.read(history_MT), path_ML).mean()

    @torch.no_grad()
    def score(self, history: Histories) -> Scores:
        """Generate the best items.

        Args:
            history: Sequences of B users, none of them empty.

        Returns:
            [B, A] float32, log-probability of the paths that the beam found, -inf elsewhere.
        """
        state = self.read(torch.from_numpy(history.latest(self.max_items)))
        eligible = EligibleAds.everything(len(history), self._trie.num_ads)
        beams = enter_root(eligible, np.arange(len(history)), num_heads=1)
        prefixes = begin(self, state, beams)
        width_B = np.full(len(history), _BEAM_WIDTH)
        for level in range(self._trie.num_levels):
            found = extend(self, prefixes, self._trie, eligible, beams)
            logp_C = beams.logp()[found.beam_C] + found.logp_C
            kept = best_of_groups(beams.row_M[found.beam_C], width_B, logp_C)
            nothing_C = np.zeros_like(logp_C)
            beams = advance(beams, found, kept, nothing_C, nothing_C)
            if level + 1 < self._trie.num_levels:
                prefixes = follow(self, prefixes, found, kept)
        rank_M, _ = self._trie.interval(torch.from_numpy(beams.node_M))
        score_BA = np.full((len(history), self._trie.num_ads), -np.inf, dtype=np.float32)
        item_M = self._trie.ad_key_A[rank_M].numpy().astype(np.int64)
        score_BA[beams.row_M, item_M] = beams.logp()
        return score_BA

    def read(self, item_MT: Tensor) -> Intent:
        """Encode histories.

        Args:
            item_MT: [M, T] int64, left-aligned, -1 behind the end; a history may not be empty.

        Returns:
            The state that codes are generated from.
        """
        length_M = (item_MT >= 0).sum(dim=1)
        place_T = torch.arange(item_MT.shape[1] + 1)
        kind_MT = torch.full((len(item_MT), len(place_T)), int(TokenKind.PAD))
        kind_MT[place_T < length_M[:, None]] = int(TokenKind.ITEM)
        kind_MT[torch.arange(len(item_MT)), length_M] = int(TokenKind.ENVIRONMENT)
        groups = group_tokens(kind_MT)
        # The files have no times, so all pairs fall into one class of time.
        relation = relate(
            torch.zeros_like(kind_MT), bidirectional_peers(kind_MT), groups, self._max_distance
        )
        padded_MT = torch.nn.functional.pad(item_MT, (0, 1), value=-1).clamp(min=0)
        item_G = pack(padded_MT[..., None], groups)[:, 0]
        is_item_G1 = (groups.kind_G == int(TokenKind.ITEM))[:, None]
        code_GD = self.codes(self.get_buffer("path_AL")[item_G])
        embedded_GD = self.dropout(torch.where(is_item_G1, code_GD, self.request_D))
        memory_MTD = self.encoder(embedded_GD, groups, relation)
        row_M = torch.arange(len(item_MT))
        return self.ptd.read(
            memory_MTD[row_M, length_M], memory_MTD, row_M, place_T <= length_M[:, None], row_M
        )

    def begin(self, state: Intent, rows_N: Tensor, heads_N: Tensor) -> CodePrefixes:
        """Start paths.

        Args:
            state: From `read`.
            rows_N: [N] int64, history of each path.
            heads_N: [N] int64, zeros.

        Returns:
            Empty prefixes.
        """
        return CodePrefixes(state, self.ptd.generate.begin(state.start, rows_N, heads_N))

    def extend(self, prefixes: CodePrefixes, parents_N: Tensor, codes_N: Tensor) -> CodePrefixes:
        """Choose the next code of prefixes.

        Args:
            prefixes: M prefixes of P < L - 1 codes.
            parents_N: [N] int64, prefix that each code extends.
            codes_N: [N] int64, codes of level P.

        Returns:
            N prefixes of P + 1 codes.
        """
        decoded = self.ptd.generate.extend(
            prefixes.state.start, prefixes.decoded, parents_N, codes_N, self.codes
        )
        return CodePrefixes(prefixes.state, decoded)

    def child_logits(self, prefixes: CodePrefixes) -> Tensor:
        """Score the next code after prefixes.

        Args:
            prefixes: N prefixes of P codes.

        Returns:
            [N, V] float, raw logits.
        """
        decoded = prefixes.decoded
        return self.ptd.generate.logits(
            decoded.hidden_ND, torch.zeros_like(decoded.row_N), self.codes.level(decoded.length)
        )

    def _path_logp(self, state: Intent, path_ML: Tensor) -> Tensor:
        """Log-probability of one path per history, every code among those that lead somewhere."""
        generate, heads_M = self.ptd.generate, torch.zeros(len(path_ML), dtype=torch.int64)
        rows_M = torch.arange(len(path_ML))
        hidden = generate.hidden(state.start, rows_M, heads_M, path_ML[:, :-1], self.codes)
        node_ML = prefix_nodes(self._trie, path_ML)
        logits, legal = [], []
        for level, hidden_MD in enumerate(hidden):
            logits_MV = generate.logits(hidden_MD, heads_M, self.codes.level(level))
            child_MV = self._trie.children(node_ML[:, level])[:, : logits_MV.shape[1]]
            logits.append(logits_MV[:, None])
            legal.append(child_MV[:, None] >= 0)
        all_M1 = torch.ones(len(path_ML), 1, dtype=torch.bool)
        return path_logp(logits, path_ML[:, None], legal, all_M1)[:, 0].sum(dim=1)


def with_suffix(path_AL: Ints) -> Ints:
    """Give every item a path of its own: a last code counts the items of a path, as TIGER does.

    Args:
        path_AL: [A, L] int64.

    Returns:
        [A, L + 1] int64; the suffix is 0 for the first item of a path.

    Example:
        >>> with_suffix(np.array([[1, 2], [0, 1], [1, 2]])).tolist()
        [[1, 2, 0], [0, 1, 0], [1, 2, 1]]
    """
    _, path_A = np.unique(path_AL, axis=0, return_inverse=True)
    order = np.argsort(path_A, kind="stable")
    sorted_A = path_A[order]
    first_A = np.searchsorted(sorted_A, sorted_A)
    suffix_A = np.empty_like(order)
    suffix_A[order] = np.arange(len(order)) - first_A
    return np.concatenate([path_AL, suffix_A[:, None]], axis=1)
