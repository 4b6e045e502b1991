"""Parameters of the step `tokenization`."""

from dataclasses import dataclass
from typing import Literal

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizationConfig:
    """How item vectors become semantic ids; the defaults are the preset `tiny`."""

    kind: Literal["rq_kmeans", "rq_kmeans_plus"] = "rq_kmeans_plus"
    """Quantizer. RQ-KMeans+ starts as RQ-KMeans and trains an encoder on top."""
    num_levels: int = 3
    """Code levels L. 1..8; specification 0."""
    codebook_size: int = 32
    """Codes per level V, at most the number of training items. 2..32767; specification 0."""
    kmeans_iterations: int = 25
    """Lloyd iterations per level. >= 1; specification 2.1."""
    hidden_width: int = 128
    """Width of the hidden layer of encoder and decoder. >= 1; own."""
    epochs: int = 60
    """Largest number of passes over the training items; 0 keeps RQ-KMeans. Appendix C."""
    batch_size: int = 512
    """Items per update. >= 1; specification 2.1."""
    learning_rate: float = 1e-3
    """Step size of Adam. (0, 1]; specification 2.1."""
    commit_weight: float = 0.25
    """Weight of the commitment loss. [0, 10]; specification 2.1."""
    gradient_clip: float = 1.0
    """Largest norm of a gradient. > 0; specification 2.1."""
    patience: int = 5
    """Epochs without a lower validation collision before training stops. >= 1; section 2.1."""
    min_usage: float = 0.9
    """Least share of first-level codes that training items must use. [0, 1]; specification 0."""
    max_collision_gain: float = 0.01
    """Largest collision above the one of RQ-KMeans, absolute. [0, 1]; specification 0."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range("num_levels", self.num_levels, 1, 8)
        check_range("codebook_size", self.codebook_size, 2, 32767)
        check_range("kmeans_iterations", self.kmeans_iterations, 1, 1000)
        check_range("hidden_width", self.hidden_width, 1, 65536)
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
