import numpy as np
import pyarrow as pa
import pytest

from components.evaluation.outputs import Judgement, per_request_table
from gpr_core.evaluation.verdict import Verdict


@pytest.fixture
def judgement(mini_day):
    day = mini_day.prepare(max_requests=3)
    return Judgement(
        day=day,
        columns={"hepo/ndcg": np.array([0.5, np.nan, 1.0])},
        values={},
        differences=[],
        verdict=Verdict(promote=False, rules=()),
        illegal={},
        value_scale={"low": 0.0, "high": 1.0},
        has_truth=False,
    )


def test_a_request_that_does_not_count_is_null(judgement):
    rows = per_request_table(judgement)
    assert rows["hepo/ndcg"].to_pylist() == [0.5, None, 1.0]
    assert rows["hepo/ndcg"].type == pa.float64()


def test_rows_carry_keys_and_what_is_known_of_the_truth(judgement):
    rows = per_request_table(judgement)
    assert rows["request_key"].type == pa.uint64()
    assert rows["truth_eligible"].to_pylist() == [True, True, True]
    assert rows["num_eligible"].to_pylist() == judgement.day.eligible_BA.sum(1).tolist()
