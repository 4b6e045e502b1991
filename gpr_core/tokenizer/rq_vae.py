"""RQ-VAE, the learned baseline, with two starts of its codebooks.

`rq_vae` draws them from a normal distribution, which GPR blames for collapse: most centers are
far from every item, are never chosen and so never move. It is as wide as the untrained encoder's
outputs: where one of width 1 is far wider, all items share one code for ever, and who beats that
has shown nothing. `rq_vae_kmeans_init` clusters these outputs. Both spend their whole budget and
keep the last epoch: stopped early by chance, a baseline would be under-trained (T29).

Letters: M items, V codes, E width of the latent space.

Source: specification 2.1 (TIGER); GPR, section on RQ-KMeans+.
"""

import numpy as np
import torch

from gpr_core.support.seeding import torch_stream
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.learned_quantizer import LearnedQuantizer
from gpr_core.tokenizer.protocol import ItemSample
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from gpr_core.tokenizer.vq_network import Mlp, VqNetwork


class RQVAE(LearnedQuantizer):
    """RQ-VAE with codebooks from a normal distribution around zero.

    Args:
        config: Sizes and training parameters.
    """

    kind = "rq_vae"
    num_layers = 3
    is_residual = False

    def _start(
        self, train: ItemSample, validation: ItemSample, *, seed: int, threads: int
    ) -> VqNetwork:
        """Random weights and random centers."""
        del validation, threads
        encoder, decoder = _random_mlps(self._config, train.x_MD.shape[1], seed=seed)
        root_mean_square = np.sqrt(np.square(_latent(encoder, train).x_MD).mean())
        generator = torch_stream(seed, self.kind, "codebooks")
        shape_VE = (self._config.codebook_size, self._config.latent_width)
        codebooks = [
            torch.randn(shape_VE, generator=generator).numpy() * root_mean_square
            for _ in range(self._config.num_levels)
        ]
        return VqNetwork(encoder, codebooks, decoder)


class RQVAEKMeansInit(LearnedQuantizer):
    """RQ-VAE with codebooks from k-means on the untrained encoder's outputs, level by level.

    Args:
        config: Sizes and training parameters.
    """

    kind = "rq_vae_kmeans_init"
    num_layers = 3
    is_residual = False

    def _start(
        self, train: ItemSample, validation: ItemSample, *, seed: int, threads: int
    ) -> VqNetwork:
        """Random weights, clustered centers."""
        encoder, decoder = _random_mlps(self._config, train.x_MD.shape[1], seed=seed)
        latent = [_latent(encoder, sample) for sample in (train, validation)]
        plain = RQKMeans(self._config)
        plain.fit(*latent, seed=seed, threads=threads)
        return VqNetwork(encoder, plain.codebooks, decoder)


def _random_mlps(config: TokenizationConfig, width: int, *, seed: int) -> tuple[Mlp, Mlp]:
    """Make encoder and decoder, which mirrors it; equal for both starts of the codebooks."""
    generator = torch_stream(seed, "rq_vae", "init")
    widths = (width, 2 * config.hidden_width, config.hidden_width, config.latent_width)
    encoder = Mlp(widths, is_residual=False, generator=generator)
    decoder = Mlp(widths[::-1], is_residual=False, generator=generator)
    return encoder, decoder


def _latent(encoder: Mlp, sample: ItemSample) -> ItemSample:
    """Encode the vectors of a sample with an untrained encoder."""
    with torch.no_grad():
        return sample._replace(x_MD=encoder(torch.tensor(sample.x_MD)).numpy())
