"""Tests of the Table 2 study: its rows, and how results become a table."""

import numpy as np
import pytest

from benchmarks.table2 import show, summarize
from benchmarks.table2_rows import count_parameters, table_rows
from gpr_core.models.config import ModelConfig
from gpr_core.params import preset

SIZES = (32, 32, 32)
ROWS = table_rows(ModelConfig(), SIZES)
NAMES = ("hstu", "gpr_full", "one_rec", "hstu+mtp", "hstu+token_aware_ffn", "hstu+thinking")


def test_every_row_of_the_paper_is_there():
    parts = {"hybrid_attention", "token_aware_ffn", "token_aware_norm", "recursion"}
    parts |= {"external_knowledge", "thinking", "refining", "hte", "mtp"}
    assert {f"hstu+{part}" for part in parts} <= ROWS.keys()
    assert {"hstu", "one_rec", "gpr_full"} <= ROWS.keys()


def test_controls_have_the_parameters_of_what_they_control():
    def dense(name):
        return count_parameters(ROWS[name].model, SIZES).dense

    assert dense("hstu+shared_ffn_wide") == dense("hstu+token_aware_ffn")
    assert dense("gpr_full") <= dense("hstu_as_large_as_gpr") <= 1.1 * dense("gpr_full")


@pytest.mark.parametrize("name", ["tiger", "one_rec"])
def test_encoder_decoders_are_trained_on_one_request_per_sequence(name):
    config = ROWS[name].config(preset("tiny").mtp_pretrain, passes=3)
    assert config.sequence.layout == "prefix"
    assert (config.epochs, ROWS["hstu"].config(preset("tiny").mtp_pretrain, 3).epochs) == (1, 3)


def results(positions_by_row):
    """Results of two seeds with the same positions."""
    return {
        seed: {
            row: {"position": positions, "path_position": positions, "kind": "part"}
            for row, positions in positions_by_row.items()
        }
        for seed in (0, 1)
    }


def table(better, *, same_users=False):
    """Summarize rows that all miss, apart from some that hit half of the requests."""
    users = {seed: np.arange(40) for seed in (0, 1)}
    is_new = {seed: np.arange(40) < 10 for seed in (0, 1)}
    positions = {name: [0] * 40 for name in NAMES} | {name: [1, 0] * 20 for name in better}
    return summarize(results(positions), users, is_new, same_users=same_users)


def test_rows_are_compared_with_hstu_request_by_request():
    found = table(["gpr_full"])
    row = found["rows"]["gpr_full"]
    assert row["HR@10"]["mean"] == 0.5
    assert row["HR@10"]["by_seed"] == [0.5, 0.5]
    assert row["HR@10"]["minus_hstu"]["mean"] == 0.5
    assert row["no_repeat_HR@10"]["mean"] == 0.5
    assert found["rows"]["hstu"]["HR@10"]["minus_hstu"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert "position" not in row
    assert "gpr_full" in show(found)


def test_an_order_holds_only_if_its_interval_is_above_zero():
    assert table(["gpr_full"])["asserted"]["gpr_full above hstu"]["holds"]
    assert not table([])["asserted"]["gpr_full above hstu"]["holds"]
    assert not table(["hstu", "gpr_full"])["asserted"]["gpr_full above hstu"]["holds"]


def test_a_part_may_not_be_below_hstu_by_more_than_a_standard_error():
    text = "hstu+mtp not below hstu by more than a standard error"
    assert table([])["asserted"][text]["holds"]
    assert not table(["hstu"])["asserted"][text]["holds"]


def test_people_who_are_met_by_every_seed_count_once():
    def width(same_users):
        found = table(["gpr_full"], same_users=same_users)["rows"]["gpr_full"]["HR@10"]
        return found["high"] - found["low"]

    assert width(same_users=True) > 1.2 * width(same_users=False)
