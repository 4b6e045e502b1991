"""Parallel heads that generate one code path each, level by level.

The decoder input of head j is [thoughts, refined, bos_j, E_1[z_1], .., E_{L-1}[z_{L-1}]]. Thoughts
and refined token come first and see no head: they are computed once per readout and shared. Where
they are switched off, the sequence starts with bos.

With lazy layers, the first layers run once for all levels of a readout and head, blind to the codes
chosen before; a code is mixed in behind them (GR4AD), so that a prefix costs the remaining layers.

Letters: B users, T memory tokens, D width, H attention heads, E head width, J heads, K thinking
tokens, L levels, M flat rows (readouts), N flat rows (prefixes), P positions or codes of a prefix,
S shared positions, U distinct prefixes, V codes, X readout-head pairs.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.models.config import ModelConfig
from gpr_core.models.decoder_layer import DecoderStack, KeyValue, MemoryAccess, access_memory
from gpr_core.models.grouping import Grouping, group_rows
from gpr_core.models.inputs import CodeEmbedding
from gpr_core.models.token_aware import apply_by_kind


class DecoderStart(NamedTuple):
    """The part of decoding that does not depend on a prefix, computed once per readout.

    Attributes:
        memory: Per layer, keys and values of the memory, one row per user; None without memory.
        num_users: B.
        is_one_each: Whether readout m is the only one of user m, as it is when requests are served.
        row_batch_M: [M] int64, user of each readout.
        visible_MT: [M, T] bool or float, memory tokens that each readout may read.
        shared: Per layer, keys and values of the thoughts and the refined token, one row per
            readout.
        bos_X2HE: Per layer, keys and values at bos, [M * J, 2, H, E] in (m, j) order.
        hidden_XD: [M * J, D] float, hidden states at bos; they predict level 1.
        lazy_XPD: [M * J, L - 1, D] float, states of the later levels behind the lazy layers; None
            without lazy layers.
    """

    memory: tuple[KeyValue | None, ...]
    num_users: int
    is_one_each: bool
    row_batch_M: Tensor
    visible_MT: Tensor
    shared: tuple[KeyValue, ...]
    bos_X2HE: tuple[Tensor, ...]
    hidden_XD: Tensor
    lazy_XPD: Tensor | None


class Prefixes(NamedTuple):
    """Prefixes of one length, with what a next code needs of them.

    Attributes:
        row_N: [N] int64, readout of each.
        root_N: [N] int64, readout and head of each, readout * J + head.
        code_NP: [N, P] int64, where code p of each stands among `past`, for p codes and one.
        past: Per layer without lazy ones, keys and values [N, 2, H, E] of the last code of all
            prefixes of one code, of two, and so on up to P.
        hidden_ND: [N, D] float, hidden states; they predict the next code.
        length: P, number of codes.
    """

    row_N: Tensor
    root_N: Tensor
    code_NP: Tensor
    past: tuple[tuple[Tensor, ...], ...]
    hidden_ND: Tensor
    length: int


class CodeDecoder(nn.Module):
    """Generates code paths with J heads that never see one another.

    Args:
        config: Sizes.
        num_levels: L.

    Source:
        Paper sections 2.2 and 3.1 (separate projection layers per head); specification 3.6.3.
    """

    def __init__(self, config: ModelConfig, num_levels: int) -> None:
        super().__init__()
        width, heads = config.width, config.num_heads
        scale = width**-0.5
        self.num_heads = heads
        self.reads_memory = config.generates_from_memory
        self.is_refined = config.refine.kind != "none"
        num_shared = config.num_thoughts + self.is_refined
        self.slot_SD = nn.Parameter(torch.randn(num_shared, width) * scale)
        self.project_bos = nn.Linear(width, heads * width)
        self.head_JD = nn.Parameter(torch.randn(heads, width) * scale)
        # The last code of a path is never an input.
        self.level_PD = nn.Parameter(torch.randn(num_levels - 1, width) * scale)
        self.decoder = DecoderStack(
            config, reads_memory=config.generates_from_memory, has_experts=True
        )
        self.num_lazy = config.lazy_layers
        if self.num_lazy:
            self.mix_code = nn.Linear(width, width, bias=False)
            self.mix_both = nn.Linear(2 * width, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.project_out_JDD = nn.Parameter(
            torch.empty(heads, width, width).uniform_(-scale, scale)
        )

    def start(
        self,
        condition: tuple[Tensor, Tensor, Tensor],
        memory_BTD: Tensor,
        row_batch_M: Tensor,
        visible_MT: Tensor,
    ) -> DecoderStart:
        """Run the positions that every prefix of a readout shares.

        Args:
            condition: Thoughts [M, K, D], their sum [M, D] and the refined token [M, D], float.
            memory_BTD: [B, T, D] float, intent embeddings.
            row_batch_M: [M] int64, user of each readout.
            visible_MT: [M, T] bool or float, memory tokens that each readout may read.

        Returns:
            Keys, values and the hidden states that predict level 1.
        """
        thought_MKD, intent_MD, refined_MD = condition
        first = [thought_MKD, refined_MD[:, None]] if self.is_refined else [thought_MKD]
        shared_MSD = torch.cat(first, dim=1) + self.slot_SD
        bos_MJD = self.project_bos(intent_MD + refined_MD).view(-1, *self.head_JD.shape)
        x_MPD = torch.cat([shared_MSD, bos_MJD + self.head_JD], dim=1)
        mask_PP = self._start_mask(shared_MSD.shape[1], x_MPD.device)
        access = access_memory(row_batch_M, visible_MT, len(memory_BTD))
        memories, shared, bos = [], [], []
        for layer in self.decoder.layers:
            memory = layer.read_memory(memory_BTD)
            x_MPD, own = layer(x_MPD, mask_PS=mask_PP, past=None, memory=memory, access=access)
            memories.append(memory)
            shared.append(KeyValue(*(part[:, :, : len(self.slot_SD)] for part in own)))
            bos.append(self._bos_rows(own))
        start = DecoderStart(
            tuple(memories),
            len(memory_BTD),
            torch.equal(row_batch_M, torch.arange(len(memory_BTD), device=row_batch_M.device)),
            row_batch_M,
            visible_MT,
            tuple(shared),
            tuple(bos),
            x_MPD[:, len(self.slot_SD) :].flatten(0, 1),
            None,
        )
        if not self.num_lazy:
            return start
        return start._replace(lazy_XPD=self._run_lazy_layers(start, bos_MJD + self.head_JD))

    def begin(self, start: DecoderStart, rows_N: Tensor, heads_N: Tensor) -> Prefixes:
        """Start paths.

        Args:
            start: What the prefixes share.
            rows_N: [N] int64, readout of each.
            heads_N: [N] int64, head of each.

        Returns:
            Empty prefixes.
        """
        root_N = rows_N * self.num_heads + heads_N
        hidden_ND = start.hidden_XD.index_select(0, root_N)
        nothing = tuple(() for _ in start.bos_X2HE[self.num_lazy :])
        return Prefixes(rows_N, root_N, rows_N.new_zeros((len(rows_N), 0)), nothing, hidden_ND, 0)

    def extend(
        self,
        start: DecoderStart,
        prefixes: Prefixes,
        parents_N: Tensor,
        codes_N: Tensor,
        codes: CodeEmbedding,
    ) -> Prefixes:
        """Run one more code.

        Args:
            start: What the prefixes share.
            prefixes: M prefixes of P < L - 1 codes.
            parents_N: [N] int64, prefix that each code extends.
            codes_N: [N] int64, codes of level P.
            codes: Code tables.

        Returns:
            N prefixes of P + 1 codes.
        """
        row_N = prefixes.row_N.index_select(0, parents_N)
        root_N = prefixes.root_N.index_select(0, parents_N)
        code_ND = codes.level(prefixes.length).index_select(0, codes_N)
        if start.lazy_XPD is None:
            x_ND = code_ND + self.level_PD[prefixes.length]
        else:
            x_ND = self._mix(start.lazy_XPD[root_N, prefixes.length], code_ND)
        readouts = group_rows(row_N, len(start.row_batch_M))
        access = self._access(start, row_N, readouts)
        code_NP = prefixes.code_NP.index_select(0, parents_N)
        pasts = []
        # No later position looks at what the lazy layers would have made of a code.
        for past, idx in zip(prefixes.past, range(self.num_lazy, len(start.bos_X2HE)), strict=True):
            chain = [start.bos_X2HE[idx].index_select(0, root_N)]
            chain += [own.index_select(0, code_NP[:, place]) for place, own in enumerate(past)]
            x_ND, last = self.decoder.layers[idx].step(
                x_ND,
                shared=start.shared[idx],
                chain_N2HE=chain,
                readouts=readouts,
                memory=start.memory[idx],
                access=access,
            )
            pasts.append((*past, last))
        itself_N1 = torch.arange(len(row_N), device=row_N.device)[:, None]
        code_NP = torch.cat([code_NP, itself_N1], dim=1)
        return Prefixes(row_N, root_N, code_NP, tuple(pasts), x_ND, prefixes.length + 1)

    def join(self, parts: list[Prefixes]) -> Prefixes:
        """Put prefixes of one length together.

        Args:
            parts: Prefixes of one start.

        Returns:
            All of them, in order.
        """
        past = tuple(
            tuple(map(torch.cat, zip(*layer, strict=True)))
            for layer in zip(*map(_compact, parts), strict=True)
        )
        row_N, root_N, hidden_ND = (
            torch.cat([getattr(part, name) for part in parts])
            for name in ("row_N", "root_N", "hidden_ND")
        )
        code_NP = torch.arange(len(row_N), device=row_N.device)[:, None]
        code_NP = code_NP.expand(-1, parts[0].length)
        return Prefixes(row_N, root_N, code_NP, past, hidden_ND, parts[0].length)

    def hidden(
        self,
        start: DecoderStart,
        rows_N: Tensor,
        heads_N: Tensor,
        codes_NP: Tensor,
        codes: CodeEmbedding,
    ) -> list[Tensor]:
        """Run whole paths; equal prefixes of one readout and head are run once.

        Args:
            start: What the prefixes share.
            rows_N: [N] int64, readout of each prefix.
            heads_N: [N] int64, head of each prefix.
            codes_NP: [N, P] int64, its codes, P may be 0.
            codes: Code tables.

        Returns:
            P + 1 tensors [N, D] float, hidden states; tensor p predicts level p + 1.
        """
        node_N = rows_N * self.num_heads + heads_N
        prefixes = self._roots(start)
        found = [prefixes.hidden_ND.index_select(0, node_N)]
        for position in range(codes_NP.shape[1]):
            size = codes.codebook_sizes[position]
            child_U, node_N = torch.unique(
                node_N * size + codes_NP[:, position], return_inverse=True
            )
            prefixes = self.extend(start, prefixes, child_U // size, child_U % size, codes)
            found.append(prefixes.hidden_ND.index_select(0, node_N))
        return found

    def logits(self, hidden_ND: Tensor, heads_N: Tensor, table_VD: Tensor) -> Tensor:
        """Score the codes of one level.

        Args:
            hidden_ND: [N, D] float, hidden states.
            heads_N: [N] int64, head of each row.
            table_VD: [V, D] float, embeddings of the codes of the level.

        Returns:
            [N, V] float, raw logits.
        """
        order_N = torch.argsort(heads_N, stable=True)
        sizes = tuple(torch.bincount(heads_N, minlength=self.num_heads).tolist())
        sorted_ND = self.norm(hidden_ND).index_select(0, order_N)
        projected_ND = apply_by_kind(
            sorted_ND, sizes, lambda head, x_gD: x_gD @ self.project_out_JDD[head]
        )
        back_N = torch.argsort(order_N)
        logits_NV: Tensor = projected_ND.index_select(0, back_N) @ table_VD.T
        return logits_NV

    def lazy_loss(
        self, start: DecoderStart, paths_MJL: Tensor, ok_MJ: Tensor, codes: CodeEmbedding
    ) -> Tensor:
        """Teach the lazy layers what the codes of later levels are, whatever comes before them.

        Args:
            start: What the prefixes share.
            paths_MJL: [M, J, L] int64, target paths.
            ok_MJ: [M, J] bool, whether there is a target.
            codes: Code tables.

        Returns:
            Scalar, cross-entropy of the targets, summed over heads and averaged over readouts and
            levels 2..L; 0 without lazy layers.

        Source:
            Specification 3.6.3 (auxiliary code loss of GR4AD).
        """
        row_X = ok_MJ.flatten().nonzero()[:, 0]
        if start.lazy_XPD is None or not len(row_X):
            return start.hidden_XD.new_zeros(())
        target_XL = paths_MJL.flatten(0, 1).index_select(0, row_X)
        lazy_XPD = start.lazy_XPD.index_select(0, row_X)
        losses = []
        for position in range(lazy_XPD.shape[1]):
            table_VD = codes.level(position + 1)
            logits_XV = self.logits(lazy_XPD[:, position], row_X % self.num_heads, table_VD)
            losses.append(F.cross_entropy(logits_XV, target_XL[:, position + 1], reduction="sum"))
        return torch.stack(losses).mean() / len(ok_MJ)

    def _roots(self, start: DecoderStart) -> Prefixes:
        """Start a path for every readout and head."""
        root_X = torch.arange(
            len(start.row_batch_M) * self.num_heads, device=start.row_batch_M.device
        )
        return self.begin(start, root_X // self.num_heads, root_X % self.num_heads)

    def _run_lazy_layers(self, start: DecoderStart, bos_MJD: Tensor) -> Tensor:
        """Run the first layers for the later levels, without any code: [M * J, L - 1, D]."""
        roots = self._roots(start)
        access = self._access(start, roots.row_N, group_rows(roots.row_N, len(start.row_batch_M)))
        x_XPD = bos_MJD.flatten(0, 1)[:, None] + self.level_PD
        levels, seen = len(self.level_PD), len(self.slot_SD) + 1
        before_PS = torch.ones(levels, seen, dtype=torch.bool, device=x_XPD.device)
        mask_PS = torch.cat([before_PS, before_PS.new_ones(levels, levels).tril()], dim=1)
        for idx, layer in enumerate(self.decoder.layers[: self.num_lazy]):
            past = KeyValue(
                *(
                    torch.cat([shared_M.index_select(0, roots.row_N), bos_X[:, :, None]], dim=2)
                    for shared_M, bos_X in zip(
                        start.shared[idx], start.bos_X2HE[idx].unbind(1), strict=True
                    )
                )
            )
            x_XPD, _ = layer(
                x_XPD, mask_PS=mask_PS, past=past, memory=start.memory[idx], access=access
            )
        return x_XPD

    def _mix(self, lazy_ND: Tensor, code_ND: Tensor) -> Tensor:
        """Mix the code chosen last into a state that knows none."""
        both_NX = torch.cat([lazy_ND * self.mix_code(code_ND), code_ND], dim=1)
        mixed_ND: Tensor = self.mix_both(both_NX)
        return mixed_ND

    def _access(self, start: DecoderStart, row_N: Tensor, readouts: Grouping) -> MemoryAccess:
        """Say what the memory of each readout is, once per row, or once per user that has one."""
        if start.is_one_each:
            return MemoryAccess(readouts, start.visible_MT[:, None])
        return access_memory(
            start.row_batch_M.index_select(0, row_N),
            start.visible_MT.index_select(0, row_N),
            start.num_users,
        )

    def _start_mask(self, num_shared: int, device: torch.device) -> Tensor:
        """Let shared positions see the past, and each bos the shared positions and itself."""
        positions = num_shared + self.num_heads
        visible_PP = torch.ones(positions, positions, dtype=torch.bool, device=device).tril()
        visible_PP[num_shared:, num_shared:] = torch.eye(
            self.num_heads, dtype=torch.bool, device=device
        )
        return visible_PP

    def _bos_rows(self, seen: KeyValue) -> Tensor:
        """Take the bos positions of M readouts: [M * J, 2, H, E]."""
        both_M2HPE = torch.stack(seen, dim=1)
        return both_M2HPE[:, :, :, len(self.slot_SD) :].movedim(3, 1).flatten(0, 1)


def _compact(prefixes: Prefixes) -> tuple[tuple[Tensor, ...], ...]:
    """Keep one row per prefix of what its codes left."""
    return tuple(
        tuple(own.index_select(0, prefixes.code_NP[:, place]) for place, own in enumerate(layer))
        for layer in prefixes.past
    )
