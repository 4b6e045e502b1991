"""A finished first day, and a registry with its tokenizer."""

import shutil

import pytest

from components.runtime.model_store import ModelStore, seal_bundle
from components.tokenization.main import run
from gpr_core.data.days import parse_day
from gpr_core.support.files import write_json
from tests.components.tokenization.corpora import (
    make_step_context,
    write_corpus,
)


@pytest.fixture(scope="module")
def first_day(tmp_path_factory):
    """Context and result of a run without a champion."""
    root = tmp_path_factory.mktemp("first_day")
    context = make_step_context(root, write_corpus(root / "corpus"))
    return context, run(context)


@pytest.fixture(scope="module")
def registry(first_day, tmp_path_factory):
    """A registry whose only version has the tokenizer of the first day; its root and version."""
    root = tmp_path_factory.mktemp("registry")
    bundle = root / "bundle"
    for name in ("tokenizer", "catalog"):
        shutil.copytree(first_day[0].outputs[name], bundle / name)
    for name in ("policy", "corpus_stats"):
        write_json(bundle / name / "file.json", name)
    version = seal_bundle(bundle, parse_day("2026-01-13"))
    ModelStore(root / "registry").publish(bundle, version)
    return root / "registry", version
