"""Numbers that others have published for the same files and the same protocol.

Leave-one-out, full ranking, seen items masked. A data set is known by its counts, which tells
Beauty from a file that is only called so.
"""

from typing import NamedTuple

from gpr_core.sequential.sequences import SequenceData


class Published(NamedTuple):
    """One published row.

    Attributes:
        method: Name of the method.
        source: Where the numbers are printed.
        recall_at_10: Recall@10.
        ndcg_at_10: NDCG@10.
    """

    method: str
    source: str
    recall_at_10: float
    ndcg_at_10: float


_ESASREC = "eSASRec repository"
_GENREC = "genrec repository"

# (users, items, interactions) -> rows.
_BY_COUNTS = {
    (22363, 12101, 198502): (
        Published("TIGER", "TIGER paper", 0.0648, 0.0384),
        Published("ActionPiece", "ActionPiece paper", 0.0775, 0.0424),
        Published("SASRec", _GENREC, 0.0688, 0.0375),
        Published("HSTU", _GENREC, 0.0708, 0.0412),
        Published("TIGER", _GENREC, 0.0721, 0.0378),
        Published("HSTU", _ESASREC, 0.0788, 0.0439),
        Published("SASRec, sampled softmax", _ESASREC, 0.0921, 0.0531),
    ),
    (35598, 18357, 296337): (
        Published("TIGER", "TIGER paper", 0.0400, 0.0225),
        Published("ActionPiece", "ActionPiece paper", 0.0500, 0.0264),
        Published("SASRec", _GENREC, 0.0373, 0.0185),
        Published("HSTU", _GENREC, 0.0365, 0.0207),
        Published("TIGER", _GENREC, 0.0414, 0.0224),
        Published("HSTU", _ESASREC, 0.0437, 0.0243),
        Published("SASRec, sampled softmax", _ESASREC, 0.0569, 0.0314),
    ),
    (19412, 11924, 167597): (
        Published("TIGER", "TIGER paper", 0.0712, 0.0432),
        Published("SASRec", _GENREC, 0.0700, 0.0374),
        Published("HSTU", _GENREC, 0.0685, 0.0427),
        Published("TIGER", _GENREC, 0.0647, 0.0350),
        Published("HSTU", _ESASREC, 0.0778, 0.0450),
        Published("SASRec, sampled softmax", _ESASREC, 0.0970, 0.0580),
    ),
}


def published_for(data: SequenceData) -> tuple[Published, ...]:
    """Find what was published for a data set.

    Args:
        data: The data set.

    Returns:
        Rows, none if the data set is not a known one.
    """
    counts = (len(data.all), data.num_items, len(data.all.item_M))
    return _BY_COUNTS.get(counts, ())
