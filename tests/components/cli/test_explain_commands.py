"""`gpr explain` on a small finished day."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.cli import explain_commands
from components.evaluation import day as evaluation_day
from components.evaluation.decodes import example_decode
from components.evaluation.spec import SPEC
from components.pipeline.manifest import write_manifest
from gpr_core.evaluation.decode_view import NUMBERS
from gpr_core.generation.explanation import FATES
from gpr_core.params import preset, render_difference
from gpr_core.support.errors import ArtifactError, ConfigError
from tests.mini_day import DAY, PARAMS, shared_mini_day
from tests.unchecked_lake import accept_any_lake

NARROW = replace(PARAMS, value_candidates=1)


@pytest.fixture(scope="module")
def mini_day(tmp_path_factory):
    return shared_mini_day(tmp_path_factory)


@pytest.fixture(scope="module", autouse=True)
def _contracts_are_tested_elsewhere():
    with pytest.MonkeyPatch.context() as patch:
        accept_any_lake(patch, evaluation_day)
        yield


@pytest.fixture(scope="module")
def workspace(mini_day, tmp_path_factory):
    """The mini day as the workspace of a finished run."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(mini_day.root / "lake", home / "lake")
    folder = home / "runs" / DAY.isoformat()
    for name in SPEC.inputs:
        shutil.copytree(mini_day.root / name, folder / "artifacts" / name)
        write_manifest(folder / "artifacts" / name, step="test", origin={})
    evaluated = mini_day.prepare().requests.select(["request_key"])
    (folder / "artifacts" / "evaluation").mkdir()
    pq.write_table(evaluated, folder / "artifacts" / "evaluation" / "per_request.parquet")
    params = preset("micro")
    run = replace(params.run, day=DAY.isoformat(), lake="../../lake", device="cpu", threads=1)
    text = render_difference(replace(params, run=run, evaluation=NARROW), preset("micro"))
    (folder / "params.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def keys(mini_day):
    return mini_day.prepare().column("request_key").tolist()


def test_the_decode_of_a_request_is_printed_level_by_level(workspace, keys, mini_day, capsys):
    explain_commands.explain(str(keys[1]), workspace)
    out = capsys.readouterr().out
    assert f"request {keys[1]}: 32 of 32 ads are eligible" in out
    assert "Level 1, width 2 per head: " in out
    assert "Level 2, width 4 per head: " in out
    assert all(name in out for name in NUMBERS)
    assert all(f"{fate}: " in out for fate in FATES)


def test_the_numbers_are_those_of_the_evaluation(workspace, keys, mini_day, tmp_path, capsys):
    whole = mini_day.prepare()
    first = replace(
        whole,
        requests=whole.requests.slice(0, 1),
        eligible_BA=whole.eligible_BA[:1],
        shown=whole.shown.take(np.array([0])),
    )
    context = mini_day.context(tmp_path, params=NARROW)
    expected = example_decode(context, first, mini_day.curated.canonical["ads"])
    explain_commands.explain(str(keys[0]), workspace)
    out = capsys.readouterr().out
    for level in expected.levels:
        for row in level.rows:
            assert any(
                all(text in line for text in (row.name(), row.fate, *row.numbers()))
                for line in out.splitlines()
            ), row


def test_nothing_is_written_into_the_workspace(workspace, keys):
    before = sorted(workspace.rglob("*"))
    explain_commands.explain(str(keys[0]), workspace)
    assert sorted(workspace.rglob("*")) == before


@pytest.mark.parametrize(
    ("request_key", "message"),
    [
        (None, "no request is named"),
        ("12a", "found '12a', expected a request key"),
        ("999999", "request 999999 is no real request of 2026-01-04"),
        ("9" * 30, "is no real request"),
    ],
)
def test_a_wrong_key_is_refused_with_three_that_exist(workspace, keys, request_key, message):
    with pytest.raises(ConfigError, match=message) as caught:
        explain_commands.explain(request_key, workspace)
    assert f"use for example {', '.join(map(str, keys[:3]))};" in caught.value.fix


def test_a_rehearsed_request_is_no_real_one():
    decisions = pa.table({"request_key": [7, 8], "is_synthetic": [True, False]})
    assert explain_commands._only(decisions, 7).num_rows == 0
    assert explain_commands._only(decisions, 8).num_rows == 1


def test_a_folder_without_an_evaluated_day_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="no evaluated day in this folder"):
        explain_commands.explain("1", tmp_path)


def test_a_changed_artifact_is_refused(workspace, keys, tmp_path):
    copy = tmp_path / "runs" / "day"
    shutil.copytree(workspace, copy)
    (copy / "artifacts" / "hepo_checkpoint" / "extra").write_text("x")
    with pytest.raises(ArtifactError, match="was added after it was published"):
        explain_commands.explain(str(keys[0]), copy)
