"""One encoder for ads and content: fitted on both together, so that they share one space.

An item is seen from several sides: its texts, its attributes, its precomputed vectors. Each side is
projected to few directions, scaled to one length, weighted, and laid beside the others. All that
was fitted is named by one hash, the encoder version.

Letters: N items, D width of the lake's text or image vector.

Source: own, decision 0015.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from gpr_core.embeddings.attributes import AttributeFeatures
from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.embeddings.features import Features, Tensors
from gpr_core.embeddings.ngrams import NgramFeatures
from gpr_core.embeddings.projection import Projection, fit_projection, project
from gpr_core.embeddings.raw_items import RawItems
from gpr_core.embeddings.sentences import SentenceFeatures
from gpr_core.embeddings.vectors import VectorFeatures
from gpr_core.support.config import to_mapping
from gpr_core.support.errors import ContractError
from gpr_core.support.hashing import hash_value
from gpr_core.support.progress import Progress
from gpr_core.support.shapes import check_range

Floats = npt.NDArray[np.float32]
TextEncoderKind = Literal["hashed", "sentence"]

_MAX_DIM = 4096
# What an item is matters most; three quarters was the best of five on the validation split of
# Amazon Industrial, benchmarks/item_embeddings.py.
_MAIN, _BESIDE = 1.0, 0.75


class ItemVectors(NamedTuple):
    """Vectors as the lake keeps them; side by side they are the vector of the item.

    Attributes:
        text_ND: [N, D] float32, texts and precomputed text vectors.
        image_ND: [N, D] float32, precomputed image vectors and attributes; D may differ.
    """

    text_ND: Floats
    image_ND: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One side of an item.

    Attributes:
        name: What it is, for people.
        side: Which vector of the lake it goes to.
        weight: Length of the part in that vector.
        features: From items to sparse rows.
        projection: From sparse rows to few directions.
    """

    name: str
    side: Literal["text", "image"]
    weight: float
    features: Features
    projection: Projection


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemEncoder:
    """A fitted encoder; made by `fit_item_encoder` or `bundle.load_encoder`.

    Attributes:
        roles: Columns that it reads.
        parts: Sides of an item, in the order of the vector.
    """

    roles: ColumnRoles
    parts: tuple[Part, ...]

    def encode(self, items: RawItems, progress: Progress) -> ItemVectors:
        """Encode items, each by itself: training items, or ones that nobody has seen.

        Args:
            items: Items with the columns of `roles`.
            progress: Where to report.

        Returns:
            Their vectors.

        Raises:
            ShapeError: If a precomputed vector has another length than those of the training.
        """
        vectors = []
        for part in self.parts:
            progress.phase(f"encoding {part.name}")
            vectors.append(project(part.features.rows(items, progress), part.projection))
        return _side_by_side(self.parts, vectors)

    @cached_property
    def version(self) -> str:
        """Hash of everything fitted, 64 hex digits; equal encoders have equal versions."""
        arrays = {name: _hash_array(array) for name, array in self.tensors().items()}
        return hash_value({"settings": self.settings(), "arrays": arrays})

    def tensors(self) -> Tensors:
        """Give all fitted arrays.

        Returns:
            `<number of the part>.<name>` -> array.
        """
        named: dict[str, npt.NDArray[np.generic]] = {}
        for number, part in enumerate(self.parts):
            own = {
                **part.features.tensors(),
                "basis": part.projection.basis_FD,
                "offset": part.projection.offset_D,
            }
            named |= {f"{number}.{name}": array for name, array in own.items()}
        return named

    def settings(self) -> dict[str, Any]:
        """Give all plain values.

        Returns:
            JSON-serializable values.
        """
        parts = [
            {
                "name": part.name,
                "side": part.side,
                "weight": part.weight,
                "features": part.features.settings(),
            }
            for part in self.parts
        ]
        return {"parts": parts, "roles": to_mapping(self.roles)}


