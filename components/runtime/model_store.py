"""The registry of pushed models: immutable versions, and an alias that says which one serves.

    <registry>/versions/<day>-<sha12>/   policy/ tokenizer/ catalog/ corpus_stats/ verdict.json
                                         model_card.md lineage.json MANIFEST.json
    <registry>/aliases.json              {"champion": version, "history": [...], "withdrawn": [...]}

A version is named by its content and appears by one rename; the alias is one small file that is
replaced atomically under a lock. `history` holds the earlier champions, the latest last, so that
rolling back twice works. `withdrawn` holds versions that were rolled back: a retried push must
not quietly bring one back.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from gpr_core.support.errors import ArtifactError, GateError, suggest_name
from gpr_core.support.files import publish_folder, read_json, write_json
from gpr_core.support.hashing import hash_files, hash_value

BUNDLE_MANIFEST = "MANIFEST.json"
SERVED_FOLDERS = ("policy", "tokenizer", "catalog", "corpus_stats")

_BOOKKEEPING = ("manifest.json", "gate_report.json")
_ADDRESS_DIGITS = 12
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases:
    """Which version serves.

    Attributes:
        champion: The version that serves, None before the first push.
        history: Earlier champions, oldest first.
        withdrawn: Versions that were rolled back, oldest first.
    """

    champion: str | None = None
    history: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()


def content_hash(folder: Path) -> str:
    """Hash what an artifact holds, apart from how it came to be.

    Args:
        folder: A published artifact, or the copy of one inside a version.

    Returns:
        sha256 over names and bytes of all files but the manifest and the gate report.
    """
    return hash_value(hash_files(folder, exclude=_BOOKKEEPING))


def day_of_version(version: str) -> str:
    """Tell which training day a version is of.

    Args:
        version: Name of a version.

    Returns:
        The day, ISO.

    Raises:
        ArtifactError: If the name is not one that a push gives.

    Example:
        >>> day_of_version("2026-03-01-0123456789ab")
        '2026-03-01'
    """
    if not _VERSION.fullmatch(version):
        raise ArtifactError(
            f"{version!r} is not the name of a model version",
            where="params.yaml run.champion",
            fix="`gpr models list` shows the versions",
        )
    return version[: -_ADDRESS_DIGITS - 1]


class ModelStore:
    """Reads and changes a registry.

    Args:
        root: Folder of the registry; made on the first push.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def versions(self) -> list[str]:
        """List the published versions.

        Returns:
            Names in order of their day.
        """
        folder = self.root / "versions"
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if _VERSION.fullmatch(path.name))

    def path(self, version: str) -> Path:
        """Find the folder of a version.

        Args:
            version: Its name.

        Returns:
            The folder.

        Raises:
            ArtifactError: If there is no such version.
        """
        known = self.versions()
        if version not in known:
            fix = suggest_name(version, known) if known else "run the step model_push first"
            raise ArtifactError(
                f"there is no model version {version!r}", where=str(self.root), fix=fix
            )
        return self.root / "versions" / version

    def aliases(self) -> Aliases:
        """Read the aliases.

        Returns:
            Champion, history and withdrawn versions.
        """
        path = self.root / "aliases.json"
        if not path.exists():
            return Aliases()
        values = read_json(path)
        return Aliases(
            champion=values["champion"],
            history=tuple(values["history"]),
            withdrawn=tuple(values["withdrawn"]),
        )

    def champion(self) -> str | None:
        """Tell which version serves.

        Returns:
            The version, None before the first push.
        """
        return self.aliases().champion

    def champion_before(self, day: date) -> str | None:
        """Tell which version a day starts from and is compared with.

        A day that is run again must not meet its own first attempt, and a day that is caught up
        on must not meet a model that has seen the day it is judged on.

        Args:
            day: Training day.

        Returns:
            The latest of the champion and its history that is of an earlier day, or None.
        """
        now = self.aliases()
        chain = [*now.history, now.champion] if now.champion else list(now.history)
        earlier = [version for version in chain if day_of_version(version) < day.isoformat()]
        return earlier[-1] if earlier else None

    def verify(self, version: str) -> None:
        """Compare a version with its manifest and its name.

        Args:
            version: Its name.

        Raises:
            ArtifactError: If there is no such version, or a byte of it has changed.
        """
        verify_bundle(self.path(version), version=version)

    def publish(self, bundle: Path, version: str) -> bool:
        """Make a finished bundle visible as a version; a version that exists is left alone.

        Args:
            bundle: Folder sealed by `seal_bundle`; it is copied.
            version: Name that `seal_bundle` gave.

        Returns:
            True if the version is new.

        Raises:
            ArtifactError: If the bundle, or the version that exists, does not match its manifest.
        """
        verify_bundle(bundle, version=version)
        with self._lock():
            if version in self.versions():
                self.verify(version)
                return False
            staging = self.root / ".staging" / f"{version}.{os.getpid()}"
            shutil.rmtree(staging, ignore_errors=True)
            shutil.copytree(bundle, staging)
            try:
                verify_bundle(staging, version=version)
                publish_folder(staging, self.root / "versions" / version)
            finally:
                shutil.rmtree(staging.parent, ignore_errors=True)
        return True

    def promote(self, version: str, *, restore: bool = False) -> str | None:
        """Make a version the champion; promoting the champion again changes nothing.

        Args:
            version: A published version.
            restore: Accept a version that was rolled back.

        Returns:
            The champion before, which a rollback returns to; None if there was none.

        Raises:
            ArtifactError: If there is no such version, or it is damaged.
            GateError: If the version was rolled back and `restore` is False.
        """
        self.verify(version)
        with self._lock():
            now = self.aliases()
            if now.champion == version:
                return now.history[-1] if now.history else None
            if version in now.withdrawn and not restore:
                raise GateError(
                    f"version {version} was rolled back; a push does not bring it back",
                    where=str(self.root / "aliases.json"),
                    fix=f"`gpr models restore {version}`, if that is what you want",
                )
            self._write(
                Aliases(
                    champion=version,
                    history=(*now.history, now.champion) if now.champion else now.history,
                    withdrawn=tuple(name for name in now.withdrawn if name != version),
                )
            )
        return now.champion

    def rollback(self) -> tuple[str, str]:
        """Return to the champion before; the present one is withdrawn.

        Returns:
            The version that serves now and the one withdrawn.

        Raises:
            ArtifactError: If there is nothing to return to, or it is damaged.
        """
        with self._lock():
            now = self.aliases()
            if now.champion is None or not now.history:
                raise ArtifactError(
                    "there is no earlier champion to return to",
                    where=str(self.root),
                    fix="`gpr models list` shows the versions",
                )
            previous = now.history[-1]
            self.verify(previous)
            self._write(
                Aliases(
                    champion=previous,
                    history=now.history[:-1],
                    withdrawn=(*now.withdrawn, now.champion),
                )
            )
        return previous, now.champion

    def _write(self, aliases: Aliases) -> None:
        """Replace the alias file."""
        values: dict[str, Any] = {
            "champion": aliases.champion,
            "history": list(aliases.history),
            "withdrawn": list(aliases.withdrawn),
        }
        write_json(self.root / "aliases.json", values)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one process at a time change the registry."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def bundle_version(bundle: Path, day: date) -> str:
    """Name a bundle by its day and its content.

    The name depends on what is served (policy, tokenizer, catalog, statistics) and not on the
    papers beside it, so that pushing the same model twice is pushing one version.

    Args:
        bundle: Folder with at least the served folders.
        day: Training day.

    Returns:
        `<day>-<first 12 digits of the address>`.

    Raises:
        ArtifactError: If a served folder is missing or empty.
    """
    address = _address(hash_files(bundle, exclude=(BUNDLE_MANIFEST,)), bundle)
    return f"{day.isoformat()}-{address[:_ADDRESS_DIGITS]}"


