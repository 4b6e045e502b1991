"""`gpr render`."""

import pytest

from components.cli.render_commands import render, rendered_files
from gpr_core.support.errors import ConfigError


def test_files_that_differ_are_found_then_written_then_current(tmp_path, capsys):
    with pytest.raises(ConfigError, match=r"out of date: dvc.yaml, params.yaml"):
        render(check=True, root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    render(check=False, root=tmp_path)
    assert "wrote dvc.yaml" in capsys.readouterr().out
    render(check=True, root=tmp_path)
    assert (tmp_path / "dvc.yaml").read_text() == rendered_files()["dvc.yaml"]