def fit_item_encoder(
    items: RawItems, roles: ColumnRoles, kind: TextEncoderKind, dim: int, progress: Progress
) -> tuple[ItemEncoder, ItemVectors]:
    """Fit an encoder on the training items and encode them.

    Args:
        items: Training items, ads and content together.
        roles: Columns of `items` beside those known by name.
        kind: How texts are read: `hashed` n-grams, or the `sentence` model.
        dim: Most directions of each part.
        progress: Where to report.

    Returns:
        The encoder, and what its `encode` gives for the training items.

    Raises:
        ConfigError: If `dim` is out of range, or the sentence model is not installed.
        ContractError: If the items do not differ in their texts, or in nothing beside them.
    """
    check_range("dim", dim, 1, _MAX_DIM)
    fit = _Fit(items, dim, progress)
    progress.phase(f"reading texts of {len(items)} items, {kind}")
    text_features = SentenceFeatures if kind == "sentence" else NgramFeatures
    fit.add("text", "text", _MAIN, *text_features.fit(items, progress))
    if not fit.parts:
        raise ContractError(
            f"the texts of all {len(items)} items are equal, expected different ones",
            where="columns title, description, brand, category",
            fix="give at least two items that differ",
        )
    fit.add_vectors(roles.text_vectors, "text")
    fit.add_vectors(roles.image_vectors, "image")
    fit.add("attributes", "image", _BESIDE, *AttributeFeatures.fit(items, progress))
    if all(part.side == "text" for part in fit.parts):
        # The lake needs two vectors an item. Titles alone say something else than all texts.
        title = NgramFeatures.fit(items, progress, is_title_only=True)
        fit.add("title", "image", _BESIDE, *title)
    if all(part.side == "text" for part in fit.parts):
        raise ContractError(
            f"the titles of all {len(items)} items are equal, and they have no other attribute",
            where="column title",
            fix="give titles that differ, or a brand, category, number or image vector",
        )
    encoder = ItemEncoder(roles=roles, parts=tuple(fit.parts))
    return encoder, _side_by_side(encoder.parts, fit.vectors)


class _Fit:
    """Parts as they are fitted, with the vectors of the training items."""

    def __init__(self, items: RawItems, dim: int, progress: Progress) -> None:
        self.parts: list[Part] = []
        self.vectors: list[Floats] = []
        self._items = items
        self._dim = dim
        self._progress = progress

    def add(
        self,
        name: str,
        side: Literal["text", "image"],
        weight: float,
        features: Features,
        x_NF: csr_array,
    ) -> None:
        """Fit the directions of a part; a part in which all items are equal is left out."""
        self._progress.phase(f"fitting {name}, {x_NF.shape[1]} features")
        projection = fit_projection(x_NF, self._dim, progress=self._progress)
        if projection.dim == 0:
            self._progress.phase(f"leaving {name} out: all items are equal there")
            return
        self.parts.append(
            Part(name=name, side=side, weight=weight, features=features, projection=projection)
        )
        self.vectors.append(project(x_NF, projection))

    def add_vectors(self, columns: tuple[str, ...], side: Literal["text", "image"]) -> None:
        """Add one part a vector column."""
        for column in columns:
            width = self._items.vectors[column].shape[1]
            features = VectorFeatures(column=column, width=width)
            rows = features.rows(self._items, self._progress)
            self.add(f"vectors of {column}", side, _MAIN, features, rows)


def _side_by_side(parts: tuple[Part, ...], vectors: list[Floats]) -> ItemVectors:
    """Weigh parts and lay those of each side beside each other."""
    sides: dict[str, list[Floats]] = {"text": [], "image": []}
    for part, x_ND in zip(parts, vectors, strict=True):
        sides[part.side].append(np.float32(part.weight) * x_ND)
    return ItemVectors(
        text_ND=np.concatenate(sides["text"], axis=1),
        image_ND=np.concatenate(sides["image"], axis=1),
    )


def _hash_array(array: npt.NDArray[np.generic]) -> str:
    """Hash the type, shape and values of an array."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
