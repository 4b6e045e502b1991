"""A small codebook view with two levels of four codes."""

from gpr_core.evaluation.codebook_charts import Code
from gpr_core.evaluation.codebook_section import CodebookView, LeafRow, Measure


def make_view():
    levels = [
        [Measure("Gini", "0 for even use", "0.250", "0.375")],
        [Measure("Gini", "0 for even use", "0.500", "0.625")],
    ]
    return CodebookView(
        facts=[("tokenizer", "rq_kmeans_plus")],
        measures=[Measure("collision", "share of items", "18.2%", "21.4%")],
        levels=levels,
        counts=[[9, 3, 0, 4], [8, 2, 2, 4]],
        tree=[
            Code("0", "coffee, tea", 9, 4, [Code("0 / 0", "red", 8, 4)]),
            Code("3", "", 4, 0),
        ],
        leaves=[
            LeafRow("0 / 0", 1200, 3, "0.988", ["coffee 75%", "tea 25%"], ["<b> & tea", "red tea"]),
        ],
    )
