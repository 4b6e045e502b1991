import pyarrow.parquet as pq

from data_contracts.check import check_table
from data_contracts.report import write_check_reports
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_files
from tests.data_contracts.cell_changes import with_cells
from tests.data_contracts.valid_tables import valid_tables

KEY = 10_007


def outcomes():
    table = with_cells(valid_tables()["requests"], {7: {"scene": 9}})
    return [
        check_table("requests", table, references={"users": valid_tables()["users"]}),
        check_table("thoughts", valid_tables()["thoughts"].slice(0, 0)),
    ]


def test_reports_hold_rules_rows_and_pages(tmp_path):
    write_check_reports(outcomes(), tmp_path)
    [requests, thoughts] = read_json(tmp_path / "check.json")
    broken = [rule["id"] for rule in requests["rules"] if rule["status"] == "failed"]
    assert broken == ["RQ-003"]
    assert (requests["rows"], requests["clean_rows"], requests["quarantined_rows"]) == (
        1200,
        1199,
        1,
    )
    assert (thoughts["ok"], thoughts["rows"]) == (True, 0)
    rows = pq.read_table(tmp_path / "quarantine" / "requests.parquet")
    assert rows["request_key"].to_pylist() == [KEY]
    pages = sorted(path.name for path in (tmp_path / "data_docs").iterdir())
    assert pages == ["index.html", "requests_rows.html"]
    index = (tmp_path / "data_docs" / "index.html").read_text()
    assert "requests RQ-003: 1 of 1,200 rows have an unknown scene" in index
    assert "fix: map the scene to 0 channels, 1 moments or 2 official" in index
    page = (tmp_path / "data_docs" / "requests_rows.html").read_text()
    assert "Data documentation compiled by Great Expectations" in page
    assert "df.filter" not in page


def test_reports_of_equal_checks_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_check_reports(outcomes(), tmp_path / name)
    first, second = hash_files(tmp_path / "a"), hash_files(tmp_path / "b")
    names = [name for name in first if name.endswith((".json", ".parquet"))]
    assert len(names) == 2
    assert {name: first[name] for name in names} == {name: second[name] for name in names}


def test_keys_appear_in_the_quarantined_rows_only(tmp_path):
    write_check_reports(outcomes(), tmp_path)
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.suffix in (".json", ".html")]
    assert len(texts) == 3
    assert not [text for text in texts if str(KEY) in text]


def test_rows_of_an_earlier_check_do_not_stay(tmp_path):
    write_check_reports(outcomes(), tmp_path)
    write_check_reports([check_table("requests", valid_tables()["requests"])], tmp_path)
    assert not (tmp_path / "quarantine" / "requests.parquet").exists()