def seal_bundle(bundle: Path, day: date) -> str:
    """Write the manifest of a complete bundle.

    Args:
        bundle: Folder with all files but the manifest.
        day: Training day.

    Returns:
        Its version, as `bundle_version` names it.

    Raises:
        ArtifactError: If a served folder is missing or empty.
    """
    version = bundle_version(bundle, day)
    files = hash_files(bundle, exclude=(BUNDLE_MANIFEST,))
    manifest = {"version": version, "address": _address(files, bundle), "files": files}
    write_json(bundle / BUNDLE_MANIFEST, manifest)
    return version


def verify_bundle(bundle: Path, *, version: str) -> None:
    """Compare a bundle with its manifest and its name.

    Args:
        bundle: Folder of the bundle.
        version: The name it must carry.

    Raises:
        ArtifactError: If the manifest is missing, names another version, or a file is missing,
            added or changed.
    """
    path = bundle / BUNDLE_MANIFEST
    if not path.exists():
        raise ArtifactError(
            "the bundle has no manifest: it is not complete",
            where=str(path),
            fix="run the step model_push again",
        )
    manifest = read_json(path)
    found = hash_files(bundle, exclude=(BUNDLE_MANIFEST,))
    expected: dict[str, str] = manifest["files"]
    wrong = [
        name
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
    if wrong:
        raise ArtifactError(
            f"{len(wrong)} files of version {version} do not match its manifest: "
            f"{', '.join(wrong[:5])}",
            where=str(bundle),
            fix="roll back to an intact version; never edit a published one",
        )
    digits = _address(found, bundle)[:_ADDRESS_DIGITS]
    if manifest["version"] != version or not version.endswith(f"-{digits}"):
        raise ArtifactError(
            f"the bundle is version {manifest['version']} with content {digits}, not {version}",
            where=str(bundle),
            fix="never rename a version; run the step model_push again",
        )


def _address(files: dict[str, str], bundle: Path) -> str:
    """Hash the files that are served."""
    served = {name: sha for name, sha in files.items() if name.split("/")[0] in SERVED_FOLDERS}
    present = {name.split("/")[0] for name in served}
    missing = [name for name in SERVED_FOLDERS if name not in present]
    if missing:
        raise ArtifactError(
            f"the bundle lacks {', '.join(missing)}",
            where=str(bundle),
            fix="a bundle is complete or it is not pushed; run the step model_push again",
        )
    return hash_value(served)
