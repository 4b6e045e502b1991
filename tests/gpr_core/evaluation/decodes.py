"""A small decode with every fate."""

from math import nan

from gpr_core.evaluation.decode_view import DecodeView, LevelView, PrefixRow
from gpr_core.generation.explanation import FATES, Fate


def make_row(codes, label, fate, *, probability=0.5, value=0.25, score=-0.5, ads=12, eligible=9):
    if fate is Fate.NO_ELIGIBLE_AD:
        return PrefixRow(codes, label, fate, -1, nan, nan, nan, ads, 0)
    return PrefixRow(codes, label, fate, 0, probability, value, score, ads, eligible)


def make_decode():
    first = [
        make_row((0,), "coffee, tea", Fate.KEPT, ads=1200, eligible=1100),
        make_row((4,), "cars & vans", Fate.KEPT_BY_VALUE, probability=0.01, value=3.0),
        make_row((2,), "shoes", Fate.CUT_BY_VALUE, probability=0.2),
        make_row((3,), "<b>", Fate.CUT_BY_SCORE, probability=0.001, value=-1.0),
        make_row((1,), "holidays", Fate.NO_ELIGIBLE_AD),
    ]
    second = [
        *(make_row((0, code), f"tea {code}", Fate.KEPT) for code in range(8)),
        make_row((4, 1), "vans", Fate.KEPT),
        make_row((4, 2), "cars", Fate.CUT_BY_SCORE),
    ]
    counts = dict.fromkeys(FATES, 0) | {Fate.KEPT: 40, Fate.CUT_BY_SCORE: 1}
    return DecodeView(
        request_key=77,
        num_ads=1500,
        num_eligible=1234,
        levels=[
            LevelView(0, 2, dict.fromkeys(FATES, 1), first),
            LevelView(1, None, counts, second),
        ],
    )
