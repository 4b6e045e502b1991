"""What is said about a machine."""

from gpr_core.support import machine as module
from gpr_core.support.machine import describe_machine


def test_settings_of_number_libraries_are_recorded(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("GPR_THREADS", "1")
    monkeypatch.setenv("UNRELATED", "1")
    machine = describe_machine()
    assert machine["environment"]["OPENBLAS_CORETYPE"] == "Haswell"
    assert machine["environment"]["GPR_THREADS"] == "1"
    assert "UNRELATED" not in machine["environment"]


def test_a_library_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(module, "_LIBRARIES", ("torch", "no-such-library"))
    assert list(describe_machine()["libraries"]) == ["torch"]
