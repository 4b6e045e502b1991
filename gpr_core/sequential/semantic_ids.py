"""Semantic ids of the items of a data set: from their texts, or from who is acted on with them.

Letters: A items, L levels, V codes, D width.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import coo_array, csr_array

from gpr_core.embeddings.columns import roles_by_type
from gpr_core.embeddings.item_encoder import fit_item_encoder
from gpr_core.embeddings.projection import fit_projection, project
from gpr_core.embeddings.raw_items import items_of_table
from gpr_core.sequential.sequences import Histories, Ints
from gpr_core.support.progress import Progress
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import ItemSample
from gpr_core.tokenizer.rq_kmeans import RQKMeans

Floats = npt.NDArray[np.float32]

_WIDTH = 64
_WINDOW = 3


def semantic_ids(
    texts: tuple[str, ...], train: Histories, config: TokenizationConfig, *, seed: int
) -> Ints:
    """Give every item a code path by RQ-KMeans.

    Codes from texts generalize better than codes from co-occurrence, which repeat what the
    training sequences say; they are used where there is any text.

    Args:
        texts: What is known of each of A items; empty where nothing is.
        train: Training sequences.
        config: Levels and codes; at most as many codes as items are used.
        seed: Run seed.

    Returns:
        [A, L] int64.
    """
    vector_AD = _text_vectors(texts) if any(texts) else cooccurrence_vectors(train, len(texts))
    sample = ItemSample(vector_AD, np.ones(len(vector_AD), dtype=np.float32))
    tokenizer = RQKMeans(config)
    tokenizer.fit(sample, sample, seed=seed, threads=1)
    return tokenizer.encode(vector_AD).astype(np.int64)


def cooccurrence_vectors(sequences: Histories, num_items: int) -> Floats:
    """Embed items by those that stand at most three places away: positive pointwise information.

    Args:
        sequences: Training sequences.
        num_items: Items A.

    Returns:
        [A, D] float32, D = 64 or the number of items if that is smaller.
    """
    first, second = [], []
    for gap in range(1, _WINDOW + 1):
        same_user = sequences.users[gap:] == sequences.users[:-gap]
        first.append(sequences.item_M[:-gap][same_user])
        second.append(sequences.item_M[gap:][same_user])
    pair_2N = np.stack([np.concatenate(first + second), np.concatenate(second + first)])
    pair_AA = coo_array((np.ones(pair_2N.shape[1]), tuple(pair_2N)), shape=(num_items,) * 2)
    count_AA = pair_AA.tocsr()
    count_AA.sum_duplicates()
    share_A = np.asarray(count_AA.sum(1)).reshape(-1) / count_AA.sum()
    entries = count_AA.tocoo()
    rows, columns = entries.coords
    expected = share_A[rows] * share_A[columns] * count_AA.sum()
    gain = np.maximum(np.log(entries.data / expected), 0.0)
    gain_AA = csr_array(coo_array((gain, (rows, columns)), shape=count_AA.shape))
    return project(gain_AA, fit_projection(gain_AA, min(_WIDTH, num_items)))


def _text_vectors(texts: tuple[str, ...]) -> Floats:
    """Embed texts with the default encoder, which sees all items as a pre-trained one would."""
    names = [str(number) for number in range(len(texts))]
    table = pa.table({"item_id": names, "title": [text or "unknown" for text in texts]})
    roles = roles_by_type(table)
    items = items_of_table(table, roles, where="item texts")
    width = min(_WIDTH, len(texts))
    return fit_item_encoder(items, roles, "hashed", width, Progress("items"))[1].text_ND
