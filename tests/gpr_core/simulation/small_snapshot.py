"""Snapshots of the small corpus, written by the same functions as the step uses."""

import shutil

from gpr_core.simulation.config import RankerConfig
from gpr_core.simulation.ranker_data import fit_rankers, logged_rows
from gpr_core.simulation.ranker_features import RankerFeatures, ad_events, organic_events
from gpr_core.simulation.rankers import save_rankers
from gpr_core.simulation.rollout import Simulator
from gpr_core.simulation.snapshot import (
    choose_requests,
    load_snapshot,
    save_snapshot,
    sequence_keys,
    write_rules,
)
from gpr_core.support.config import to_mapping
from tests.gpr_core.simulation.small_corpus import CUTOFF, TOKENIZER_VERSION

RANKERS = RankerConfig(min_positives=30, min_leaf_rows=20, conversion_maturity_days=0.1)


def make_snapshot(folder, corpus, config, *, thoughts=None):
    """Write a snapshot of a corpus; returns its folder."""
    folder.mkdir(exist_ok=True)
    ad_rows = ad_events(corpus.timelines)
    catalog = corpus.catalog
    features = RankerFeatures.build(
        ad_rows, organic_events(corpus.timelines), catalog.ads, catalog.trie
    )
    keys = sequence_keys(corpus.decisions, corpus.timelines)
    rows = logged_rows(corpus.decisions, keys, features, catalog, before_ts=CUTOFF)
    fitted = fit_rankers(rows, RANKERS, cutoff_ts=CUTOFF, seed=0, threads=1)
    save_rankers(folder / "rankers", fitted.models)
    write_rules(folder, to_mapping(config.rules))
    shutil.copytree(corpus.folder / "catalog", folder / "catalog")
    requests, readable = choose_requests(
        corpus.decisions, corpus.timelines, config, cutoff_ts=CUTOFF, seed=0
    )
    save_snapshot(
        folder,
        requests=requests,
        timelines=readable,
        decisions=corpus.decisions,
        ad_rows=ad_rows,
        origin={"day": "test"},
        thoughts=thoughts,
    )
    return folder


def load_simulator(folder, corpus, max_tokens=32):
    """Load a snapshot into a simulator that reads short prefixes."""
    snapshot = load_snapshot(folder, tokenizer_version=TOKENIZER_VERSION)
    store = snapshot.timeline_store(corpus.sid_map)
    return Simulator(snapshot=snapshot, prefixes=lambda keys: store.prefix_batch(keys, max_tokens))
