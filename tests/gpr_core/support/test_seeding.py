"""Named streams: equal names give equal draws, other names independent ones."""

import numpy as np
import torch

from gpr_core.support.seeding import derive_seed, numpy_stream, seed_global_torch, torch_stream


def test_equal_names_give_equal_draws():
    assert np.array_equal(numpy_stream(1, "a", 2).random(5), numpy_stream(1, "a", 2).random(5))
    first = torch.rand(5, generator=torch_stream(1, "a"))
    assert torch.equal(first, torch.rand(5, generator=torch_stream(1, "a")))


def test_other_seeds_and_names_give_other_draws():
    seeds = {derive_seed(1, "a"), derive_seed(2, "a"), derive_seed(1, "b"), derive_seed(1, "a", 0)}
    assert len(seeds) == 4


def test_names_are_separated():
    assert derive_seed(1, "ab", "c") != derive_seed(1, "a", "bc")


def test_the_global_stream_can_be_set_by_name():
    seed_global_torch(3, "init")
    first = torch.rand(3)
    seed_global_torch(3, "init")
    assert torch.equal(first, torch.rand(3))
