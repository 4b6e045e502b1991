import itertools
import multiprocessing
from datetime import date

import pytest

from components.runtime.model_store import (
    SERVED_FOLDERS,
    Aliases,
    ModelStore,
    content_hash,
    day_of_version,
    seal_bundle,
    verify_bundle,
)
from gpr_core.support.errors import ArtifactError, GateError
from gpr_core.support.files import read_json, write_json

DAY = date(2026, 3, 1)


def make_bundle(folder, content="weights"):
    for name in SERVED_FOLDERS:
        (folder / name).mkdir(parents=True)
        (folder / name / "data.bin").write_text(f"{name} {content}")
    write_json(folder / "verdict.json", {"promote": True})
    return seal_bundle(folder, DAY)


def push(store, tmp_path, content):
    bundle = tmp_path / f"bundle-{content}"
    version = make_bundle(bundle, content)
    store.publish(bundle, version)
    store.promote(version)
    return version


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "registry")


def tree_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_version_is_day_and_content(tmp_path):
    first, again, other = (
        make_bundle(tmp_path / name, content)
        for name, content in (("a", "x"), ("b", "x"), ("c", "y"))
    )
    assert first == again != other
    assert first.startswith("2026-03-01-")
    assert len(first) == len("2026-03-01-") + 12


def test_papers_beside_the_model_do_not_change_its_version(tmp_path):
    first = make_bundle(tmp_path / "a")
    (tmp_path / "a" / "model_card.md").write_text("another card")
    (tmp_path / "a" / "MANIFEST.json").unlink()
    assert seal_bundle(tmp_path / "a", DAY) == first


def test_a_new_registry_is_empty(store):
    assert store.versions() == []
    assert store.aliases() == Aliases()
    assert not store.root.exists()


def test_published_version_is_a_verified_copy(store, tmp_path):
    version = make_bundle(tmp_path / "bundle")
    assert store.publish(tmp_path / "bundle", version)
    assert tree_of(store.path(version)) == tree_of(tmp_path / "bundle")
    assert store.versions() == [version]
    store.verify(version)
    assert store.aliases().champion is None


def test_publishing_and_promoting_again_changes_nothing(store, tmp_path):
    push(store, tmp_path, "one")
    version = push(store, tmp_path, "two")
    before = tree_of(store.root)
    assert not store.publish(tmp_path / "bundle-two", version)
    store.promote(version)
    assert tree_of(store.root) == before


def test_two_rollbacks_return_to_the_first_champion(store, tmp_path):
    first, second, third = (push(store, tmp_path, name) for name in ("one", "two", "three"))
    assert store.aliases() == Aliases(champion=third, history=(first, second))
    assert store.rollback() == (second, third)
    assert store.rollback() == (first, second)
    assert store.aliases() == Aliases(champion=first, withdrawn=(third, second))
    with pytest.raises(ArtifactError, match="no earlier champion"):
        store.rollback()


def test_a_retried_push_does_not_undo_a_rollback(store, tmp_path):
    first, second = (push(store, tmp_path, name) for name in ("one", "two"))
    store.rollback()
    with pytest.raises(GateError, match="was rolled back"):
        store.promote(second)
    assert store.aliases().champion == first
    assert store.promote(second, restore=True) == first
    assert store.aliases() == Aliases(champion=second, history=(first,))


def test_promote_names_the_champion_before_even_when_retried(store, tmp_path):
    first, second = (push(store, tmp_path, name) for name in ("one", "two"))
    assert store.promote(second) == first


def test_a_changed_added_or_missing_file_is_found(store, tmp_path):
    version = push(store, tmp_path, "one")
    data = store.path(version) / "policy" / "data.bin"
    data.write_text("edited")
    with pytest.raises(ArtifactError, match=r"1 files .* policy/data\.bin"):
        store.verify(version)
    with pytest.raises(ArtifactError, match="do not match its manifest"):
        store.promote(version)
    data.unlink()
    with pytest.raises(ArtifactError, match=r"policy/data\.bin"):
        store.verify(version)


