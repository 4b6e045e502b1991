import logging

import pytest

from gpr_core.embeddings.columns import ColumnRoles, check_roles, load_roles, roles_by_type
from gpr_core.support.errors import ConfigError, ContractError
from tests.gpr_core.embeddings.small_catalog import ROLES, make_rows, make_table


def test_parts_are_told_by_type():
    assert roles_by_type(make_table(make_rows())) == ROLES


def test_texts_that_hardly_repeat_and_lists_of_texts_are_left_out(caplog):
    rows = [{**row, "url": f"u{n}", "tags": ["a"]} for n, row in enumerate(make_rows())]
    with caplog.at_level(logging.INFO, logger="gpr.embeddings"):
        assert roles_by_type(make_table(rows)) == ROLES
    assert "left out: ['url', 'tags']" in caplog.text


def test_a_list_of_integers_is_a_vector_only_if_declared():
    table = make_table([{"title": "a", "item_id": 1, "picture": [1, 2]}])
    assert roles_by_type(table) == ColumnRoles()
    check_roles(table, ColumnRoles(image_vectors=("picture",)), where="items")


def test_a_column_without_a_value_can_play_any_part():
    rows = [{**row, "price": None, "color": None, "picture": None} for row in make_rows()]
    check_roles(make_table(rows), ROLES, where="items")


def test_booleans_are_categories_and_empty_columns_nothing():
    rows = [{"title": "a", "item_id": 1, "in_stock": True, "empty": None}]
    assert roles_by_type(make_table(rows)) == ColumnRoles(categorical=("in_stock",))


def test_a_declaration_is_read(tmp_path):
    path = tmp_path / "columns.yaml"
    path.write_text("numeric: [price]\ncategorical: [color]\n")
    assert load_roles(path) == ColumnRoles(numeric=("price",), categorical=("color",))


def test_a_misspelled_part_is_refused_with_the_nearest_one(tmp_path):
    path = tmp_path / "columns.yaml"
    path.write_text("numerical: [price]\n")
    with pytest.raises(ConfigError, match=r"(?s)unknown parameter.*did you mean 'numeric'"):
        load_roles(path)


def test_a_column_has_one_part():
    with pytest.raises(ConfigError, match=r"columns \['price'\] have a part already"):
        ColumnRoles(numeric=("price",), categorical=("price",))
    with pytest.raises(ConfigError, match=r"columns \['title'\] have a part already"):
        ColumnRoles(categorical=("title",))


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (ColumnRoles(numeric=("prize",)), "(?s)'prize' is missing.*did you mean 'price'"),
        (ColumnRoles(numeric=("color",)), "'color' has type .*string, which cannot be one of num"),
        (ColumnRoles(image_vectors=("price",)), "which cannot be one of image_vectors"),
        (ColumnRoles(categorical=("picture",)), "which cannot be one of categorical"),
    ],
)
def test_a_column_that_cannot_play_its_part_is_refused(roles, message):
    with pytest.raises(ContractError, match=message):
        check_roles(make_table(make_rows()), roles, where="items")
