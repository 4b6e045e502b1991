"""Sampling without replacement on the trie: stochastic beams with keyed Gumbel noise.

Letters: M flat beams, C flat children.
"""

import numpy as np
import numpy.typing as npt

from gpr_core.data.keyed_sampling import keyed_uniform

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def gumbel_noise(seed: int, request_key_C: Ints, head_C: Ints, node_C: Ints) -> Floats:
    """Draw standard Gumbel numbers keyed by request, head and node.

    Args:
        seed: Seed of the rollout.
        request_key_C: [C] int64.
        head_C: [C] int64.
        node_C: [C] int64 trie nodes.

    Returns:
        [C] float64; the same keys give the same number in any batch.
    """
    uniform_C = keyed_uniform(seed, "stochastic beam", request_key_C, head_C, node_C)
    return np.asarray(-np.log(-np.log(uniform_C)))


def perturb_children(
    parent_draw_M: Floats, beam_C: Ints, logp_C: Floats, noise_C: Floats
) -> Floats:
    """Perturb children so that the largest of each parent equals the parent's number.

    With that condition, and heads as the first choice, the top k leaves are k samples without
    replacement from the policy, although only a beam of the tree is ever visited.

    Args:
        parent_draw_M: [M] float64, perturbed log-probability of each beam.
        beam_C: [C] int64, parent of each child, ascending; every beam has a child.
        logp_C: [C] float64, log-probability of the whole extended prefix.
        noise_C: [C] float64 standard Gumbel numbers.

    Returns:
        [C] float64 perturbed log-probabilities.

    Source:
        Kool, van Hoof and Welling, "Stochastic beams and where to find them", 2019.
    """
    free_C = logp_C + noise_C
    first_M = np.flatnonzero(np.append(True, beam_C[1:] != beam_C[:-1]))
    top_C = np.maximum.reduceat(free_C, first_M)[beam_C]
    parent_C = parent_draw_M[beam_C]
    # The largest child has log(0): it keeps exactly the number of its parent.
    with np.errstate(divide="ignore"):
        shift_C = parent_C - free_C + np.log(-np.expm1(free_C - top_C))
    smoothed_C = np.log1p(np.exp(-np.abs(shift_C)))
    return np.asarray(parent_C - np.maximum(shift_C, 0.0) - smoothed_C)
