from datetime import date

import pytest
from typer.testing import CliRunner

from components.model_push.commands import models_app
from components.runtime.model_store import SERVED_FOLDERS, ModelStore, seal_bundle
from gpr_core.support.errors import ArtifactError


@pytest.fixture
def home(tmp_path):
    store = ModelStore(tmp_path / "registry")
    for day in (1, 2):
        bundle = tmp_path / f"bundle-{day}"
        for name in SERVED_FOLDERS:
            (bundle / name).mkdir(parents=True)
            (bundle / name / "data").write_text(f"{name} {day}")
        (bundle / "model_card.md").write_text(f"# card {day}")
        version = seal_bundle(bundle, date(2026, 3, day))
        store.publish(bundle, version)
        store.promote(version)
    return tmp_path


def call(home, *arguments):
    result = CliRunner().invoke(models_app, [*arguments, "--home", str(home)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_list_marks_champion_and_withdrawn_versions(home):
    first, second = ModelStore(home / "registry").versions()
    assert call(home, "list") == f"  {first}\n* {second}\n"
    call(home, "rollback")
    assert call(home, "list") == f"* {first}\n- {second}\n"


def test_show_prints_the_card(home):
    [first, _] = ModelStore(home / "registry").versions()
    assert call(home, "show", first) == "# card 1\n"


def test_verify_finds_a_changed_file(home):
    store = ModelStore(home / "registry")
    [first, _] = store.versions()
    assert call(home, "verify", first) == f"{first} is intact\n"
    (store.path(first) / "policy" / "data").write_text("edited")
    with pytest.raises(ArtifactError, match="do not match its manifest"):
        call(home, "verify", first)


def test_rollback_and_restore_name_what_serves(home):
    first, second = ModelStore(home / "registry").versions()
    assert call(home, "rollback") == f"champion is {first}; {second} is withdrawn\n"
    assert call(home, "restore", second) == f"champion is {second}\n"
    assert ModelStore(home / "registry").champion() == second
