"""The sequence parameters of a checkpoint, so that later steps read timelines as it was trained."""

from pathlib import Path

from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_json
from gpr_core.training.config import SequenceConfig

SEQUENCE_FILE = "sequence.json"


def save_sequence(folder: Path, config: SequenceConfig) -> None:
    """Write the parameters beside a checkpoint.

    Args:
        folder: Folder of the checkpoint.
        config: The parameters.
    """
    write_json(folder / SEQUENCE_FILE, to_mapping(config))


def load_sequence(folder: Path) -> SequenceConfig:
    """Read the parameters beside a checkpoint.

    Args:
        folder: Folder of the checkpoint.

    Returns:
        The parameters.

    Raises:
        ArtifactError: If the file is missing.
        ConfigError: If it holds something else.
    """
    path = folder / SEQUENCE_FILE
    if not path.exists():
        raise ArtifactError(
            f"{SEQUENCE_FILE} is missing", where=str(folder), fix="run mtp_pretrain again"
        )
    return load_section(SequenceConfig, read_json(path), where=str(path))
