"""T10: OR-ing attributes up the tree lets beams enter nodes under which nothing may serve."""

import numpy as np
import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import eligible_ads
from gpr_core.catalog.legality import LegalChildren, legal_children
from gpr_core.catalog.trie import Trie
from tests.gpr_core.catalog.catalogs import (
    eligible,
    legal_nodes,
    make_ads,
    make_context,
    make_versions,
)

MALE, FEMALE, BEIJING, SHANGHAI = 1, 2, 3, 4


def make_catalog():
    """Under code 0 a male/Beijing and a female/Shanghai ad, in two leaves and in one; 1 is open."""
    targets = [(MALE, BEIJING), (FEMALE, SHANGHAI), (MALE, BEIJING), (FEMALE, SHANGHAI), None]
    path_AL = np.array([[0, 0], [0, 1], [0, 2], [0, 2], [1, 0]], np.int16)
    keys = np.arange(1, 6, dtype=np.uint64)
    trie = Trie.build(path_AL, keys, (2, 3))
    rows = [
        {"ad_key": int(key)}
        | ({"gender_mask": 1 << target[0], "geo_set": [target[1]]} if target else {})
        for key, target in zip(keys, targets, strict=True)
    ]
    ads = make_ads([{"ad_key": int(key)} for key in keys])
    return trie, AdTable.build(ads, make_versions(rows), trie)


def or_of_attributes(trie, ad_table, context, rows, nodes):
    """The broken twin: a node passes if each attribute is admitted by some ad below it."""
    version_BA = ad_table.versions_at(context.ts)
    gender_BA = ad_table.gender_mask_V[version_BA] >> context.gender[:, None] & 1 > 0
    geo_BA = ad_table.geo_allowed_SG[ad_table.geo_set_V[version_BA], context.geo_l2[:, None]]
    found = [part.numpy() for part in trie.expand(torch.from_numpy(nodes))]
    may_enter_BN = (legal_nodes(trie, gender_BA) & legal_nodes(trie, geo_BA)).numpy()
    kept = may_enter_BN[rows[found[0]], found[2]]
    return LegalChildren(*(column[kept] for column in found))


def count_of_ads(trie, ad_table, context, rows, nodes):
    """Ours."""
    return legal_children(trie, eligible(eligible_ads(ad_table, context)), rows, nodes)


def count_dead_beams(children_of):
    """Walk down every legal node; count beams that reach a place where nothing may serve."""
    trie, ad_table = make_catalog()
    context = make_context(gender=[MALE, FEMALE, MALE], geo_l2=[SHANGHAI, BEIJING, BEIJING])
    rows, nodes, dead = np.arange(3), np.zeros(3, dtype=np.int64), 0
    for _ in range(trie.num_levels):
        found = children_of(trie, ad_table, context, rows, nodes)
        dead += rows.size - np.unique(found.row_C).size
        rows, nodes = rows[found.row_C], found.node_C
    exact_BN = legal_nodes(trie, eligible_ads(ad_table, context)).numpy()
    return dead + int((~exact_BN[rows, nodes]).sum()), rows.tolist()


def test_no_beam_dies():
    # Men in Shanghai and women in Beijing see the open ad only, men in Beijing also two of five.
    assert count_dead_beams(count_of_ads) == (0, [0, 1, 2, 2, 2])


def test_the_twin_loses_beams():
    dead, _ = count_dead_beams(or_of_attributes)
    assert dead > 0
