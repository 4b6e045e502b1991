"""GPR: one model that reads a user's journey, generates ads and values them.

    tokens -> inputs -> HSD (hybrid attention, token-aware norm and FFN, recursion) -> intent
    embeddings
    intent embeddings cut at a request, external knowledge -> PTD: think -> refine -> generate code
    paths (J heads)
    readout, thoughts, refined token, detached -> HTE: value of prefixes and items

Letters: B users, T tokens, R readouts, L levels, J heads, V codes, D width, K thinking tokens,
M flat rows (valid readouts in (b, r) order), N flat rows (prefixes or items), P codes of a prefix,
F ad features, X inputs of the evaluator.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gpr_core.features.batch import TimelineBatch
from gpr_core.models.config import ModelConfig
from gpr_core.models.external_knowledge import ExternalKnowledge
from gpr_core.models.history_copy import HistoryCopy
from gpr_core.models.hsd import HSD
from gpr_core.models.hte import HTE, ItemValues
from gpr_core.models.inputs import CodeEmbedding, TokenInputs
from gpr_core.models.masks import memory_mask, peers_of
from gpr_core.models.ptd import PTD
from gpr_core.models.recursion import RecursiveHSD
from gpr_core.models.refining import DiffusionRefining
from gpr_core.models.relation import relate
from gpr_core.models.routing import Routing
from gpr_core.models.states import PathPrefixes, ReadoutState
from gpr_core.models.token_aware import group_tokens
from gpr_core.support.errors import ShapeError
from gpr_core.support.shapes import check_range, check_shape


class GPR(nn.Module):
    """Generative Pre-trained Recommender; policy and valuer in one model.

    Weights are drawn from torch's global stream: seed it before making a model.

    Args:
        config: Sizes and switches.
        codebook_sizes: V of each of the L code levels.

    Raises:
        ConfigError: If there is no level or a codebook is empty.

    Source:
        Paper section 2.2 (HHD = HSD + PTD + HTE); specification 3.
    """

    head_weights_J: Tensor
    value_mean: Tensor
    value_std: Tensor

    def __init__(self, config: ModelConfig, codebook_sizes: Sequence[int]) -> None:
        super().__init__()
        check_range("number of code levels", len(codebook_sizes), 1, 16)
        for level, size in enumerate(codebook_sizes):
            check_range(f"codebook_sizes[{level}]", size, 1, 32767)
        self.config = config
        self.codebook_sizes = tuple(int(size) for size in codebook_sizes)
        sizes, table_width = self.codebook_sizes, config.table_width or None
        self.codes = CodeEmbedding(sizes, config.width, table_width)
        self.inputs = TokenInputs(sizes, config.width, table_width)
        self.hsd = HSD(config) if config.recursion.router == "none" else RecursiveHSD(config)
        self.knowledge = ExternalKnowledge(config) if config.knowledge_vectors else None
        self.ptd = PTD(config, len(self.codebook_sizes))
        self.copy = HistoryCopy(config) if config.copies_history else None
        self.hte = HTE(config, self.codebook_sizes)
        heads = config.num_heads
        # Simplex weights of the heads; the trainer moves them in closed form, never by gradient.
        self.register_buffer("head_weights_J", torch.full((heads,), 1.0 / heads))
        # Mean and standard deviation of final_value in training: values are in these units.
        self.register_buffer("value_mean", torch.zeros(()))
        self.register_buffer("value_std", torch.ones(()))

    @property
    def num_levels(self) -> int:
        """Code levels L."""
        return len(self.codebook_sizes)

    def read(self, batch: TimelineBatch) -> ReadoutState:
        """Read timelines and think about every request in them.

        Args:
            batch: Timelines; a readout depends only on tokens up to and including itself.

        Returns:
            One row per valid readout, in (user, readout) order.

        Raises:
            ShapeError: If a tensor has another shape than promised, or there is no valid readout.
            ContractError: If a kind, field or code is outside its range, or a readout is not at an
                environment token.
            LeakageError: If a bidirectional model is to read out what is not the last token.
        """
        self.inputs.check(batch)
        row_batch_M, column_M = torch.nonzero(batch.readout_BR >= 0, as_tuple=True)
        if len(row_batch_M) == 0:
            raise ShapeError(
                "the batch has no valid readout, expected at least one",
                where="TimelineBatch.readout_BR",
                fix="drop users without requests from the batch",
            )
        position_M = batch.readout_BR[row_batch_M, column_M]
        hidden_BTD, routing = self._understand(batch)
        visible_MT = memory_mask(batch.kind_BT, row_batch_M, position_M, self.config.memory_tokens)
        flat_M = row_batch_M * hidden_BTD.shape[1] + position_M
        readout_MD = hidden_BTD.flatten(0, 1).index_select(0, flat_M)
        memory_BTD = hidden_BTD
        if self.knowledge is not None and not self.ptd.reads_memory:
            readout_MD = self.knowledge.add_to_readout(
                batch.thought_BRP, row_batch_M, column_M, readout_MD
            )
        elif self.knowledge is not None:
            memory_BTD, visible_MT = self.knowledge(
                batch.thought_BRP, row_batch_M, column_M, hidden_BTD, visible_MT
            )
        request_key_M = batch.request_key_BR[row_batch_M, column_M]
        intent = self.ptd.read(readout_MD, memory_BTD, row_batch_M, visible_MT, request_key_M)
        value_state_MX = self.hte.state(readout_MD, intent.intent_MD, intent.refined_MD)
        shown = None
        if self.copy is not None:
            shown = self.copy.weigh(batch, intent.intent_MD, hidden_BTD, row_batch_M, position_M)
        return ReadoutState(readout_MD, intent, value_state_MX, row_batch_M, routing, shown)

    def open_values(self, state: ReadoutState, gradient_share: float) -> ReadoutState:
        """Let value losses reach HSD and PTD, an ablation of supervised training.

        Args:
            state: From `read`.
            gradient_share: Share of their gradient that is let through, in [0, 1].

        Returns:
            The state with the same values.

        Source:
            Specification 3.8 (`hte_backbone_grad`); reinforcement learning keeps the stop.
        """
        opened_MX = self.hte.state(
            state.readout_MD, state.intent.intent_MD, state.intent.refined_MD, gradient_share
        )
        return state._replace(value_state_MX=opened_MX)

    def path_logits(self, state: ReadoutState, paths_MJL: Tensor) -> tuple[Tensor, ...]:
        """Score the codes of every level along given paths, one path per readout and head.

        Args:
            state: From `read`.
            paths_MJL: [M, J, L] int64, target paths; any code in range where there is no target.

        Returns:
            L tensors; tensor l is [M, J, V_l] float, raw logits given the codes before level l.

        Raises:
            ShapeError: If the paths have another shape.
        """
        rows, heads = len(state.row_batch_M), self.config.num_heads
        check_shape("paths_MJL", paths_MJL, (rows, heads, self.num_levels))
        head_J = torch.arange(heads, device=paths_MJL.device)
        row_M = torch.arange(rows, device=paths_MJL.device)
        logits = self.candidate_logits(
            state, row_M.repeat_interleave(heads), head_J.repeat(rows), paths_MJL.flatten(0, 1)
        )
        return tuple(level_NV.view(rows, heads, -1) for level_NV in logits)

    def candidate_logits(
        self, state: ReadoutState, rows_N: Tensor, heads_N: Tensor, paths_NL: Tensor
    ) -> tuple[Tensor, ...]:
        """Score the codes of every level along any paths.

        Args:
            state: From `read`.
            rows_N: [N] int64, readout of each path.
            heads_N: [N] int64, head that generates it.
            paths_NL: [N, L] int64.

        Returns:
            L tensors; tensor l is [N, V_l] float, equal to `child_logits` of the first l codes.

        Raises:
            ShapeError: If the arguments differ in N or the paths are not L long.
        """
        _check_rows(rows_N, heads_N, paths_NL)
        check_shape("paths_NL", paths_NL, (None, self.num_levels))
        hidden = self.ptd.generate.hidden(
            state.intent.start, rows_N, heads_N, paths_NL[:, :-1], self.codes
        )
        return tuple(
            self._logits(state, hidden_ND, rows_N, heads_N, paths_NL[:, :level])
            for level, hidden_ND in enumerate(hidden)
        )

    def denoising_loss(self, state: ReadoutState, paths_ML: Tensor) -> Tensor:
        """Teach the refining diffusion what users were shown next.

        The targets enter this loss only; what `read` returned does not depend on them.

        Args:
            state: From `read`.
            paths_ML: [M, L] int64, path of the target of each readout.

        Returns:
            Scalar; 0 without diffusion.

        Raises:
            ShapeError: If the paths have another shape.

        Source:
            Specification 3.6.2 (L_diff).
        """
        check_shape("paths_ML", paths_ML, (len(state.row_batch_M), self.num_levels))
        if not isinstance(self.ptd.refine, DiffusionRefining):
            return state.readout_MD.new_zeros(())
        intent, target_MD = state.intent, self.codes(paths_ML)
        return self.ptd.refine.loss(intent.thought_MKD, intent.intent_MD, target_MD)

    def draw_new_noise(self, version: int) -> None:
        """Let the refining diffusion start from other noise at every request.

        Policies that are compared path by path, as in importance ratios, must share a version.

        Args:
            version: 0 <= version < 2**63; without diffusion it has no effect.
        """
        if isinstance(self.ptd.refine, DiffusionRefining):
            self.ptd.refine.noise_version.fill_(version)

    def begin(self, state: ReadoutState, rows_N: Tensor, heads_N: Tensor) -> PathPrefixes:
        """Start code paths.

        Args:
            state: From `read`.
            rows_N: [N] int64, readout of each path.
            heads_N: [N] int64, head that generates it.

        Returns:
            Empty prefixes.

        Raises:
            ShapeError: If the arguments differ in N.
        """
        check_shape("heads_N", heads_N, tuple(rows_N.shape))
        decoded = self.ptd.generate.begin(state.intent.start, rows_N, heads_N)
        return PathPrefixes(state, heads_N, heads_N.new_zeros((len(heads_N), 0)), decoded)

    def extend(self, prefixes: PathPrefixes, parents_N: Tensor, codes_N: Tensor) -> PathPrefixes:
        """Choose the next code of prefixes; only that code is computed.

        Args:
            prefixes: M prefixes of P < L - 1 codes.
            parents_N: [N] int64, prefix that each code extends.
            codes_N: [N] int64, codes of level P.

        Returns:
            N prefixes of P + 1 codes.

        Raises:
            ShapeError: If the arguments differ in N or the path would be complete.
        """
        check_shape("codes_N", codes_N, tuple(parents_N.shape))
        past_NP = prefixes.codes_NP.index_select(0, parents_N)
        codes_NP = torch.cat([past_NP, codes_N[:, None]], dim=1)
        self._check_length(codes_NP, self.num_levels - 1)
        start = prefixes.state.intent.start
        decoded = self.ptd.generate.extend(start, prefixes.decoded, parents_N, codes_N, self.codes)
        heads_N = prefixes.heads_N.index_select(0, parents_N)
        return PathPrefixes(prefixes.state, heads_N, codes_NP, decoded)

    def join(self, parts: list[PathPrefixes]) -> PathPrefixes:
        """Put prefixes of one length together.

        Args:
            parts: Prefixes of the same state.

        Returns:
            All of them, in order.
        """
        states, heads, codes, decoded = zip(*parts, strict=True)
        joined = self.ptd.generate.join(list(decoded))
        return PathPrefixes(states[0], torch.cat(heads), torch.cat(codes), joined)

    def child_logits(self, prefixes: PathPrefixes) -> Tensor:
        """Score the next code after prefixes.

        Args:
            prefixes: N prefixes of P codes.

        Returns:
            [N, V of level P] float, raw logits.
        """
        state, heads_N, codes_NP, decoded = prefixes
        return self._logits(state, decoded.hidden_ND, decoded.row_N, heads_N, codes_NP)

    def prefix_values(self, state: ReadoutState, rows_N: Tensor, codes_NP: Tensor) -> Tensor:
        """Value of states after P codes, the critic V of reinforcement learning.

        Args:
            state: From `read`.
            rows_N: [N] int64, readout of each prefix.
            codes_NP: [N, P] int64, its codes, 0 <= P < L; after a complete path V is 0 by
                definition.

        Returns:
            [N] float: (final_value - value_mean) / value_std, predicted. No gradient reaches HSD
            or PTD.

        Raises:
            ShapeError: If the arguments differ in N or the prefix is complete.
        """
        _check_rows(rows_N, rows_N, codes_NP)
        self._check_length(codes_NP, self.num_levels - 1)
        return self.hte.prefix_values(state.value_state_MX, rows_N, codes_NP)

    def item_values(
        self, state: ReadoutState, rows_N: Tensor, paths_NL: Tensor, ad_features_NF: Tensor
    ) -> ItemValues:
        """Predict click, conversion and hide of ads.

        Args:
            state: From `read`.
            rows_N: [N] int64, readout of each ad.
            paths_NL: [N, L] int64, code path of the ad.
            ad_features_NF: [N, 5] int64: bid_type, price_bucket, ad_age_bucket, category, brand.

        Returns:
            Probabilities and logits.

        Raises:
            ShapeError: If the arguments differ in N or have another width.
        """
        _check_rows(rows_N, rows_N, paths_NL)
        check_shape("paths_NL", paths_NL, (None, self.num_levels))
        check_shape("ad_features_NF", ad_features_NF, (len(rows_N), 5))
        return self.hte.item_values(state.value_state_MX, rows_N, paths_NL, ad_features_NF)

    def _understand(self, batch: TimelineBatch) -> tuple[Tensor, Routing | None]:
        """Run inputs and HSD: [B, T, D] intent embeddings, and what the router did."""
        groups = group_tokens(batch.kind_BT)
        peers_BT = peers_of(self.config.mask, batch)
        relation = relate(batch.ts_BT, peers_BT, groups, self.config.max_distance)
        embedded_GD = self.inputs(batch, groups, self.codes)
        understood = self.hsd(embedded_GD, groups, relation)
        return understood if isinstance(self.hsd, RecursiveHSD) else (understood, None)

    def _logits(
        self,
        state: ReadoutState,
        hidden_ND: Tensor,
        rows_N: Tensor,
        heads_N: Tensor,
        codes_NP: Tensor,
    ) -> Tensor:
        """Score the next code by the hidden states of prefixes: [N, V]."""
        level = codes_NP.shape[1]
        logits_NV = self.ptd.generate.logits(hidden_ND, heads_N, self.codes.level(level))
        if self.copy is None or state.shown is None:
            return logits_NV
        size = self.codebook_sizes[level]
        return logits_NV + self.copy.bonus(state.shown, rows_N, heads_N, codes_NP, size)

    def _check_length(self, codes_NP: Tensor, longest: int) -> None:
        """Refuse prefixes that are too long."""
        if codes_NP.shape[1] > longest:
            raise ShapeError(
                f"codes_NP has {codes_NP.shape[1]} codes per row, expected at most {longest}",
                where="codes_NP",
                fix="a complete path has no next code and no value",
            )


def _check_rows(rows_N: Tensor, heads_N: Tensor, codes_NP: Tensor) -> None:
    """Check that all arguments describe the same N rows."""
    check_shape("rows_N", rows_N, (len(codes_NP),))
    check_shape("heads_N", heads_N, (len(codes_NP),))
    check_shape("codes_NP", codes_NP, (len(codes_NP), None))
