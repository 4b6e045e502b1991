"""Losses by hand, gradients by finite differences, numpy as torch."""

import numpy as np
import pytest
import torch

from gpr_core.tokenizer import vq_network
from gpr_core.tokenizer.residual import residual_codes
from gpr_core.tokenizer.vq_network import Mlp, VqNetwork, apply_mlp, tensor_names

CODEBOOKS = [np.array(centers, np.float32) for centers in ([[1, 0], [0, 1]], [[0.5, 0], [0, 0]])]


def make_mlp(widths, *, is_residual, seed=0):
    return Mlp(widths, is_residual=is_residual, generator=torch.Generator().manual_seed(seed))


def identity_network():
    """Two levels of two codes between an encoder and a decoder that are still identities."""
    encoder, decoder = (make_mlp((2, 4, 2), is_residual=True) for _ in range(2))
    return VqNetwork(encoder, CODEBOOKS, decoder)


def test_the_losses_are_weighted_means_of_squared_norms():
    x = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    losses = identity_network().losses(x, torch.tensor([3.0, 1.0]), 0.25)
    # First item: (1, 0) leaves (1, 0), squared 1; then (.5, 0) leaves (.5, 0), squared 0.25.
    # Second item: (0, 1) leaves (0, 2), squared 4; then (0, 0) leaves (0, 2), squared 4.
    # Rebuilt are (1.5, 0) and (0, 1): squared errors 0.25 and 4. Weights 3/4 and 1/4.
    per_level = 0.75 * (1 + 0.25) + 0.25 * (4 + 4)
    rebuilt = 0.75 * 0.25 + 0.25 * 4
    assert [value.item() for value in losses] == pytest.approx(
        [rebuilt + 1.25 * per_level, rebuilt, per_level, per_level]
    )


def test_each_loss_moves_only_what_it_should():
    network = identity_network()
    losses = network.losses(torch.tensor([[2.0, 0.0]]), torch.ones(1), 0.25)
    bias = network.encoder.biases[-1]
    losses.codebook.backward(retain_graph=True)
    # d |r - c|^2 / dc = -2 (r - c); the second residual does not pull at the first center.
    assert network.codebooks[0].grad.tolist() == [[-2, 0], [0, 0]]
    assert network.codebooks[1].grad.tolist() == [[-1, 0], [0, 0]]
    assert bias.grad is None
    network.zero_grad()
    losses.commit.backward(retain_graph=True)
    assert network.codebooks[0].grad is None
    assert bias.grad.tolist() == [2 * 1 + 2 * 0.5, 0]
    network.zero_grad()
    losses.reconstruction.backward()
    # Straight-through: d |x - z_hat|^2 / dz = -2 (x - z_hat), and none for the centers.
    assert network.codebooks[0].grad is None
    assert bias.grad.tolist() == [-1, 0]


def frozen_losses(network, x, codes):
    """The function whose gradient straight-through means: every stop-gradient is a constant."""
    sums = [network.codebooks[level][codes[:, level]].detach() for level in range(2)]
    offset = sums[0] + sums[1] - network.encoder(x).detach()

    def total(commit_weight):
        z = network.encoder(x)
        rebuilt = network.decoder(z + offset)
        commit = (z - sums[0]).square().sum(1) + (z - sums[0] - sums[1]).square().sum(1)
        return ((x - rebuilt).square().sum(1) + commit_weight * commit).mean().item()

    return total


@pytest.mark.parametrize("is_residual", [True, False])
def test_the_gradient_through_the_codes_is_the_finite_difference(is_residual, monkeypatch):
    # The search is for float32; everything else is computed in float64 here.
    monkeypatch.setattr(
        vq_network,
        "residual_codes",
        lambda z, books: residual_codes(np.float32(z), [np.float32(book) for book in books]),
    )
    encoder = make_mlp((3, 8, 3), is_residual=is_residual, seed=1).double()
    decoder = make_mlp((3, 8, 3), is_residual=is_residual, seed=2).double()
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for mlp in (encoder, decoder):
            mlp.weights[-1].normal_(generator=draw)
    centers = [torch.randn((5, 3), generator=draw).numpy() for _ in range(2)]
    network = VqNetwork(encoder, centers, decoder).double()
    x = torch.randn((6, 3), generator=draw).double()
    network.losses(x, torch.ones(6).double(), 0.25).total.backward()
    z = network.encoder(x).detach().numpy()
    codes = []
    for level in range(2):
        book = network.codebooks[level].detach().numpy()
        codes.append(np.square(z[:, None] - book).sum(2).argmin(1))
        z = z - book[codes[-1]]
    total = frozen_losses(network, x, np.stack(codes, 1))
    for parameter in network.encoder.parameters():
        direction = torch.randn(parameter.shape, generator=draw).double()
        values = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                parameter.add_(step * direction)
            values.append(total(0.25))
        with torch.no_grad():
            parameter.add_(1e-6 * direction)
        expected = (values[0] - values[1]) / 2e-6
        assert (parameter.grad * direction).sum().item() == pytest.approx(expected, rel=1e-5)


def test_a_residual_mlp_starts_as_the_identity():
    x = torch.randn((5, 3), generator=torch.Generator().manual_seed(4))
    assert torch.equal(make_mlp((3, 8, 3), is_residual=True)(x), x)
    assert make_mlp((3, 8, 4, 2), is_residual=False)(x).shape == (5, 2)


@pytest.mark.parametrize(("widths", "is_residual"), [((3, 8, 3), True), ((3, 8, 4, 2), False)])
def test_numpy_computes_what_torch_computes(widths, is_residual):
    encoder = make_mlp(widths, is_residual=is_residual)
    decoder = make_mlp(widths[::-1], is_residual=is_residual)
    with torch.no_grad():
        encoder.weights[-1].normal_(generator=torch.Generator().manual_seed(5))
        encoder.biases[0].fill_(0.25)
    tensors = VqNetwork(encoder, CODEBOOKS, decoder).tensors()
    num_layers = len(widths) - 1
    assert tuple(sorted(tensors)) == tuple(sorted(tensor_names(num_layers)))
    x = np.random.Generator(np.random.PCG64(6)).normal(size=(7, 3)).astype(np.float32)
    found = apply_mlp(tensors, "encoder", x, num_layers=num_layers, is_residual=is_residual)
    assert found.dtype == np.float32
    assert np.allclose(found, encoder(torch.from_numpy(x)).detach().numpy(), atol=1e-6)


def test_a_copy_does_not_follow_the_training():
    network = identity_network()
    tensors, books = network.tensors(), network.centers()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert tensors["encoder.bias1_H"].tolist() == [0, 0]
    assert books[0].tolist() == [[2, 1], [1, 2]], "centers share memory with the parameters"
    assert CODEBOOKS[0].tolist() == [[1, 0], [0, 1]]
