import subprocess
import sys
import zlib

import numpy as np
import pytest

from gpr_core.embeddings.hashed_text import (
    NUM_COLUMNS,
    count_tokens,
    fit_rarity,
    text_tokens,
    weigh_counts,
)
from gpr_core.support.errors import ShapeError

TEXTS = [["red", "tea"], ["red", "red", "cup"], ["red"]]


def test_tokens_are_words_pairs_and_character_grams():
    assert text_tokens("Tea cup") == [
        "w:tea",
        "w:cup",
        "p:tea cup",
        *("c: te", "c:tea", "c:ea ", "c: cu", "c:cup", "c:up "),
    ]
    assert text_tokens(" - ") == []


def test_case_and_compatibility_forms_make_no_difference():
    assert text_tokens("\uff34\uff25\uff21") == text_tokens("tea")


def test_characters_of_unspaced_scripts_are_words():
    tokens = text_tokens("\u7eff\u8336 tea")
    assert [token for token in tokens if token[0] == "w"] == ["w:\u7eff", "w:\u8336", "w:tea"]
    assert "p:\u7eff \u8336" in tokens


def test_counts_lie_in_the_column_of_the_checksum():
    count_NC = count_tokens(TEXTS)
    assert count_NC.shape == (3, NUM_COLUMNS)
    column = zlib.crc32(b"red") % 2**18
    assert count_NC[:, [column]].toarray().ravel().tolist() == [1.0, 2.0, 1.0]
    assert count_NC.has_sorted_indices


def test_hashing_is_the_same_in_every_process():
    code = (
        "from gpr_core.embeddings.hashed_text import count_tokens\n"
        "print(count_tokens([['red', 'tea']]).indices.tolist())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_weights_are_sublinear_and_rare_words_weigh_more():
    count_NC = count_tokens(TEXTS)
    rarity = fit_rarity(count_NC)
    red, tea, cup = (count_tokens([[word]]).indices[0] for word in ("red", "tea", "cup"))
    at = {int(column): place for place, column in enumerate(rarity.column_U)}
    # Three texts: all use red, log(4 / 4); one uses tea and one cup, log(4 / 2).
    assert rarity.weight_U[[at[red], at[tea], at[cup]]] == pytest.approx([0, np.log(2), np.log(2)])
    other = weigh_counts(count_tokens([["tea", "tea", "tea", "cup"]]), rarity)
    # (1 + log 3, 1) log 2, scaled to length 1.
    tripled = (1 + np.log(3)) / np.hypot(1 + np.log(3), 1)
    assert other[:, [at[tea]]].toarray() == pytest.approx(tripled, abs=1e-6)


def test_rows_have_length_one_and_unknown_texts_are_zero():
    rarity = fit_rarity(count_tokens(TEXTS))
    x_NU = weigh_counts(count_tokens([["tea", "new"], ["new"], []]), rarity)
    assert np.linalg.norm(x_NU.toarray(), axis=1) == pytest.approx([1, 0, 0])
    assert x_NU.dtype == np.float32


def test_a_wrong_number_of_columns_is_refused():
    count_NC = count_tokens(TEXTS)
    with pytest.raises(ShapeError, match="count_NC has shape"):
        weigh_counts(count_NC[:, :10], fit_rarity(count_NC))


def test_no_texts_are_no_rows():
    assert count_tokens([]).shape == (0, NUM_COLUMNS)
