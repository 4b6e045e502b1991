"""Three days: the second keeps the codebook of the champion, the third refits it."""

import pyarrow.parquet as pq
import pytest
import yaml

from components.runtime.exit_codes import ExitCode
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_file
from tests.orchestrators.conftest import DAY, gpr

pytestmark = [pytest.mark.orchestrator, pytest.mark.e2e]

FIRST, SECOND, THIRD = DAY, "2026-01-15", "2026-01-16"


@pytest.fixture(scope="module")
def two_days(finished_copy):
    """The home after both runs; the second may refuse the push, but must say why."""
    home = finished_copy.home
    return home, gpr("run", f"--home={home}", f"--day={SECOND}")


def artifacts(home, day):
    return home / "runs" / day / "artifacts"


def sid_map(home, day):
    """Semantic ids of a day as a mapping."""
    rows = pq.read_table(artifacts(home, day) / "tokenizer" / "sid_map.parquet").to_pylist()
    return {(row["item_kind"], row["item_key"]): (row["c1"], row["c2"], row["c3"]) for row in rows}


def test_the_second_day_starts_from_the_champion_of_the_first(two_days):
    home, _ = two_days
    champion = read_json(artifacts(home, FIRST) / "push" / "receipt.json")["version"]
    params = yaml.safe_load((home / "runs" / SECOND / "params.yaml").read_text())
    assert params["run"]["champion"] == champion
    parent = read_json(artifacts(home, SECOND) / "mtp_checkpoint" / "checkpoint.json")["parent"]
    assert parent == champion


def test_the_codebook_is_kept_and_no_item_changes_its_semantic_id(two_days):
    home, _ = two_days
    books = [
        artifacts(home, day) / "tokenizer" / "codebooks.safetensors" for day in (FIRST, SECOND)
    ]
    assert hash_file(books[0]) == hash_file(books[1])
    first, second = sid_map(home, FIRST), sid_map(home, SECOND)
    assert first.items() <= second.items()


def test_ads_that_were_launched_in_between_are_encoded(two_days):
    home, _ = two_days
    assert len(sid_map(home, SECOND)) > len(sid_map(home, FIRST))


def test_the_second_day_is_compared_with_the_champion_and_pushed_or_refused_with_reasons(two_days):
    home, done = two_days
    verdict = read_json(artifacts(home, SECOND) / "evaluation" / "verdict.json")
    assert verdict["champion"] is not None
    if verdict["promote"]:
        assert done.returncode == ExitCode.DONE, done.stderr
        pushed = read_json(artifacts(home, SECOND) / "push" / "receipt.json")["version"]
        assert pushed.startswith(SECOND)
    else:
        assert done.returncode == ExitCode.GATE_REFUSED
        assert verdict["reasons"]
        assert all(reason in done.stderr for reason in verdict["reasons"])


def test_the_first_day_is_untouched_by_the_second(two_days):
    home, _ = two_days
    done = gpr("run", f"--home={home}", f"--day={FIRST}")
    assert done.returncode == 0
    assert "Running stage" not in done.stdout


def test_a_refit_trains_from_scratch_and_is_compared_with_the_champion(two_days):
    home, _ = two_days
    done = gpr("run", f"--home={home}", f"--day={THIRD}", "--set=run.refit=true")
    assert done.returncode in (ExitCode.DONE, ExitCode.GATE_REFUSED), done.stdout + done.stderr
    champion = yaml.safe_load((home / "runs" / THIRD / "params.yaml").read_text())["run"][
        "champion"
    ]
    assert champion is not None
    verdict = read_json(artifacts(home, THIRD) / "evaluation" / "verdict.json")
    assert verdict["champion"] == champion
    checkpoint = read_json(artifacts(home, THIRD) / "mtp_checkpoint" / "checkpoint.json")
    assert checkpoint["parent"] is None
    versions = [read_json(folder / "tokenizer.json")["version"] for folder in tokenizers(home)]
    assert versions[0] == versions[1] != versions[2]
    id_map = pq.read_table(artifacts(home, THIRD) / "tokenizer" / "id_map.parquet")
    known = home / "registry" / "versions" / champion / "tokenizer" / "sid_map.parquet"
    assert id_map.num_rows == pq.read_table(known).num_rows


def tokenizers(home):
    """Folders of the tokenizers of the three days."""
    return [artifacts(home, day) / "tokenizer" for day in (FIRST, SECOND, THIRD)]
