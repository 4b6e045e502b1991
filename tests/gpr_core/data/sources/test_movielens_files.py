import zipfile

import numpy as np
import pytest

from gpr_core.data.sources.movielens_files import read_movielens, readable_titles
from gpr_core.support.errors import ArtifactError
from tests.gpr_core.data.sources.look_alike import (
    FOLDER,
    make_wheel,
    movie_lines,
    rating_lines,
    user_lines,
)


def test_all_rows_are_read(data):
    assert len(data.user_R) == len(rating_lines()) - 1
    assert len(data.movie_ids) == len(movie_lines()) - 1
    assert len(data.user_ids) == len(user_lines()) - 1


def test_ratings_are_in_time_order(data):
    assert (np.diff(data.second_R) >= 0).all()


def test_a_rating_keeps_its_user_movie_and_stars(data):
    user, movie, stars, second = rating_lines()[1].split("\t")
    mine = data.user_R == data.user_ids.index(user)
    mine &= data.movie_R == data.movie_ids.index(movie)
    assert data.rating_R[mine].tolist() == [int(stars)]
    assert data.second_R[mine].tolist() == [int(second)]


def test_titles_for_people_name_the_two_genres_of_the_category(data):
    three = data._replace(
        titles=["Heat", "Alien", "Untitled"],
        genres=[("Action", "Crime", "Drama"), ("Sci-Fi",), ()],
    )
    assert readable_titles(three) == ["Heat [Action, Crime]", "Alien [Sci-Fi]", "Untitled"]


def test_attributes_are_those_of_their_row(data):
    assert data.user_ids[8] == "9"
    assert data.zip_codes[8] == "V0R2M"
    assert data.age_U[[8, 9]].tolist() == [29, 14]
    # "MF"[number % 2]: odd numbers are women.
    assert data.is_female_U[:4].tolist() == [True, False, True, False]


def test_titles_with_quotes_and_missing_years_survive(data):
    assert data.titles[2] == 'The "Tale" of 111'
    assert data.years[[2, 6]].tolist() == [1963, 0]
    # Movie 3: GENRES[3] and GENRES[0].
    assert data.genres[2] == ("Horror", "Action")


def test_a_missing_wheel_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot read .*ml-100k\.inter"):
        read_movielens(tmp_path / "none.whl")


def test_something_else_than_a_wheel_is_an_error(tmp_path):
    path = tmp_path / "text.whl"
    path.write_text("hello")
    with pytest.raises(ArtifactError, match="File is not a zip file"):
        read_movielens(path)


def test_a_wheel_without_the_data_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.whl", "w") as archive:
        archive.writestr("recbole/__init__.py", "")
    with pytest.raises(ArtifactError, match=f"cannot read {FOLDER}.inter"):
        read_movielens(tmp_path / "empty.whl")


def test_other_columns_are_an_error(tmp_path):
    wheel = make_wheel(tmp_path / "x.whl", item=["item_id:token\ttitle:token_seq", "1\tx"])
    with pytest.raises(ArtifactError, match=r"ml-100k\.item has the columns \['item_id:token'"):
        read_movielens(wheel)


def test_a_rating_of_nobody_is_an_error(tmp_path):
    wheel = make_wheel(tmp_path / "x.whl", inter=[*rating_lines(), "999\t1\t3\t874713600"])
    with pytest.raises(ArtifactError, match="names a user or a movie that is not listed"):
        read_movielens(wheel)
