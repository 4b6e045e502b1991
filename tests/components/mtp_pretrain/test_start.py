from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.mtp_pretrain.start import Start, start_model
from gpr_core.models.checkpoint import CheckpointMeta, save_checkpoint
from gpr_core.models.gpr import GPR
from gpr_core.support.errors import ArtifactError
from gpr_core.support.seeding import seed_global_torch
from tests.gpr_core.training.small_corpus import CODEBOOK_SIZES
from tests.gpr_core.training.steps import MTP, make_context

VERSION = "2026-01-01-0123456789ab"


def start(root: Path, *, champion: str | None, tokenizer: str = "new", params=MTP) -> Start:
    context = make_context(root, {}, "mtp_checkpoint", params, champion=champion)
    return start_model(context, tokenizer_version=tokenizer, codebook_sizes=CODEBOOK_SIZES)


def push(root: Path, *, tokenizer: str) -> GPR:
    seed_global_torch(7, "champion")
    model = GPR(MTP.model, CODEBOOK_SIZES)
    meta = CheckpointMeta(tokenizer_version=tokenizer, catalog_version="c", parent=None)
    save_checkpoint(root / "registry" / "versions" / VERSION / "policy", model, meta)
    return model


def equal(one: GPR, two: GPR) -> bool:
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_first_day_starts_from_scratch_with_the_seed_of_the_run(tmp_path: Path) -> None:
    one, two = (start(tmp_path, champion=None) for _ in range(2))
    assert one.parent is None
    assert one.reason == "training from scratch: there is no champion"
    assert equal(one.model, two.model)


def test_a_champion_with_the_same_tokenizer_is_continued(tmp_path: Path) -> None:
    champion = push(tmp_path, tokenizer="new")
    found = start(tmp_path, champion=VERSION)
    assert found.parent == VERSION
    assert found.reason == f"continuing champion {VERSION} with 1 epochs"
    assert equal(found.model, champion)


def test_another_tokenizer_starts_from_scratch_and_says_so(tmp_path: Path) -> None:
    champion = push(tmp_path, tokenizer="old")
    found = start(tmp_path, champion=VERSION)
    assert found.parent is None
    assert "speaks tokenizer old, not new" in found.reason
    assert not equal(found.model, champion)


def test_a_refit_starts_from_scratch_even_if_it_ends_with_the_same_codebooks(
    tmp_path: Path,
) -> None:
    push(tmp_path, tokenizer="new")
    context = make_context(tmp_path, {}, "mtp_checkpoint", MTP, champion=VERSION)
    found = start_model(
        replace(context, refit=True), tokenizer_version="new", codebook_sizes=CODEBOOK_SIZES
    )
    assert found.parent is None
    assert found.reason == "training from scratch: the tokenizer was fitted anew"


def test_another_architecture_starts_from_scratch_and_says_so(tmp_path: Path) -> None:
    push(tmp_path, tokenizer="new")
    wider = replace(MTP, model=replace(MTP.model, width=24))
    found = start(tmp_path, champion=VERSION, params=wider)
    assert found.parent is None
    assert "has another architecture" in found.reason


def test_a_champion_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no model version"):
        start(tmp_path, champion=VERSION)
