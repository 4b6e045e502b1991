import torch

from gpr_core.support.bits import _count_in_parallel, count_bits


def test_both_ways_count_the_bits_of_any_number():
    edges = torch.tensor([0, 1, -1, 2**63 - 1, -(2**63)])
    words = torch.cat([edges, torch.randint(-(2**63), 2**63 - 1, (1000,))])
    expected = [bin(word & (2**64 - 1)).count("1") for word in words.tolist()]
    assert count_bits(words).tolist() == expected
    assert _count_in_parallel(words).tolist() == expected
