import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from components.model_push import smoke
from components.model_push.bundle import stage_bundle
from components.model_push.smoke import try_bundle
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.targeting import TargetingIndex
from gpr_core.support.errors import ArtifactError
from tests.components.model_push.conftest import make_policy

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def bundle(stage):
    stage_bundle(stage.context().inputs, stage.root / "bundle")
    return stage.root / "bundle"


def test_a_sound_bundle_answers_every_request_legally(bundle):
    found = try_bundle(bundle, num_requests=20, num_candidates=4)
    counts = (found.requests, found.servable, found.answered, found.illegal, found.repeated)
    assert counts == (20, 20, 20, 0, 0)
    assert found.latency_p95_ms > 0


def test_the_answers_do_not_depend_on_how_many_requests_are_asked(bundle, monkeypatch):
    seen = []
    original = smoke._judge

    def spy(*arguments):
        seen.append([answer.ad_key_M.tolist() for answer in arguments[2]])
        return original(*arguments)

    monkeypatch.setattr(smoke, "_judge", spy)
    try_bundle(bundle, num_requests=3, num_candidates=4)
    try_bundle(bundle, num_requests=6, num_candidates=4)
    assert seen[0] == seen[1][:3]


def test_an_illegal_answer_is_counted(bundle, monkeypatch):
    # The eligibility given to the decoder lies: everything may serve everyone.
    monkeypatch.setattr(
        TargetingIndex,
        "eligible",
        lambda index, context: EligibleAds.of_mask(np.ones((len(context.ts), index.num_ads), bool)),
    )
    found = try_bundle(bundle, num_requests=20, num_candidates=12)
    assert found.illegal > 0


def test_a_repeated_ad_is_counted(bundle, monkeypatch):
    original = smoke._answer

    def twice(*arguments):
        found = original(*arguments)
        return type(found)(*(torch.cat([column, column]) for column in found))

    monkeypatch.setattr(smoke, "_answer", twice)
    assert try_bundle(bundle, num_requests=2, num_candidates=3).repeated == 6


def test_an_unanswered_request_is_counted(bundle, monkeypatch):
    original = smoke.decode

    def nothing(*arguments):
        found = original(*arguments)
        return type(found)(*(column[:0] for column in found))

    monkeypatch.setattr(smoke, "decode", nothing)
    found = try_bundle(bundle, num_requests=2, num_candidates=3)
    assert (found.servable, found.answered) == (2, 0)


def test_a_policy_of_another_tokenizer_is_refused(bundle):
    shutil.rmtree(bundle / "policy")
    make_policy(bundle / "policy", tokenizer_version="other")
    with pytest.raises(ArtifactError, match="speaks tokenizer other"):
        try_bundle(bundle, num_requests=1, num_candidates=1)


def test_a_damaged_catalog_is_refused(bundle):
    (bundle / "catalog" / "ads.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"ads\.parquet is missing"):
        try_bundle(bundle, num_requests=1, num_candidates=1)


def test_the_program_prints_its_result_as_json(bundle):
    command = [sys.executable, "-m", "components.model_push.smoke", str(bundle)]
    finished = subprocess.run(
        [*command, "--requests", "3", "--candidates", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(finished.stdout)
    assert (found["requests"], found["answered"], found["illegal"]) == (3, 3, 0)


def test_a_policy_that_reads_thoughts_is_given_some_for_most_requests(bundle, monkeypatch):
    shutil.rmtree(bundle / "policy")
    make_policy(bundle / "policy", knowledge_vectors=2)
    told = []
    original = smoke._answer

    def spy(loaded, store, one, targeting, ledger, config):
        batch = store.prefix_batch(one.request_key, loaded.max_tokens)
        told.append(bool(batch.thought_BRP.any()))
        return original(loaded, store, one, targeting, ledger, config)

    monkeypatch.setattr(smoke, "_answer", spy)
    found = try_bundle(bundle, num_requests=20, num_candidates=4)
    assert (found.answered, found.illegal) == (20, 0)
    assert 0 < sum(told[1:]) < 20
