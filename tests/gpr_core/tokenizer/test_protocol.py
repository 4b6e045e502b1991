"""Every tokenizer keeps the protocol; the checks of training samples."""

import numpy as np
import pytest

from gpr_core.support.errors import ConfigError, ShapeError
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import ItemSample, check_sample
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from gpr_core.tokenizer.rq_kmeans_plus import RQKMeansPlus
from tests.conformance.tokenizer import CHECKS, check_storage_keeps_everything, make_items

CONFIG = TokenizationConfig(
    num_levels=3, codebook_size=8, hidden_width=16, epochs=8, batch_size=50, kmeans_iterations=10
)
MAKERS = {"rq_kmeans": lambda: RQKMeans(CONFIG), "rq_kmeans_plus": lambda: RQKMeansPlus(CONFIG)}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_tokenizer_keeps_the_protocol(check, kind):
    check(MAKERS[kind])


@pytest.mark.parametrize("kind", MAKERS)
def test_a_stored_tokenizer_is_the_same_tokenizer(kind, tmp_path):
    check_storage_keeps_everything(MAKERS[kind], tmp_path)


def test_a_training_sample_needs_positive_weights():
    items = make_items(10)
    with pytest.raises(ConfigError, match="1 training weights are not positive"):
        check_sample(items._replace(weight_M=np.r_[items.weight_M[:9], 0]), 4)


def test_a_training_sample_needs_a_weight_per_item():
    with pytest.raises(ShapeError, match="weight_M has shape"):
        check_sample(ItemSample(make_items(10).x_MD, np.ones(9, np.float32)), 4)


def test_the_message_names_the_parameter_and_the_bound():
    with pytest.raises(ConfigError, match="codebook_size") as caught:
        check_sample(make_items(400), 512)
    assert str(caught.value).splitlines() == [
        "codebook_size is 512 but only 400 training items exist",
        "  where: params.yaml tokenization.codebook_size",
        "  fix: use <= 400, or more data",
    ]
