"""A table in two processes does what `nn.Embedding` does with the batches of both."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gpr_core.models.sharded_embedding import ShardedEmbedding
from gpr_core.support.distributed import joined_processes
from gpr_core.support.errors import ConfigError, ContractError
from tests.gpr_core.support.torchrun import torchrun

ROWS, WIDTH = 11, 3
# Repeated rows, rows of one owner only, rows of the other one only, and a process without work.
LOOKUPS = {
    "mixed": ([[3, 3, 8], [10, 0, 3]], [[7, 3, 2]]),
    "one owner": ([[0, 2, 4]], [[6, 2]]),
    "the other owner": ([[1, 1]], [[9, 3], [5, 1]]),
    "no work": ([[4, 7]], []),
}
OPTIMIZERS = {
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.5),
    "sparse_adam": lambda weights: torch.optim.SparseAdam(weights, lr=0.1),
}


def as_ids(lookup: list[list[int]]) -> Tensor:
    return torch.tensor(lookup, dtype=torch.int64)


def loss_of(found: Tensor) -> Tensor:
    """Some loss that adds up over lookups and is not linear."""
    return (found.square() * torch.arange(1, WIDTH + 1)).sum()


def full_embedding() -> nn.Embedding:
    table_VD = ShardedEmbedding(ROWS, WIDTH, seed=5).full_table()
    return nn.Embedding.from_pretrained(table_VD.clone(), freeze=False, sparse=True)


def test_alone_it_is_an_embedding() -> None:
    sharded, whole = ShardedEmbedding(ROWS, WIDTH, seed=5), full_embedding()
    ids = as_ids(LOOKUPS["mixed"][0])
    for table in (sharded, whole):
        loss_of(table(ids)).backward()
    assert torch.equal(sharded(ids), whole(ids))
    torch.testing.assert_close(sharded.shard_VD.grad.to_dense(), whole.weight.grad.to_dense())


def test_rows_have_about_unit_norm_and_differ_by_seed() -> None:
    table_VD, other_VD = (ShardedEmbedding(500, 32, seed=seed).full_table() for seed in (0, 1))
    assert table_VD.norm(dim=1).mean().item() == pytest.approx(1.0, abs=0.05)
    assert not torch.equal(table_VD, other_VD)


@pytest.mark.parametrize("bad", [-1, ROWS])
def test_a_row_outside_the_table_is_refused(bad: int) -> None:
    with pytest.raises(ContractError, match=f"1 ids are outside 0..10, first {bad}"):
        ShardedEmbedding(ROWS, WIDTH, seed=5)(torch.tensor([0, bad]))


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_rows is 0"):
        ShardedEmbedding(0, WIDTH, seed=5)


def test_two_processes_look_up_learn_and_step_like_one_embedding(tmp_path: Path) -> None:
    done = torchrun(__file__, tmp_path)
    assert done.returncode == 0, done.stderr
    for lookup, both in LOOKUPS.items():
        for optimizer, make in OPTIMIZERS.items():
            whole = full_embedding()
            step = make([whole.weight])
            loss_of(whole(torch.cat([as_ids(one).flatten() for one in both]))).backward()
            gradient_VD = whole.weight.grad.to_dense()
            before = [whole(as_ids(one)).detach() for one in both]
            step.step()
            for rank in (0, 1):
                found = torch.load(tmp_path / f"{lookup}-{optimizer}-{rank}.pt")
                assert torch.equal(found["looked_up"], before[rank])
                torch.testing.assert_close(found["gradient_vD"], gradient_VD[rank::2])
                torch.testing.assert_close(found["table_VD"], whole.weight.detach())
                # Only looked-up rows are in the gradient: this is what makes it cheap.
                owned = {row for one in both for ids in one for row in ids if row % 2 == rank}
                assert found["touched"] == len(owned)


def work_together(folder: Path) -> None:
    """What each of the two processes does."""
    with joined_processes("cpu") as processes:
        for lookup, both in LOOKUPS.items():
            for optimizer, make in OPTIMIZERS.items():
                table = ShardedEmbedding(ROWS, WIDTH, seed=5, processes=processes)
                step = make([table.shard_VD])
                found = table(as_ids(both[processes.rank]))
                loss_of(found).backward()
                gradient = table.shard_VD.grad.coalesce()
                step.step()
                result = {
                    "looked_up": found.detach(),
                    "gradient_vD": gradient.to_dense(),
                    "touched": gradient.indices().shape[1],
                    "table_VD": table.full_table(),
                }
                torch.save(result, folder / f"{lookup}-{optimizer}-{processes.rank}.pt")


if __name__ == "__main__":
    work_together(Path(sys.argv[1]))
