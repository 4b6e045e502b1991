"""Batches of training windows, in an order that depends on (seed, stage, epoch) only.

Windows go through time in blocks of days and are shuffled inside a block; batches hold windows of
similar length, so that little is padded. Letters: B users, T tokens, R readouts, M flat rows (valid
readouts in (b, r) order), J heads, L levels, V codes, F fields, W windows, X decisions.

Source: specification, appendix C (chronological blocks) and 1.4 rule 8 (keyed draws).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.data.tables import DAY_MS, TokenKind
from gpr_core.features.batch import TimelineBatch
from gpr_core.training.config import OptimizerConfig, SequenceConfig
from gpr_core.training.examples import Examples
from gpr_core.training.totals import Totals, count_totals

Ints = npt.NDArray[np.int64]

_LENGTH_STEP = 16


class TrainBatch(NamedTuple):
    """One batch with everything the losses need.

    Attributes:
        timeline: B sequences.
        ts_M: [M] int64 epoch ms of each request.
        path_MJL: [M, J, L] int64 target codes, 0 where there is no target.
        ok_MJ: [M, J] bool, whether the head has a target.
        legal: L tensors [M, J, V_l] bool, legal codes along the target path.
        omega_MJ: [M, J] float32, value weight of the target's exposure, 0 without target.
        ad_feature_MF: [M, 5] int64, features of the exposed ad.
        label_M3: [M, 3] float32, click, conversion, hide of the exposed ad.
        is_mature_M3: [M, 3] bool, which labels count.
        value_M: [M] float32, final value of the exposed ad, not standardized.
    """

    timeline: TimelineBatch
    ts_M: Tensor
    path_MJL: Tensor
    ok_MJ: Tensor
    legal: tuple[Tensor, ...]
    omega_MJ: Tensor
    ad_feature_MF: Tensor
    label_M3: Tensor
    is_mature_M3: Tensor
    value_M: Tensor

    def totals(self) -> Totals:
        """Count what the losses are divided by if this batch is a whole update.

        Returns:
            The counts.
        """
        tokens = int((self.timeline.kind_BT != TokenKind.PAD).sum())
        return count_totals(self.ok_MJ, self.omega_MJ, self.is_mature_M3, tokens=tokens)


class BatchSource:
    """Cuts the batch of any update, in any order, so that a resumed run sees the same batches.

    Args:
        examples: Where batches are cut from.
        sequence: Readouts per window.
        optimizer: Batch size and blocks.
        seed: Run seed.
        stage: Name of the training, part of every draw.
        epochs: Passes over the windows.
        device: Where the tensors go.
        num_shares: Parts of about equal size that the windows of an update are cut into.
    """

    def __init__(
        self,
        examples: Examples,
        sequence: SequenceConfig,
        optimizer: OptimizerConfig,
        *,
        seed: int,
        stage: str,
        epochs: int,
        device: str = "cpu",
        num_shares: int = 1,
    ) -> None:
        self.num_shares = num_shares
        self._examples = examples
        self._sequence = sequence
        self._optimizer = optimizer
        self._seed = seed
        self._stage = stage
        self._device = device
        self._epoch = -1
        self._ids: list[Ints] = []
        self._readout_WR = np.zeros((0, 0), dtype=np.int64)
        self._plan(0)
        self.num_updates = len(self._ids) * epochs

    def at(self, update: int) -> TrainBatch:
        """Cut the batch of one update.

        Args:
            update: 0-based update.

        Returns:
            The batch.
        """
        return self._cut(self._windows_of(update))

    def share(self, update: int, share: int) -> TrainBatch | None:
        """Cut one share of the batch of an update.

        Args:
            update: 0-based update.
            share: Number of the share, below `num_shares`.

        Returns:
            The share; None if the update has too few windows for it.
        """
        ids_B = np.array_split(self._windows_of(update), self.num_shares)[share]
        return self._cut(ids_B) if ids_B.size else None

    def totals(self, update: int) -> Totals:
        """Count what the losses of an update are divided by, without cutting its batch.

        Args:
            update: 0-based update.

        Returns:
            What `at(update).totals()` gives.
        """
        examples, ids_B = self._examples, self._windows_of(update)
        row_M = _rows_at(examples, self._readout_WR[ids_B])
        target_MJ = examples.target_XJ[row_M]
        ok_MJ = target_MJ >= 0
        return count_totals(
            torch.from_numpy(ok_MJ).to(self._device),
            torch.from_numpy(examples.omega_X[target_MJ] * ok_MJ).to(self._device),
            torch.from_numpy(examples.is_mature_X3[row_M]).to(self._device),
            tokens=int(examples.windows.lengths()[ids_B].sum()),
        )

    def _windows_of(self, update: int) -> Ints:
        """Give the windows of an update, [B] int64."""
        epoch, idx = divmod(update, len(self._ids))
        self._plan(epoch)
        return self._ids[idx]

    def _cut(self, ids_B: Ints) -> TrainBatch:
        """Assemble the batch of windows."""
        return cut_batch(self._examples, ids_B, self._readout_WR[ids_B], device=self._device)

    def _plan(self, epoch: int) -> None:
        """Order the windows of an epoch and draw its readouts."""
        if epoch == self._epoch:
            return
        self._epoch = epoch
        self._ids = self._order(epoch)
        self._readout_WR = self._draw_readouts(epoch)

    def _order(self, epoch: int) -> list[Ints]:
        """Cut the windows of an epoch into batches."""
        examples, windows = self._examples, self._examples.windows
        last_row_W = examples.loss_row_M[windows.loss_end_W - 1]
        key_W = examples.context.request_key[last_row_W]
        block_W = examples.context.ts[last_row_W] // (self._optimizer.block_days * DAY_MS)
        draw_W = keyed_uniform(self._seed, f"{self._stage} windows", epoch, key_W)
        length_W = windows.lengths() // _LENGTH_STEP
        order = np.lexsort((draw_W, length_W, block_W))
        cuts = np.flatnonzero(np.diff(block_W[order])) + 1
        batches: list[Ints] = []
        for block, members in enumerate(np.split(order, cuts)):
            parts = np.array_split(members, -(-members.size // self._optimizer.batch_windows))
            draws = keyed_uniform(
                self._seed, f"{self._stage} batches", epoch, block, np.arange(len(parts))
            )
            batches.extend(parts[part] for part in np.argsort(draws, kind="stable"))
        return batches

    def _draw_readouts(self, epoch: int) -> Ints:
        """Draw at most R loss positions of every window; [W, R], ascending, -1 for none."""
        windows, most = self._examples.windows, self._sequence.max_readouts
        num_windows = windows.begin_W.size
        window_M = np.repeat(np.arange(num_windows), windows.loss_end_W - windows.loss_begin_W)
        key_M = self._examples.context.request_key[self._examples.loss_row_M]
        draw_M = keyed_uniform(self._seed, f"{self._stage} readouts", epoch, key_M)
        place_M = np.empty(window_M.size, dtype=np.int64)
        place_M[np.lexsort((draw_M, window_M))] = (
            np.arange(window_M.size) - windows.loss_begin_W[window_M]
        )
        kept = np.flatnonzero(place_M < most)
        kept_per_W = np.bincount(window_M[kept], minlength=num_windows)
        slot = np.arange(kept.size) - (np.cumsum(kept_per_W) - kept_per_W)[window_M[kept]]
        readout_WR = np.full((num_windows, int(kept_per_W.max())), -1, dtype=np.int64)
        readout_WR[window_M[kept], slot] = windows.loss_M[kept]
        return readout_WR


def cut_batch(
    examples: Examples, ids_B: Ints, readout_BR: Ints, *, device: str = "cpu"
) -> TrainBatch:
    """Assemble the batch of given windows and readouts.

    Args:
        examples: Where it is cut from.
        ids_B: [B] int64 windows.
        readout_BR: [B, R] int64, flat positions of the loss positions to read, -1 for none.
        device: Where the tensors go.

    Returns:
        The batch.

    Raises:
        LegalityError: If a target leads to no ad that is active at its request.
    """
    row_M = _rows_at(examples, readout_BR)
    timeline = examples.store.window_batch(examples.windows, ids_B, readout_BR)
    return with_targets(examples, timeline, row_M, device=device)


def with_targets(
    examples: Examples, timeline: TimelineBatch, row_M: Ints, *, device: str = "cpu"
) -> TrainBatch:
    """Add the targets and labels of some decisions to the sequences that read them.

    Args:
        examples: Targets and labels.
        timeline: Sequences whose valid readouts, in (b, r) order, belong to `row_M`.
        row_M: [M] int64 decisions.
        device: Where the tensors go.

    Returns:
        The batch.

    Raises:
        LegalityError: If a target leads to no ad that is active at its request.
    """
    target_MJ = examples.target_XJ[row_M]
    ok_MJ = target_MJ >= 0
    codes_MJL = examples.path_XL[target_MJ] * ok_MJ[..., None]
    path_MJL = torch.from_numpy(codes_MJL.astype(np.int64))
    ts_M = torch.from_numpy(examples.context.ts[row_M])
    legal = examples.legality.legal_codes(
        path_MJL.flatten(0, 1),
        torch.from_numpy(ok_MJ).flatten(),
        ts_M.repeat_interleave(ok_MJ.shape[1]),
    )
    return TrainBatch(
        timeline=TimelineBatch(*(part.to(device) for part in timeline)),
        ts_M=ts_M.to(device),
        path_MJL=path_MJL.to(device),
        ok_MJ=torch.from_numpy(ok_MJ).to(device),
        legal=tuple(mask.view(*ok_MJ.shape, -1).to(device) for mask in legal),
        omega_MJ=torch.from_numpy(examples.omega_X[target_MJ] * ok_MJ).to(device),
        ad_feature_MF=torch.from_numpy(examples.ad_feature_XF[row_M]).to(device),
        label_M3=torch.from_numpy(examples.label_X3[row_M]).to(device),
        is_mature_M3=torch.from_numpy(examples.is_mature_X3[row_M]).to(device),
        value_M=torch.from_numpy(examples.value_X[row_M]).to(device),
    )


def _rows_at(examples: Examples, readout_BR: Ints) -> Ints:
    """Find the decisions of the valid readouts, in (b, r) order."""
    position_M = readout_BR[readout_BR >= 0]
    return examples.loss_row_M[np.searchsorted(examples.windows.loss_M, position_M)]
