"""An item that has an id keeps it, under every leaf policy."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.tokenization.encoding import Paths
from gpr_core.catalog.bundle import load_catalog
from gpr_core.support.errors import ConfigError, GateError
from gpr_core.support.hashing import hash_file
from gpr_core.tokenizer.bundle import read_version_file
from gpr_core.tokenizer.leaf_policy import LEAF_FILE, LeafRule
from gpr_core.tokenizer.sid_map import codes_of, stored_rows
from tests.components.tokenization.corpora import CONFIG, run_with_champion


def ids_of(context):
    """The semantic ids of a day."""
    return pq.read_table(context.outputs["tokenizer"] / "sid_map.parquet")


def test_old_ids_stay_even_if_the_vectors_moved(first_day, registry, tmp_path):
    context, result = run_with_champion(tmp_path, registry, num_ads=60, seed=40)
    old, new = ids_of(first_day[0]), ids_of(context)
    assert codes_of(new).tolist() == codes_of(old).tolist()
    assert result.metrics["stored_ids_reproduced_share"] < 0.5


def test_under_every_policy_only_new_items_get_new_ids(policy_day, policy_registry, tmp_path):
    context, result = run_with_champion(tmp_path, policy_registry, params=policy_day[0].params)
    old, new = ids_of(policy_day[0]), ids_of(context)
    assert new.num_rows == old.num_rows + 6
    assert codes_of(new)[stored_rows(new, old)].tolist() == codes_of(old).tolist()
    assert result.metrics["stored_ids_reproduced_share"] == 1.0
    folders = [day.outputs["tokenizer"] for day in (policy_day[0], context)]
    assert read_version_file(folders[0]) == read_version_file(folders[1])
    assert hash_file(folders[0] / LEAF_FILE) == hash_file(folders[1] / LEAF_FILE)
    sizes = [load_catalog(day.outputs["catalog"]).trie for day in (policy_day[0], context)]
    assert sizes[0].codebook_sizes == sizes[1].codebook_sizes


def test_moved_vectors_change_no_id_under_any_policy(policy_day, policy_registry, tmp_path):
    params = policy_day[0].params
    context, result = run_with_champion(
        tmp_path, policy_registry, params=params, num_ads=60, seed=40
    )
    assert codes_of(ids_of(context)).tolist() == codes_of(ids_of(policy_day[0])).tolist()
    assert result.metrics["stored_ids_reproduced_share"] < 0.5


def test_ids_are_kept_only_under_their_own_policy(registry, tmp_path):
    with pytest.raises(ConfigError, match="leaf_policy is suffix, the champion's ids follow value"):
        run_with_champion(tmp_path, registry, params=replace(CONFIG, leaf_policy="suffix"))


def test_a_path_that_outgrows_its_suffixes_stops_the_day(policy_day, policy_registry, tmp_path):
    params, message = policy_day[0].params, r"paths need up to \d+ suffixes, the tokenizer has \d+"
    if params.leaf_policy == "suffix":
        with pytest.raises(GateError, match=message):
            run_with_champion(tmp_path, policy_registry, params=params, num_ads=500)
    else:
        context, _ = run_with_champion(tmp_path, policy_registry, params=params, num_ads=500)
        assert ids_of(context).num_rows == 590


def test_the_size_of_suffixes_bounds_codes_and_shows_when_a_refit_is_due():
    path_MP = np.array([[1, 2, 0], [1, 2, 4], [1, 1, 2]], np.int16)
    numbered = Paths(rule=LeafRule(policy="suffix", size=16), sizes=(8, 8, 16), path_MP=path_MP)
    assert numbered.metrics() == {"suffixes_used_share": 5 / 16}
    assert numbered.bounds() == {"code_high": 15, "leaf_rank_high": 0}
    shared = Paths(rule=LeafRule(), sizes=(8, 8), path_MP=path_MP[:, :2])
    assert shared.metrics() == {}
    assert shared.bounds() == {"code_high": 7}
