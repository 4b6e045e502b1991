import numpy as np
import pytest
import torch

from gpr_core.data.tables import DAY_MS, TokenKind
from gpr_core.training.batches import BatchSource
from gpr_core.training.config import OptimizerConfig, SequenceConfig
from gpr_core.training.examples import Examples, build_examples
from tests.gpr_core.training.small_corpus import CODEBOOK_SIZES, CUTOFF_TS, make_small_corpus

SEQUENCE = SequenceConfig(max_tokens=32, new_tokens=16, max_readouts=3)
OPTIMIZER = OptimizerConfig(batch_windows=8, block_days=4)


def make_examples() -> Examples:
    corpus = make_small_corpus()
    return build_examples(
        corpus.tables, corpus.catalog, SEQUENCE, num_heads=3, cutoff_ts=CUTOFF_TS, seed=0
    )


def make_source(examples: Examples, *, seed: int = 0, epochs: int = 2) -> BatchSource:
    return BatchSource(examples, SEQUENCE, OPTIMIZER, seed=seed, stage="test", epochs=epochs)


def keys(batch) -> list[int]:
    found = batch.timeline.request_key_BR
    return found[found > 0].tolist()


def test_every_window_is_read_once_an_epoch_with_at_most_r_readouts() -> None:
    examples = make_examples()
    source = make_source(examples)
    per_epoch = source.num_updates // 2
    for epoch in range(2):
        batches = [source.at(epoch * per_epoch + idx) for idx in range(per_epoch)]
        assert sum(len(batch.timeline.user_key_B) for batch in batches) == 72
        readouts = torch.cat([(batch.timeline.readout_BR >= 0).sum(1) for batch in batches])
        windows = examples.windows
        expected = np.minimum(windows.loss_end_W - windows.loss_begin_W, 3)
        assert sorted(readouts.tolist()) == sorted(expected.tolist())
        seen = [key for batch in batches for key in keys(batch)]
        assert len(seen) == len(set(seen))


def test_epochs_draw_other_requests_and_another_order() -> None:
    source = make_source(make_examples())
    per_epoch = source.num_updates // 2
    first = [keys(source.at(idx)) for idx in range(per_epoch)]
    second = [keys(source.at(per_epoch + idx)) for idx in range(per_epoch)]
    assert {key for part in first for key in part} != {key for part in second for key in part}
    assert first != second


def test_a_batch_depends_on_seed_and_update_only() -> None:
    examples = make_examples()
    forward, jumped = make_source(examples), make_source(examples)
    last = forward.num_updates - 1
    for update in range(last):
        forward.at(update)
    for one, two in zip(forward.at(last).timeline, jumped.at(last).timeline, strict=True):
        assert torch.equal(one, two)
    assert keys(make_source(examples, seed=1).at(0)) != keys(forward.at(0))


def days_of_windows(examples: Examples, block_days: int) -> set[int]:
    """Blocks of days in which windows end; several if the test is to say anything."""
    last_row_W = examples.loss_row_M[examples.windows.loss_end_W - 1]
    blocks = set((examples.context.ts[last_row_W] // (block_days * DAY_MS)).tolist())
    assert len(blocks) >= 3
    return blocks


@pytest.mark.parametrize("block_days", [1, 4])
@pytest.mark.parametrize("epochs", [1, 2])
def test_batches_go_through_time_in_blocks(block_days: int, epochs: int) -> None:
    examples = make_examples()
    optimizer = OptimizerConfig(batch_windows=8, block_days=block_days)
    source = BatchSource(examples, SEQUENCE, optimizer, seed=0, stage="test", epochs=epochs)
    blocks = []
    for update in range(source.num_updates):
        batch = source.at(update)
        last_ts_B = torch.where(
            batch.timeline.kind_BT == TokenKind.PAD, 0, batch.timeline.ts_BT
        ).amax(1)
        blocks.append((last_ts_B // (block_days * DAY_MS)).unique().tolist())
    assert all(len(block) == 1 for block in blocks)
    per_epoch = source.num_updates // epochs
    for epoch in range(epochs):
        seen = blocks[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert seen == sorted(seen)
        assert {block for [block] in seen} == days_of_windows(examples, block_days)


def test_the_shares_of_an_update_are_its_windows_in_order() -> None:
    examples = make_examples()
    optimizer = OptimizerConfig(batch_windows=8)
    source = BatchSource(
        examples, SEQUENCE, optimizer, seed=0, stage="test", epochs=1, num_shares=3
    )
    for update in range(source.num_updates):
        shares = [source.share(update, share) for share in range(3)]
        users = [share.timeline.user_key_B for share in shares]
        assert max(map(len, users)) - min(map(len, users)) <= 1
        whole = source.at(update)
        assert torch.equal(torch.cat(users), whole.timeline.user_key_B)
        assert torch.equal(torch.cat([share.ts_M for share in shares]), whole.ts_M)


def test_an_update_with_fewer_windows_than_shares_has_empty_shares() -> None:
    source = BatchSource(
        make_examples(), SEQUENCE, OptimizerConfig(), seed=0, stage="test", epochs=1, num_shares=99
    )
    shares = [source.share(0, share) for share in range(99)]
    windows = sum(len(share.timeline.user_key_B) for share in shares if share is not None)
    assert windows == len(source.at(0).timeline.user_key_B)
    assert shares[-1] is None


def test_targets_labels_and_legal_sets_belong_to_the_readouts() -> None:
    examples = make_examples()
    batch = make_source(examples).at(0)
    row_of_key = {int(key): row for row, key in enumerate(examples.context.request_key)}
    rows = np.array([row_of_key[key] for key in keys(batch)])
    assert batch.ts_M.tolist() == examples.context.ts[rows].tolist()
    assert batch.value_M.tolist() == examples.value_X[rows].tolist()
    assert batch.label_M3.tolist() == examples.label_X3[rows].tolist()
    target_MJ = examples.target_XJ[rows]
    assert batch.ok_MJ.tolist() == (target_MJ >= 0).tolist()
    for head in range(3):
        has_target = target_MJ[:, head] >= 0
        found = batch.path_MJL[torch.from_numpy(has_target), head]
        assert found.tolist() == examples.path_XL[target_MJ[has_target, head]].tolist()
        omega = batch.omega_MJ[torch.from_numpy(has_target), head]
        assert omega.tolist() == examples.omega_X[target_MJ[has_target, head]].tolist()
        assert (batch.omega_MJ[torch.from_numpy(~has_target), head] == 0).all()
    assert [tuple(mask.shape[1:]) for mask in batch.legal] == [(3, size) for size in CODEBOOK_SIZES]
