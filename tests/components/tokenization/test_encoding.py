"""An item that has an id keeps it."""

import pyarrow.parquet as pq

from gpr_core.tokenizer.sid_map import codes_of
from tests.components.tokenization.corpora import (
    run_with_champion,
)


def test_old_ids_stay_even_if_the_vectors_moved(first_day, registry, tmp_path):
    context, result = run_with_champion(tmp_path, registry, num_ads=60, seed=40)
    ids = [
        pq.read_table(outputs["tokenizer"] / "sid_map.parquet")
        for outputs in (first_day[0].outputs, context.outputs)
    ]
    assert codes_of(ids[1]).tolist() == codes_of(ids[0]).tolist()
    assert result.metrics["stored_ids_reproduced_share"] < 0.5
