import numpy as np

from gpr_core.data.keyed_sampling import keyed_hash, keyed_normal, keyed_uniform

KEYS = np.arange(200_000)


def test_a_draw_depends_only_on_its_own_keys():
    whole = keyed_uniform(7, "click", KEYS)
    part = keyed_uniform(7, "click", KEYS[1000:1010])
    np.testing.assert_array_equal(whole[1000:1010], part)


def test_seeds_purposes_and_keys_give_different_draws():
    draws = [
        keyed_hash(7, "click", [1], [2]),
        keyed_hash(8, "click", [1], [2]),
        keyed_hash(7, "hide", [1], [2]),
        keyed_hash(7, "click", [2], [1]),
    ]
    assert len({int(draw[0]) for draw in draws}) == 4


def test_keys_broadcast_like_numpy():
    table = keyed_uniform(7, "click", KEYS[:3, None], KEYS[:2])
    assert table.shape == (3, 2)
    assert table[2, 1] == keyed_uniform(7, "click", 2, 1)


def test_uniforms_are_uniform():
    draws = keyed_uniform(7, "click", KEYS)
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    # 10,000 per bin, standard deviation 97: five of them are allowed.
    assert np.abs(counts - 10_000).max() < 490
    assert draws.min() > 0
    assert draws.max() < 1


def test_two_purposes_are_uncorrelated():
    first, second = keyed_uniform(7, "click", KEYS), keyed_uniform(7, "hide", KEYS)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(len(KEYS))


def test_neighboring_keys_are_uncorrelated():
    draws = keyed_uniform(7, "click", KEYS)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 5 / np.sqrt(len(KEYS))


def test_normals_are_standard():
    draws = keyed_normal(7, "noise", KEYS)
    assert abs(draws.mean()) < 5 / np.sqrt(len(KEYS))
    assert abs(draws.std() - 1) < 5 / np.sqrt(2 * len(KEYS))


def test_large_unsigned_keys_are_accepted():
    keys = np.array([2**63 + 5, 2**64 - 1], dtype=np.uint64)
    assert len(np.unique(keyed_hash(7, "click", keys))) == 2
