"""RQ-KMeans+: RQ-KMeans whose input space is then trained, starting from the identity.

The encoder adds a residual that is zero at the start and the codebooks start as those of
RQ-KMeans, so that before the first update every code equals the one of RQ-KMeans. Training keeps
the parameters with the lowest collision on the validation items, the start included, and stops
after `patience` epochs without a lower one.

Source: GPR, RQ-KMeans+; losses of RQ-VAE; specification 2.1.
"""

from gpr_core.support.seeding import torch_stream
from gpr_core.tokenizer.learned_quantizer import LearnedQuantizer
from gpr_core.tokenizer.protocol import Epoch, ItemSample
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from gpr_core.tokenizer.vq_network import Mlp, VqNetwork


class RQKMeansPlus(LearnedQuantizer):
    """RQ-KMeans with a trained residual encoder and decoder.

    Args:
        config: Sizes and training parameters.
    """

    kind = "rq_kmeans_plus"
    num_layers = 2
    is_residual = True

    def _start(
        self, train: ItemSample, validation: ItemSample, *, seed: int, threads: int
    ) -> VqNetwork:
        """RQ-KMeans between two identities."""
        plain = RQKMeans(self._config)
        plain.fit(train, validation, seed=seed, threads=threads)
        generator = torch_stream(seed, self.kind, "init")
        width = train.x_MD.shape[1]
        widths = (width, self._config.hidden_width, width)
        encoder = Mlp(widths, is_residual=True, generator=generator)
        decoder = Mlp(widths, is_residual=True, generator=generator)
        return VqNetwork(encoder, plain.codebooks, decoder)

    def _is_kept(self, epoch: Epoch, best: Epoch, start: Epoch) -> bool:
        """Keep an epoch that lowers the validation collision at no other cost.

        The few validation items alone would let chance choose an epoch that is worse on the
        whole catalog, which the gate against RQ-KMeans would then refuse.
        """
        return (
            epoch.validation_collision < best.validation_collision
            and epoch.collision <= start.collision
            and epoch.usage >= min(self._config.min_usage, start.usage)
        )
