import numpy as np

from gpr_core.generation.gumbel import gumbel_noise, perturb_children


def test_noise_is_keyed_and_not_positional():
    head, node = np.array([0, 0, 1]), np.array([4, 5, 4])
    whole = gumbel_noise(7, np.array([1, 2, 1]), head, node)
    alone = gumbel_noise(7, np.array([2]), head[1:2], node[1:2])
    assert np.array_equal(whole[1:2], alone)
    assert len(set(whole.tolist())) == 3


def test_noise_is_standard_gumbel():
    keys = np.arange(20_000)
    zeros = np.zeros(20_000, dtype=np.int64)
    noise = gumbel_noise(0, keys, zeros, zeros)
    # Mean is the Euler constant, variance pi^2 / 6; standard errors are 0.009 and 0.03.
    np.testing.assert_allclose([noise.mean(), noise.var()], [0.5772, 1.6449], atol=0.08)


def test_best_child_inherits_the_number_of_its_parent():
    parent = np.array([1.5, -2.0])
    beam = np.array([0, 0, 1, 1, 1])
    logp = np.array([-0.1, -2.3, -0.7, -1.1, -1.8])
    noise = np.array([0.3, 3.0, 0.2, 0.1, 2.0])
    draw = perturb_children(parent, beam, logp, noise)
    # logp + noise is (0.2, 0.7 | -0.5, -1.0, 0.2): the best are the second and the last.
    np.testing.assert_allclose(draw[[1, 4]], parent)
    assert bool((draw[[0, 2, 3]] < parent[beam[[0, 2, 3]]]).all())


def test_only_child_equals_its_parent():
    draw = perturb_children(
        np.array([0.25]),
        np.array([0]),
        np.array([-4.0]),
        np.array([1.0]),
    )
    assert draw.tolist() == [0.25]
