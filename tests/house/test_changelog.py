"""The changelog knows the version of the package."""

import re
from pathlib import Path

from gpr_core import __version__

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"


def test_unreleased_stands_on_top_and_the_newest_version_is_ours():
    titles = re.findall(r"^## \[(.+?)\]", CHANGELOG.read_text(), flags=re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert titles[1] == __version__
