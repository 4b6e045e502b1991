"""What every tokenizer must keep; each check takes a function that makes an unfitted one."""

from types import SimpleNamespace

import numpy as np
import pytest

from gpr_core.support.errors import (
    ArtifactError,
    ConfigError,
    ContractError,
    NotFittedError,
    ShapeError,
)
from gpr_core.tokenizer.bundle import load_tokenizer, save_tokenizer
from gpr_core.tokenizer.protocol import ItemSample


def make_items(num_items, *, seed=0, width=6, num_groups=9):
    """Vectors of unit length in noisy groups of uneven size, with uneven weights."""
    rng = np.random.Generator(np.random.PCG64(seed))
    centers = rng.normal(size=(num_groups, width))
    group = np.minimum(rng.geometric(0.25, num_items) - 1, num_groups - 1)
    x = centers[group] + 0.35 * rng.normal(size=(num_items, width))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return ItemSample(x.astype(np.float32), rng.uniform(0.5, 2, num_items).astype(np.float32))


def fitted(make, *, seed=3, items=None):
    """A tokenizer fitted on a small sample."""
    tokenizer = make()
    tokenizer.fit(items or make_items(120), make_items(40, seed=1), seed=seed, threads=1)
    return tokenizer


def check_codes_have_the_promised_shape_and_range(make):
    tokenizer = fitted(make)
    codes = tokenizer.encode(make_items(50, seed=5).x_MD)
    assert codes.dtype == np.int16
    assert codes.shape == (50, len(tokenizer.codebooks))
    assert (codes >= 0).all()
    assert (codes < [len(centers) for centers in tokenizer.codebooks]).all()
    assert tokenizer.decode(codes).shape == (50, 6)
    assert tokenizer.decode(codes).dtype == np.float32


def check_no_items_have_no_codes(make):
    tokenizer = fitted(make)
    codes = tokenizer.encode(np.zeros((0, 6), np.float32))
    assert codes.shape == (0, len(tokenizer.codebooks))
    assert tokenizer.decode(codes).shape == (0, 6)


def check_the_same_seed_gives_the_same_bytes(make):
    first, second = fitted(make), fitted(make)
    for one, other in zip(first.codebooks, second.codebooks, strict=True):
        assert one.tobytes() == other.tobytes()
    assert {name: array.tobytes() for name, array in first.encoder.items()} == {
        name: array.tobytes() for name, array in second.encoder.items()
    }


def check_another_fit_forgets_the_first(make):
    tokenizer = fitted(make, items=make_items(90, seed=8), seed=1)
    tokenizer.fit(make_items(120), make_items(40, seed=1), seed=3, threads=1)
    x = make_items(50, seed=5).x_MD
    assert tokenizer.encode(x).tolist() == fitted(make).encode(x).tolist()


def check_an_item_keeps_its_code_in_any_company(make):
    tokenizer = fitted(make)
    x = make_items(64, seed=5).x_MD
    alone = np.concatenate([tokenizer.encode(row[None]) for row in x])
    assert alone.tolist() == tokenizer.encode(x).tolist()
    assert tokenizer.encode(x[::-1])[::-1].tolist() == alone.tolist()


def check_encoding_changes_nothing(make):
    tokenizer = fitted(make)
    x = make_items(50, seed=5).x_MD
    before = x.copy(), [centers.copy() for centers in tokenizer.codebooks]
    assert tokenizer.encode(x).tolist() == tokenizer.encode(x).tolist()
    assert x.tobytes() == before[0].tobytes()
    for centers, kept in zip(tokenizer.codebooks, before[1], strict=True):
        assert centers.tobytes() == kept.tobytes()


def check_storage_keeps_everything(make, folder):
    tokenizer = fitted(make)
    version = save_tokenizer(folder, tokenizer)
    loaded = load_tokenizer(folder, version=version)
    x = make_items(50, seed=5).x_MD
    codes = tokenizer.encode(x)
    assert loaded.kind == tokenizer.kind
    assert loaded.encode(x).tolist() == codes.tolist()
    assert loaded.decode(codes).tobytes() == tokenizer.decode(codes).tobytes()
    assert save_tokenizer(folder / "again", loaded) == version


def check_foreign_tensors_are_refused(make, folder):
    tokenizer = fitted(make)
    forged = SimpleNamespace(
        kind=tokenizer.kind,
        codebooks=tokenizer.codebooks,
        encoder={**tokenizer.encoder, "encoder.weight7_HD": np.ones((2, 2), np.float32)},
        decode=tokenizer.decode,
    )
    save_tokenizer(folder, forged)
    with pytest.raises(ArtifactError, match=r"not those of .*encoder\.weight7_HD"):
        load_tokenizer(folder)


def check_unseen_items_are_reconstructed(make):
    tokenizer = fitted(make)
    train, unseen = make_items(120).x_MD, make_items(60, seed=7).x_MD
    error = np.square(unseen - tokenizer.decode(tokenizer.encode(unseen))).sum()
    assert error < 0.7 * np.square(unseen - train.mean(0)).sum()


def check_the_reconstruction_beats_the_mean(make):
    tokenizer = fitted(make)
    train = make_items(120).x_MD
    error = np.square(train - tokenizer.decode(tokenizer.encode(train))).sum()
    assert error < 0.5 * np.square(train - train.mean(0)).sum()


def check_an_unfitted_tokenizer_says_so(make):
    tokenizer = make()
    with pytest.raises(NotFittedError, match="has no codebooks yet"):
        tokenizer.encode(np.zeros((1, 6), np.float32))
    with pytest.raises(NotFittedError, match="has no codebooks yet"):
        tokenizer.decode(np.zeros((1, 3), np.int16))


def check_bad_input_is_refused(make):
    with pytest.raises(ConfigError, match="but only 4 training items exist"):
        make().fit(make_items(4), make_items(4), seed=0, threads=1)
    train = make_items(50)
    train.x_MD[7, 2] = np.nan
    with pytest.raises(ContractError, match=r"1 rows of .* are not finite, first rows \[7\]"):
        make().fit(train, make_items(4), seed=0, threads=1)
    tokenizer = fitted(make)
    with pytest.raises(ContractError, match="are not finite"):
        tokenizer.encode(np.full((1, 6), np.inf, np.float32))
    with pytest.raises(ShapeError, match="x_MD has shape"):
        tokenizer.encode(np.zeros((1, 5), np.float32))
    with pytest.raises(ContractError, match="codes range from"):
        tokenizer.decode(np.full((1, len(tokenizer.codebooks)), 32000, np.int16))


CHECKS = (
    check_codes_have_the_promised_shape_and_range,
    check_no_items_have_no_codes,
    check_the_same_seed_gives_the_same_bytes,
    check_another_fit_forgets_the_first,
    check_an_item_keeps_its_code_in_any_company,
    check_encoding_changes_nothing,
    check_the_reconstruction_beats_the_mean,
    check_unseen_items_are_reconstructed,
    check_an_unfitted_tokenizer_says_so,
    check_bad_input_is_refused,
)
STORAGE_CHECKS = (check_storage_keeps_everything, check_foreign_tensors_are_refused)
