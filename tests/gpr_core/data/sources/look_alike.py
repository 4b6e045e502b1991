"""A small generated look-alike of the recbole wheel: same files and columns, invented ratings."""

import zipfile
from pathlib import Path

import numpy as np

FOLDER = "recbole/dataset_example/ml-100k/ml-100k"
GENRES = ("Action", "Comedy", "Drama", "Horror", "Sci-Fi")
NUM_USERS, NUM_MOVIES, NUM_DAYS = 50, 80, 6
# 1997-09-20 00:00:00 UTC.
FIRST_SECOND = 874_713_600


def rating_lines() -> list[str]:
    """Invent ratings: bursts of a few users a day, several within one second."""
    stream = np.random.default_rng(11)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for day in range(NUM_DAYS):
        if day == 3:
            continue
        for user in stream.choice(NUM_USERS, 20, replace=False):
            start = FIRST_SECOND + day * 86_400 + int(stream.integers(0, 80_000))
            done = [
                int(line.split("\t")[1]) for line in lines[1:] if line.startswith(f"{user + 1}\t")
            ]
            fresh = np.setdiff1d(np.arange(1, NUM_MOVIES + 1), done)
            for number, movie in enumerate(stream.choice(fresh, 12, replace=False)):
                stars = int(stream.choice([1, 2, 3, 4, 5], p=[0.06, 0.11, 0.27, 0.35, 0.21]))
                lines.append(f"{user + 1}\t{movie}\t{stars}\t{start + number // 3 * 7}")
    return lines


def movie_lines() -> list[str]:
    """Invent movies; the second is a copy of the first under another number."""
    lines = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    for number in range(1, NUM_MOVIES + 1):
        name = 1 if number == 2 else number
        first, second = GENRES[name % 5], GENRES[(name // 5) % 5]
        genres = first if first == second else f"{first} {second}"
        year = "" if number == 7 else str(1960 + name % 39)
        lines.append(f'{number}\tThe "Tale" of {name * 37}\t{year}\t{genres}')
    return lines


def user_lines() -> list[str]:
    """Invent people, one of them abroad."""
    lines = ["user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"]
    for number in range(1, NUM_USERS + 1):
        code = "V0R2M" if number == 9 else f"{number % 10}{number:04d}"
        age = 14 if number % 10 == 0 else 20 + number
        lines.append(f"{number}\t{age}\t{'MF'[number % 2]}\tother\t{code}")
    return lines


def make_wheel(path: Path, **changes: list[str]) -> Path:
    """Write the look-alike.

    Args:
        path: Where to write it.
        **changes: Suffix of a file -> its lines, in place of the usual ones.

    Returns:
        The path.
    """
    lines = {"inter": rating_lines(), "item": movie_lines(), "user": user_lines()} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for suffix, content in lines.items():
            archive.writestr(f"{FOLDER}.{suffix}", "\n".join(content) + "\n")
    return path