def test_a_renamed_version_is_found(store, tmp_path):
    version = push(store, tmp_path, "one")
    renamed = "2026-03-02-" + version[-12:]
    store.path(version).rename(store.root / "versions" / renamed)
    with pytest.raises(ArtifactError, match=f"is version {version} .* not {renamed}"):
        store.verify(renamed)


def test_a_manifest_rewritten_for_other_bytes_does_not_fit_the_name(tmp_path):
    version = make_bundle(tmp_path / "a")
    (tmp_path / "a" / "policy" / "data.bin").write_text("edited")
    manifest = read_json(tmp_path / "a" / "MANIFEST.json")
    other = make_bundle(tmp_path / "b", "other")
    (tmp_path / "a" / "MANIFEST.json").unlink()
    seal_bundle(tmp_path / "a", DAY)
    sealed = read_json(tmp_path / "a" / "MANIFEST.json")
    write_json(tmp_path / "a" / "MANIFEST.json", {**sealed, "version": manifest["version"]})
    assert other != version
    with pytest.raises(ArtifactError, match=f"not {version}"):
        verify_bundle(tmp_path / "a", version=version)


def test_incomplete_bundles_are_refused(store, tmp_path):
    (tmp_path / "bundle" / "policy").mkdir(parents=True)
    (tmp_path / "bundle" / "policy" / "data.bin").write_text("x")
    with pytest.raises(ArtifactError, match="lacks tokenizer, catalog, corpus_stats"):
        seal_bundle(tmp_path / "bundle", DAY)
    with pytest.raises(ArtifactError, match="has no manifest"):
        store.publish(tmp_path / "bundle", "2026-03-01-000000000000")
    assert not store.root.exists()


def test_unknown_version_names_the_known_ones(store, tmp_path):
    with pytest.raises(ArtifactError, match="run the step model_push first"):
        store.path("2026-03-01-000000000000")
    version = push(store, tmp_path, "one")
    with pytest.raises(ArtifactError, match=f"known: {version}"):
        store.path("2026-03-01-000000000000")


def test_rollback_refuses_to_return_to_a_damaged_version(store, tmp_path):
    first, second = (push(store, tmp_path, name) for name in ("one", "two"))
    (store.path(first) / "policy" / "data.bin").write_text("edited")
    with pytest.raises(ArtifactError, match="do not match its manifest"):
        store.rollback()
    assert store.aliases().champion == second


def test_content_hash_ignores_bookkeeping_and_sees_every_byte(tmp_path):
    (tmp_path / "weights").write_text("a")
    before = content_hash(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "gate_report.json").write_text("{}")
    assert content_hash(tmp_path) == before
    (tmp_path / "weights").write_text("b")
    assert content_hash(tmp_path) != before


def _promote_and_roll_back(root, version):
    store = ModelStore(root)
    for _ in range(20):
        store.promote(version, restore=True)


def test_processes_that_promote_at_once_leave_a_complete_history(store, tmp_path):
    versions = [push(store, tmp_path, name) for name in ("one", "two", "three")]
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_promote_and_roll_back, args=(store.root, version))
        for version in versions
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    aliases = store.aliases()
    chain = [*aliases.history, aliases.champion]
    assert set(chain) == set(versions)
    assert all(left != right for left, right in itertools.pairwise(chain))


def test_a_day_that_runs_again_is_compared_with_the_champion_it_began_with(store, tmp_path):
    first = push(store, tmp_path, "one")
    assert store.champion_before(DAY) is None
    assert store.champion_before(date(2026, 3, 2)) == first
    bundle = tmp_path / "next"
    make_bundle(bundle, "next")
    (bundle / "MANIFEST.json").unlink()
    later = seal_bundle(bundle, date(2026, 3, 2))
    store.publish(bundle, later)
    store.promote(later)
    assert store.champion() == later
    assert store.champion_before(date(2026, 3, 2)) == first
    # A day that is caught up on never starts from a model of its own future.
    assert store.champion_before(DAY) is None


def test_the_day_of_a_version_is_in_its_name(store, tmp_path):
    assert day_of_version(push(store, tmp_path, "one")) == DAY.isoformat()
    with pytest.raises(ArtifactError, match="'v1' is not the name of a model version"):
        day_of_version("v1")
