"""Parameters of the step `tokenization`."""

from dataclasses import dataclass, field
from typing import Literal

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range
from gpr_core.tokenizer.drift import RefitConfig
from gpr_core.tokenizer.leaf_policy import LeafPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizationConfig:
    """How item vectors become semantic ids; the defaults are the preset `tiny`."""

    kind: Literal["rq_kmeans", "rq_kmeans_plus", "rq_vae", "rq_vae_kmeans_init"] = "rq_kmeans_plus"
    """Quantizer. RQ-KMeans+ starts as RQ-KMeans and trains an encoder on top; the RQ-VAE kinds are
    baselines that start from random weights, with random or with clustered codebooks."""
    projection: Literal["none", "pca", "orthogonal"] = "none"
    """Linear map that makes wide item vectors narrower before any quantizer. Specification 2.1."""
    projection_dim: int = 64
    """Width after the projection, below the width of the item vectors. 1..65536; own."""
    num_levels: int = 3
    """Code levels L. 1..8; specification 0."""
    codebook_size: int = 32
    """Codes per level V, at most the number of training items. 2..32767; specification 0."""
    leaf_policy: LeafPolicy = "value"
    """How a path that several ads share leads to one ad: by predicted value, by a suffix on a level
    of its own (at most 7 code levels), or with a hash of the advertiser as last code (at least 2).
    Specification 2.2."""
    kmeans_iterations: int = 25
    """Lloyd iterations per level, those on samples included. >= 1; specification 2.1."""
    kmeans_init: Literal["plus_plus", "random"] = "plus_plus"
    """Start of k-means: greedy k-means++, or random items. Specification 2.1."""
    kmeans_balanced: bool = False
    """Whether at most ceil(items / V) items move a center, so that codes are used more evenly; ids
    are always those of nearest centers. Specification 2.1."""
    hidden_width: int = 128
    """Width of the hidden layer of encoder and decoder; RQ-VAE has one of twice this width in front
    of it. >= 1; specification 2.1 for RQ-VAE, else own."""
    latent_width: int = 32
    """Width of the space that RQ-VAE quantizes; the others keep that of their input. >= 1;
    specification 2.1."""
    epochs: int = 60
    """Budget of every learned kind: passes over the training items, each of
    ceil(items / batch_size) updates. RQ-VAE spends it and keeps the last epoch; RQ-KMeans+ stays
    RQ-KMeans at 0. Appendix C."""
    batch_size: int = 512
    """Items per update. >= 1; specification 2.1."""
    learning_rate: float = 1e-3
    """Step size of Adam. (0, 1]; specification 2.1."""
    commit_weight: float = 0.25
    """Weight of the commitment loss. [0, 10]; specification 2.1."""
    gradient_clip: float = 1.0
    """Largest norm of a gradient. > 0; specification 2.1."""
    patience: int = 5
    """Stopping rule of RQ-KMeans+: the epoch with the lowest validation collision is kept, and this
    many epochs without a lower one end the training; `epochs` or more spends the whole budget.
    >= 1; specification 2.1."""
    min_usage: float = 0.9
    """Least share of first-level codes that training items must use. [0, 1]; specification 0."""
    max_collision_gain: float = 0.01
    """Largest collision above the one of RQ-KMeans, absolute. [0, 1]; specification 0."""
    refit: RefitConfig = field(default_factory=RefitConfig)
    """When codebooks are fitted anew instead of kept."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        least, most = {"value": (1, 8), "suffix": (1, 7), "hash_level": (2, 8)}[self.leaf_policy]
        check_range(f"num_levels with leaf_policy {self.leaf_policy}", self.num_levels, least, most)
        check_range("codebook_size", self.codebook_size, 2, 32767)
        check_range("kmeans_iterations", self.kmeans_iterations, 1, 1000)
        check_range("projection_dim", self.projection_dim, 1, 65536)
        check_range("hidden_width", self.hidden_width, 1, 65536)
        check_range("latent_width", self.latent_width, 1, 65536)
        check_range("epochs", self.epochs, 0, 10_000)
        check_range("batch_size", self.batch_size, 1, 1 << 20)
        check_range("commit_weight", self.commit_weight, 0.0, 10.0)
        check_range("patience", self.patience, 1, 10_000)
        check_range("min_usage", self.min_usage, 0.0, 1.0)
        check_range("max_collision_gain", self.max_collision_gain, 0.0, 1.0)
        if not 0 < self.learning_rate <= 1 or not 0 < self.gradient_clip < float("inf"):
            raise ConfigError(
                f"learning_rate is {self.learning_rate} and gradient_clip is "
                f"{self.gradient_clip}, expected learning_rate in (0, 1] and gradient_clip > 0",
                fix="use learning_rate: 0.001 and gradient_clip: 1.0",
            )
        if self.kind.startswith("rq_vae") and not self.epochs:
            raise ConfigError(
                f"epochs is 0 but {self.kind} starts from random weights",
                fix="set epochs to 1 or more, or kind: rq_kmeans",
            )
