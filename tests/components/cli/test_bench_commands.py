"""`gpr bench amazon`, from a file to a table and a JSON file."""

import pytest
from typer.testing import CliRunner

from components.cli.bench_commands import bench_app
from gpr_core.support.errors import ConfigError
from gpr_core.support.files import read_json


@pytest.fixture
def folder(tmp_path):
    lines = [
        f"{user} " + " ".join(str((user + k) % 12 + 1) for k in range(6)) for user in range(1, 41)
    ]
    (tmp_path / "Walks.txt").write_text("\n".join(lines))
    return tmp_path


def bench(*arguments):
    return CliRunner().invoke(bench_app, ["amazon", *map(str, arguments)], env={"COLUMNS": "200"})


def test_the_table_shows_floors_and_methods_and_the_file_holds_all_numbers(
    folder, monkeypatch, capfd
):
    monkeypatch.setattr("sys.argv", ["gpr", "bench", "amazon", "--data", "x"])
    out = folder / "out.json"
    done = bench(
        "--data", folder, "--json", out, "--method", "HSTU", "--seeds", "0,1", "--processes", 1
    )
    assert done.exit_code == 0, done.output
    assert "Walks: 40 users, 12 items, 240 actions" in done.output
    for name in ("popularity", "repeat-last", "last-item transitions", "item-kNN", "HSTU"):
        assert name in done.output
    # The processes that train show how far they are.
    assert "HSTU seed 1" in capfd.readouterr().err
    record = read_json(out)
    assert record["command"] == "gpr bench amazon --data x"
    assert record["machine"]["cores"] >= 1
    hstu = record["rows"][-1]
    assert [run["seed"] for run in hstu["runs"]] == [0, 1]
    assert hstu["metrics"]["recall@10"]["n"] == 40
    assert record["published"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "HSTV"], "unknown method 'HSTV'"),
        (["--seeds", "0;1"], "found '0;1'"),
    ],
)
def test_a_wrong_option_is_refused(folder, arguments, message):
    done = bench("--data", folder, *arguments)
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)


def test_a_folder_needs_exactly_one_file_of_sequences(folder):
    (folder / "Other.txt").write_text("1 2 3 4")
    assert "2 .txt files in" in str(bench("--data", folder).exception)
    assert "no such file or folder" in str(bench("--data", folder / "nowhere").exception)
