from pathlib import Path

from components.evaluation.main import PARAMS
from components.evaluation.spec import SPEC
from gpr_core.evaluation.config import EvaluationConfig

ROOT = Path(__file__).resolve().parents[3]


def test_every_code_path_exists():
    assert [path for path in SPEC.code if not (ROOT / path).exists()] == []


def test_the_result_depends_on_the_champion_and_on_both_days():
    assert "champion" in SPEC.run_params
    assert SPEC.lake_manifests == ("train", "evaluation")


def test_rows_per_request_keep_their_contract():
    [artifact] = SPEC.outputs
    assert artifact.contracts == {"per_request.parquet": "evaluation_requests"}


def test_the_section_is_read_into_its_own_config():
    assert PARAMS is EvaluationConfig
