import bisect

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.support.bisection import first_place


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    numbers=st.lists(st.integers(-50, 50), min_size=1, max_size=40).map(sorted),
    asked=st.lists(
        st.tuples(st.integers(-60, 60), st.integers(0, 40), st.integers(0, 40)), max_size=20
    ),
)
def test_every_search_is_the_one_of_the_standard_library(numbers, asked):
    ranges = [(min(a, b, len(numbers)), min(max(a, b), len(numbers))) for _, a, b in asked]
    low, high = (torch.tensor([r[i] for r in ranges], dtype=torch.int64) for i in range(2))
    wanted = torch.tensor([w for w, _, _ in asked], dtype=torch.int64)
    sorted_numbers = torch.tensor(numbers)
    found = first_place(
        low, high, len(numbers).bit_length(), lambda place: sorted_numbers[place] < wanted
    )
    expected = [
        bisect.bisect_left(numbers, w, a, b)
        for (w, _, _), (a, b) in zip(asked, ranges, strict=True)
    ]
    assert found.tolist() == expected
