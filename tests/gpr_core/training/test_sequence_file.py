from pathlib import Path

import pytest

from gpr_core.support.errors import ArtifactError
from gpr_core.training.config import SequenceConfig
from gpr_core.training.sequence_file import load_sequence, save_sequence


def test_sequence_parameters_travel_with_the_checkpoint(tmp_path: Path) -> None:
    config = SequenceConfig(max_tokens=48, new_tokens=20, gate_user_share=0.3)
    save_sequence(tmp_path, config)
    assert load_sequence(tmp_path) == config


def test_a_checkpoint_without_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"sequence\.json is missing"):
        load_sequence(tmp_path)
