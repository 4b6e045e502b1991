"""Sampling without replacement on the trie: stochastic beams with keyed Gumbel noise.

Letters: M flat beams, C flat children.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.data.keyed_sampling import keyed_uniform


def gumbel_noise(
    seed: int, request_key_C: npt.NDArray[np.int64], head_C: Tensor, node_C: Tensor
) -> Tensor:
    """Draw standard Gumbel numbers keyed by request, head and node.

    Args:
        seed: Seed of the rollout.
        request_key_C: [C] int64.
        head_C: [C] int64.
        node_C: [C] int64 trie nodes.

    Returns:
        [C] float64; the same keys give the same number in any batch.
    """
    uniform = keyed_uniform(
        seed, "stochastic beam", request_key_C, head_C.cpu().numpy(), node_C.cpu().numpy()
    )
    return torch.from_numpy(-np.log(-np.log(uniform))).to(node_C.device)


def perturb_children(
    parent_draw_M: Tensor, beam_C: Tensor, logp_C: Tensor, noise_C: Tensor
) -> Tensor:
    """Perturb children so that the largest of each parent equals the parent's number.

    With that condition, and heads as the first choice, the top k leaves are k samples without
    replacement from the policy, although only a beam of the tree is ever visited.

    Args:
        parent_draw_M: [M] float64, perturbed log-probability of each beam.
        beam_C: [C] int64, parent of each child.
        logp_C: [C] float64, log-probability of the whole extended prefix.
        noise_C: [C] float64 standard Gumbel numbers.

    Returns:
        [C] float64 perturbed log-probabilities.

    Source:
        Kool, van Hoof and Welling, "Stochastic beams and where to find them", 2019.
    """
    free_C = logp_C + noise_C
    top_M = torch.full_like(parent_draw_M, float("-inf"))
    top_C = top_M.scatter_reduce(0, beam_C, free_C, "amax")[beam_C]
    parent_C = parent_draw_M[beam_C]
    shift_C = parent_C - free_C + torch.log(-torch.expm1(free_C - top_C))
    return parent_C - shift_C.clamp(min=0.0) - torch.log1p(torch.exp(-shift_C.abs()))
