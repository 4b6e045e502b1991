"""The committed files are what the registry renders.

That DVC, Airflow and Kubeflow do what the registry says is in `tests/traps/test_t38_*`.
"""

from pathlib import Path

import pytest

from components.cli.render_commands import rendered_files

ROOT = Path(__file__).resolve().parents[2]


NAMES = ("dvc.yaml", "params.yaml", "dags/kubeflow/gpr_daily.yaml")


@pytest.fixture(scope="module")
def rendered():
    return rendered_files()


def test_three_files_are_rendered(rendered):
    assert tuple(rendered) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_file_is_what_the_registry_renders(name, rendered):
    assert (ROOT / name).read_text() == rendered[name], "run `gpr render` and commit"
