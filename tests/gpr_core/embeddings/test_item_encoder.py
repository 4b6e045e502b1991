from dataclasses import replace

import numpy as np
import pytest

from gpr_core.data.tables import ItemKind
from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.embeddings.item_encoder import fit_item_encoder
from gpr_core.support.errors import ConfigError, ContractError
from gpr_core.support.progress import Progress
from tests.gpr_core.embeddings.small_catalog import ROLES, make_items, make_rows

PROGRESS = Progress("test")


def fit(rows=None, roles=ROLES, dim=8):
    """Fit on rows."""
    return fit_item_encoder(make_items(rows, roles), roles, "hashed", dim, PROGRESS)


def joined(vectors):
    """Lay the two vectors of items side by side."""
    return np.concatenate(vectors, axis=1)


def cosine(first, second):
    """Compare two vectors."""
    return first @ second / np.linalg.norm(first) / np.linalg.norm(second)


def test_each_part_has_its_length_and_its_place():
    encoder, (text_ND, image_ND) = fit()
    assert [(part.name, part.side, part.weight) for part in encoder.parts] == [
        ("text", "text", 1.0),
        ("vectors of text_vector", "text", 1.0),
        ("vectors of picture", "image", 1.0),
        ("attributes", "image", 0.75),
    ]
    assert np.linalg.norm(text_ND, axis=1) == pytest.approx(2**0.5, abs=1e-5)
    assert np.linalg.norm(image_ND, axis=1) == pytest.approx(1.25, abs=1e-5)
    assert text_ND.dtype == image_ND.dtype == np.float32


def test_fitting_gives_the_vectors_that_encoding_gives():
    encoder, fitted = fit()
    assert np.array_equal(joined(encoder.encode(make_items(), PROGRESS)), joined(fitted))


def test_an_unseen_item_lands_near_its_like():
    encoder, known = fit(make_rows(48))
    row = {
        **make_rows(1)[0],
        "title": "steel hammer for wood, forged",
        "brand": "Nobody",
        "description": "never seen",
    }
    new = joined(encoder.encode(make_items([row]), PROGRESS))[0]
    assert np.isfinite(new).all()
    is_tool_N = np.arange(48) // 2 % 2 == 0
    to_known_N = np.array([cosine(new, x) for x in joined(known)])
    assert to_known_N[is_tool_N].mean() > to_known_N[~is_tool_N].mean() + 0.2


def test_new_items_do_not_move_the_old_ones():
    encoder, before = fit(make_rows(24))
    after = encoder.encode(make_items(make_rows(30)), PROGRESS)
    assert np.array_equal(joined(after)[:24], joined(before))


def test_an_ad_and_content_that_say_the_same_have_one_vector():
    rows = make_rows(24)
    twin = {**rows[2], "item_kind": "content", "item_id": "twin"}
    items = make_items([*rows, twin])
    assert {int(items.kind_N[2]), int(items.kind_N[24])} == {ItemKind.AD, ItemKind.CONTENT}
    _, vectors = fit([*rows, twin])
    assert np.array_equal(joined(vectors)[2], joined(vectors)[24])


def test_without_anything_beside_texts_the_titles_stand_in():
    rows = [{key: row[key] for key in ("item_id", "title", "description")} for row in make_rows()]
    encoder, vectors = fit(rows, ColumnRoles())
    assert [part.name for part in encoder.parts] == ["text", "title"]
    assert vectors.image_ND.shape == (24, 8)


def test_no_column_is_constant_on_the_training_items():
    _, vectors = fit()
    assert joined(vectors).std(axis=0).min() > 1e-6


def test_the_version_names_all_that_was_fitted():
    encoder, _ = fit()
    assert fit()[0].version == encoder.version
    assert len(encoder.version) == 64
    others = [
        fit(make_rows(23))[0],
        fit(dim=7)[0],
        replace(encoder, parts=encoder.parts[:-1]),
        replace(encoder, parts=(replace(encoder.parts[0], weight=0.9), *encoder.parts[1:])),
    ]
    assert len({encoder.version, *(other.version for other in others)}) == 5


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"item_id": n, "title": "a"} for n in range(3)], "the texts of all 3 items are equal"),
        ([{"item_id": 1, "title": "a"}], "the texts of all 1 items are equal"),
        (
            [{"item_id": n, "title": "a", "description": f"d{n}"} for n in range(3)],
            "the titles of all 3 items are equal",
        ),
    ],
)
def test_items_that_do_not_differ_are_refused(rows, message):
    with pytest.raises(ContractError, match=rf"(?s){message}.*where:.*fix:"):
        fit(rows, ColumnRoles())


@pytest.mark.parametrize("dim", [0, 5000])
def test_a_width_out_of_range_is_refused(dim):
    with pytest.raises(ConfigError, match=r"dim is .*, expected a value in \[1, 4096\]"):
        fit(dim=dim)
