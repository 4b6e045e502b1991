"""A finished first day, and a registry with its tokenizer."""

import shutil
from dataclasses import replace

import pytest

from components.runtime.model_store import ModelStore, seal_bundle
from components.tokenization.main import run
from gpr_core.data.days import parse_day
from gpr_core.support.files import write_json
from tests.components.tokenization.corpora import (
    CONFIG,
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
    return publish(first_day[0], tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module", params=["suffix", "hash_level"])
def policy_day(request, tmp_path_factory):
    """The first day under each leaf policy that changes paths."""
    root = tmp_path_factory.mktemp(request.param)
    params = replace(CONFIG, leaf_policy=request.param)
    context = make_step_context(root, write_corpus(root / "corpus"), params=params)
    return context, run(context)


@pytest.fixture(scope="module")
def policy_registry(policy_day, tmp_path_factory):
    """A registry with the tokenizer of `policy_day`; its root and version."""
    return publish(policy_day[0], tmp_path_factory.mktemp("registry"))


def publish(context, root):
    """Make a registry whose only version has the tokenizer of a day."""
    bundle = root / "bundle"
    for name in ("tokenizer", "catalog"):
        shutil.copytree(context.outputs[name], bundle / name)
    for name in ("policy", "corpus_stats"):
        write_json(bundle / name / "file.json", name)
    version = seal_bundle(bundle, parse_day("2026-01-13"))
    ModelStore(root / "registry").publish(bundle, version)
    return root / "registry", version
