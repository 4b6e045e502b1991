import numpy as np
import pytest

from gpr_core.data.fusion import FusionStats, concat_embeddings, fit_fusion, fuse, fuse_items
from gpr_core.support.errors import ArtifactError, ContractError, ShapeError
from gpr_core.support.files import write_json
from tests.lake_rows import make_embedding, make_table

EMBEDDINGS = make_table(
    "embeddings",
    make_embedding(7, [1, 0, 0, 1]),
    make_embedding(3, [0, 1, 0, 1]),
)


def test_text_and_image_stand_side_by_side_in_the_order_asked_for():
    raw_ND = concat_embeddings(EMBEDDINGS, np.array([3, 7, 3]))
    assert raw_ND.tolist() == [[0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 0, 1]]


def test_vectors_are_centered_then_normalized():
    raw_ND = concat_embeddings(EMBEDDINGS, np.array([7, 3]))
    stats = fit_fusion(raw_ND, EMBEDDINGS)
    assert stats.mean_D.tolist() == [0.5, 0.5, 0, 1]
    assert (stats.text_dim, stats.image_dim, stats.encoder_version) == (2, 2, "v1")
    root = 0.5**0.5
    assert fuse(raw_ND, stats) == pytest.approx(
        np.array([[root, -root, 0, 0], [-root, root, 0, 0]])
    )


def test_the_mean_item_becomes_zero():
    raw_ND = concat_embeddings(EMBEDDINGS, np.array([7]))
    assert fuse(raw_ND, fit_fusion(raw_ND, EMBEDDINGS)).tolist() == [[0, 0, 0, 0]]


def test_saved_statistics_fuse_new_items_alike(tmp_path):
    stats = fit_fusion(concat_embeddings(EMBEDDINGS, np.array([7, 3])), EMBEDDINGS)
    stats.save(tmp_path / "stats.json")
    loaded = FusionStats.load(tmp_path / "stats.json")
    new = make_table("embeddings", make_embedding(9, [0.3, 0.1, 0.7, 0.2]))
    fused = fuse_items(new, np.array([9]), loaded)
    assert np.array_equal(fused, fuse_items(new, np.array([9]), stats))
    # (-0.2, -0.4, 0.7, -0.8) has length sqrt(1.33).
    assert fused == pytest.approx(np.array([[-0.2, -0.4, 0.7, -0.8]]) / 1.33**0.5)


def test_an_item_without_an_embedding_is_refused():
    with pytest.raises(ContractError, match="1 of 2 items have no embedding, first emb_row 4"):
        concat_embeddings(EMBEDDINGS, np.array([3, 4]))
    with pytest.raises(ContractError, match="1 of 1 items have no embedding"):
        concat_embeddings(EMBEDDINGS.slice(0, 0), np.array([3]))


def test_lists_of_different_lengths_are_refused():
    uneven = make_table("embeddings", make_embedding(0, [1, 0]), make_embedding(1, [1, 0, 1, 0]))
    with pytest.raises(ContractError, match="lists of 1 to 2 numbers"):
        concat_embeddings(uneven, np.array([0, 1]))


def test_two_encoders_are_refused():
    rows = [make_embedding(0, [1, 0]), make_embedding(1, [0, 1]) | {"encoder_version": "v2"}]
    mixed = make_table("embeddings", *rows)
    with pytest.raises(ContractError, match=r"encoder versions \['v1', 'v2'\]"):
        fit_fusion(concat_embeddings(mixed, np.array([0, 1])), mixed)
    stats = fit_fusion(concat_embeddings(mixed, np.array([0])), mixed.slice(0, 1))
    with pytest.raises(ContractError, match=r"encoder \['v2'\] cannot be fused"):
        fuse_items(mixed, np.array([1]), stats)


def test_another_width_is_refused():
    stats = fit_fusion(concat_embeddings(EMBEDDINGS, np.array([7, 3])), EMBEDDINGS)
    with pytest.raises(ShapeError, match="raw_ND has shape"):
        fuse(np.zeros((1, 3), dtype=np.float32), stats)


def test_statistics_of_another_version_are_refused(tmp_path):
    write_json(tmp_path / "stats.json", {"version": 0})
    with pytest.raises(ArtifactError, match="have version 0, expected 1"):
        FusionStats.load(tmp_path / "stats.json")
