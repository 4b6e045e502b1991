"""User timelines as padded tensors.

Letters: B users, T tokens, R readouts, L levels, F fields, P words of a thought.
"""

from typing import NamedTuple

from torch import Tensor

NUM_WORD_BUCKETS = 8192


class TimelineBatch(NamedTuple):
    """Timelines of B users, padded on the right to a common length.

    Tokens of a user are sorted by (time, kind, key). A readout is the environment token of one
    request: the model predicts there, and only from tokens up to and including it.

    Attributes:
        kind_BT: [B, T] int64, `TokenKind`; 4 marks padding.
        sid_BTL: [B, T, L] int64, codes of the organic or ad item; 0 where there is none.
        has_sid_BT: [B, T] bool, True where `sid_BTL` holds real codes.
        feat_BTF: [B, T, F] int64, fields of `gpr_core.features.fields`; 0 is unknown.
        ts_BT: [B, T] int64, epoch ms UTC of the event; 0 on padding.
        seg_BT: [B, T] int64, number of environment tokens strictly before this position.
        readout_BR: [B, R] int64, position of the environment token of each readout; -1 for none.
        request_key_BR: [B, R] int64, request of each readout; 0 for none.
        user_key_B: [B] int64.
        thought_BRP: [B, R, P] int64, hashed words of what external knowledge said about the user
            before the day of each readout, in [0, `NUM_WORD_BUCKETS`); 0 is no word, and P is 0
            only where nobody asked for thoughts, which a model that reads them refuses.
    """

    kind_BT: Tensor
    sid_BTL: Tensor
    has_sid_BT: Tensor
    feat_BTF: Tensor
    ts_BT: Tensor
    seg_BT: Tensor
    readout_BR: Tensor
    request_key_BR: Tensor
    user_key_B: Tensor
    thought_BRP: Tensor
