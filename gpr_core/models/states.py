"""What the model knows at requests and along code paths, between one call and the next.

Letters: B users, D width, M flat rows (valid readouts in (b, r) order), N flat rows (prefixes), P
codes of a prefix.
"""

from typing import NamedTuple

from torch import Tensor

from gpr_core.models.code_decoder import Prefixes
from gpr_core.models.history_copy import ShownAds
from gpr_core.models.ptd import Intent
from gpr_core.models.routing import Routing


class ReadoutState(NamedTuple):
    """What the model knows at each valid readout of a batch.

    Attributes:
        readout_MD: [M, D] float, intent embedding at the request, h.
        intent: Thoughts, their sum c, refined token r, and the state for generation.
        value_state_MX: [M, 3 * D] float, (h, c, r) without gradient: the input of all values.
        row_batch_M: [M] int64, user of each readout.
        routing: What the recursion router did with the tokens; None without one.
        shown: Ads whose codes may be copied; None for a model that does not copy.
    """

    readout_MD: Tensor
    intent: Intent
    value_state_MX: Tensor
    row_batch_M: Tensor
    routing: Routing | None
    shown: ShownAds | None


class PathPrefixes(NamedTuple):
    """Prefixes of one length.

    Attributes:
        state: What they start from.
        heads_N: [N] int64, head that generates each.
        codes_NP: [N, P] int64, codes chosen so far.
        decoded: What the decoder keeps of them.
    """

    state: ReadoutState
    heads_N: Tensor
    codes_NP: Tensor
    decoded: Prefixes
