"""Encoder, codebooks and decoder of the quantizers that are trained by gradients.

The losses are those of RQ-VAE. Codes come from the search that also encodes, so that training sees
the codes that items will get, and the gradient passes straight through it.

Letters: M items, L levels, V codes, D width of item vectors, E width of the latent space. Of one
layer: D inputs, H outputs.

Source: specification 2.1 (TIGER for the losses).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gpr_core.tokenizer.residual import Floats, residual_codes


class Losses(NamedTuple):
    """Weighted means over a batch, of squared norms.

    Attributes:
        total: [] float32, reconstruction + codebook + commit_weight * commit.
        reconstruction: [] float32, |x - decoder(z_hat)|^2.
        codebook: [] float32, |residual - center|^2 summed over levels; moves the centers.
        commit: [] float32, the same number; moves the encoder.
    """

    total: Tensor
    reconstruction: Tensor
    codebook: Tensor
    commit: Tensor


class Mlp(nn.Module):
    """Layers with ReLU between them, optionally added to their input.

    With the residual connection the last layer starts at zero and the whole as the identity.

    Args:
        widths: Width of the input and of the output of each layer.
        is_residual: Whether to add the input; its width is that of the output then.
        generator: Draws the weights.
    """

    def __init__(
        self, widths: Sequence[int], *, is_residual: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        weights = [
            # The customary start: uniform, as wide as one over the root of the inputs.
            (torch.rand((outputs, inputs), generator=generator) * 2 - 1) * inputs**-0.5
            for inputs, outputs in pairwise(widths)
        ]
        if is_residual:
            weights[-1] = torch.zeros_like(weights[-1])
        self.is_residual = is_residual
        self.weights = nn.ParameterList([nn.Parameter(weight_HD) for weight_HD in weights])
        self.biases = nn.ParameterList(
            [nn.Parameter(torch.zeros(len(weight_HD))) for weight_HD in weights]
        )

    def forward(self, x_MD: Tensor) -> Tensor:
        """Apply all layers.

        Args:
            x_MD: [M, D] float32.

        Returns:
            [M, last width] float32.
        """
        hidden_MD = x_MD
        for layer, (weight_HD, bias_H) in enumerate(zip(self.weights, self.biases, strict=True)):
            inputs_MD = functional.relu(hidden_MD) if layer else hidden_MD
            hidden_MD = functional.linear(inputs_MD, weight_HD, bias_H)
        return x_MD + hidden_MD if self.is_residual else hidden_MD


class VqNetwork(nn.Module):
    """Encoder, one codebook per level, decoder.

    Args:
        encoder: From item vectors to the latent space.
        codebooks: [V_l, E] float32 centers of each level, which training moves.
        decoder: From the latent space to item vectors.
    """

    def __init__(self, encoder: Mlp, codebooks: Sequence[Floats], decoder: Mlp) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.codebooks = nn.ParameterList(
            [nn.Parameter(torch.from_numpy(centers_VE.copy())) for centers_VE in codebooks]
        )

    def losses(self, x_MD: Tensor, weight_M: Tensor, commit_weight: float) -> Losses:
        """Compute the losses of a batch.

        Args:
            x_MD: [M, D] float32 item vectors, M >= 1.
            weight_M: [M] float32 > 0.
            commit_weight: Weight of the commitment loss, beta.

        Returns:
            The losses; `total` is what training lowers.

        Source:
            Specification 2.1.
        """
        z_ME = self.encoder(x_MD)
        code_ML = torch.from_numpy(residual_codes(z_ME.detach().numpy(), self.centers())).long()
        share_M = weight_M / weight_M.sum()
        hat_ME, codebook, commit = _Quantize.apply(z_ME, code_ML, share_M, *self.codebooks)  # type: ignore[no-untyped-call]
        rebuilt_MD = self.decoder(hat_ME)
        reconstruction = share_M @ (x_MD - rebuilt_MD).square().sum(1)
        total = reconstruction + codebook + commit_weight * commit
        return Losses(total, reconstruction, codebook, commit)

    def centers(self) -> tuple[Floats, ...]:
        """Show the current codebooks.

        Returns:
            [V_l, E] float32 of each level, sharing memory with the parameters.
        """
        return tuple(centers_VE.detach().numpy() for centers_VE in self.codebooks)

    def tensors(self) -> dict[str, Floats]:
        """Copy the weights of encoder and decoder.

        Returns:
            Tensors named as in `tensor_names`.
        """
        return {
            name: parameter.detach().numpy().copy()
            for part, mlp in (("encoder", self.encoder), ("decoder", self.decoder))
            for layer, pair in enumerate(zip(mlp.weights, mlp.biases, strict=True))
            for name, parameter in zip(_layer_names(part, layer), pair, strict=True)
        }


class _Quantize(torch.autograd.Function):
    """Sum of the chosen centers, and the weighted errors that the levels leave.

    Written out because its gradient is short: with r_l the residual after level l, both losses are
    sum_l |r_l|^2; the codebook loss moves the center of level l by -2 r_l, the commitment loss z by
    2 sum_l r_l, and the gradient of the sum passes straight through to z. Autograd would keep and
    run through four times as many tensors.
    """

    @staticmethod
    def forward(
        ctx: Any, z_ME: Tensor, code_ML: Tensor, share_M: Tensor, *codebooks: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns sums [M, E], codebook loss [] and commitment loss []; the two are equal."""
        left_ME, pulls = z_ME, []
        error = z_ME.new_zeros(())
        for code_M, centers_VE in zip(code_ML.unbind(1), codebooks, strict=True):
            left_ME = left_ME - centers_VE.index_select(0, code_M)
            pulls.append(left_ME * share_M[:, None])
            error += (left_ME * pulls[-1]).sum()
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(code_ML, *pulls)
        ctx.sizes = [len(centers_VE) for centers_VE in codebooks]
        return z_ME - left_ME, error, error.clone()

    @staticmethod
    def backward(
        ctx: Any, grad_ME: Tensor | None, of_codebook: Tensor | None, of_commit: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Returns the gradients of z and of each codebook."""
        code_ML, *pulls = ctx.saved_tensors
        if of_commit is not None:
            commit_ME = sum(pulls[1:], pulls[0]) * (2 * of_commit)
            grad_ME = commit_ME if grad_ME is None else grad_ME + commit_ME
        if of_codebook is None:
            return (grad_ME, None, None, *([None] * len(pulls)))
        of_centers = [
            pull_ME.new_zeros(size, pull_ME.shape[1]).index_add_(0, code_M, pull_ME)
            * (-2 * of_codebook)
            for code_M, pull_ME, size in zip(code_ML.unbind(1), pulls, ctx.sizes, strict=True)
        ]
        return (grad_ME, None, None, *of_centers)


def tensor_names(num_layers: int) -> tuple[str, ...]:
    """List the names under which weights are stored.

    Args:
        num_layers: Layers of the encoder and of the decoder.

    Returns:
        Weight and bias of each layer, first those of the encoder.

    Example:
        >>> tensor_names(1)
        ('encoder.weight0_HD', 'encoder.bias0_H', 'decoder.weight0_HD', 'decoder.bias0_H')
    """
    return tuple(
        name
        for part in ("encoder", "decoder")
        for layer in range(num_layers)
        for name in _layer_names(part, layer)
    )


def apply_mlp(
    tensors: Mapping[str, Floats], part: str, x_MD: Floats, *, num_layers: int, is_residual: bool
) -> Floats:
    """Run a trained MLP on the CPU.

    Computed in float64 and rounded once: what a product in float32 would leave to the number of
    rows and to the library does not reach the codes.

    Args:
        tensors: From `VqNetwork.tensors`.
        part: `encoder` or `decoder`.
        x_MD: [M, D] float32.
        num_layers: Its number of layers.
        is_residual: Whether it adds its input.

    Returns:
        [M, last width] float32.
    """
    hidden_MD = x_MD.astype(np.float64)
    for layer in range(num_layers):
        weight_HD, bias_H = (tensors[name].astype(np.float64) for name in _layer_names(part, layer))
        inputs_MD = np.maximum(hidden_MD, 0) if layer else hidden_MD
        hidden_MD = inputs_MD @ weight_HD.T + bias_H
    return (x_MD + hidden_MD if is_residual else hidden_MD).astype(np.float32)


def _layer_names(part: str, layer: int) -> tuple[str, str]:
    """Names of weight and bias."""
    return f"{part}.weight{layer}_HD", f"{part}.bias{layer}_H"
