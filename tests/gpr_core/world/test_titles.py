import numpy as np
import pytest

from gpr_core.world.config import world_preset
from gpr_core.world.taxonomy import SUBCATEGORIES, build_ads, build_content
from gpr_core.world.titles import CATEGORY_WORDS, ad_titles, content_titles

CONFIG = world_preset("micro")
ALL = np.arange(120)


@pytest.fixture(scope="module")
def ads():
    return build_ads(CONFIG, 120)


@pytest.fixture(scope="module")
def content():
    return build_content(CONFIG, 120)


def test_there_is_a_word_for_every_category_a_world_may_have():
    assert len(CATEGORY_WORDS) == len(set(CATEGORY_WORDS)) == 60
    assert all(word.isalpha() and word.islower() for word in CATEGORY_WORDS)


def test_a_title_names_brand_subcategory_category_product_and_creative(ads):
    titles = [str(title).split() for title in ad_titles(1, ads, ALL)]
    assert all(len(words) == 5 for words in titles)
    assert [words[2] for words in titles] == [CATEGORY_WORDS[c] for c in ads.category_A]
    for place, name in ((0, ads.brand_A), (3, ads.product_A)):
        names = {}
        for words, key in zip(titles, name.tolist(), strict=True):
            assert words[place].istitle()
            assert names.setdefault(key, words[place]) == words[place]
        assert len(set(names.values())) > 0.9 * len(names)


def test_copies_share_their_title(ads, content):
    for titles, hashes in (
        (ad_titles(1, ads, ALL), ads.hash_A),
        (content_titles(1, content, ALL), content.hash_A),
    ):
        assert np.unique(hashes).size < 120
        of_hash = dict(zip(hashes.tolist(), titles.tolist(), strict=True))
        assert [of_hash[key] for key in hashes.tolist()] == titles.tolist()


def test_ads_and_content_use_the_same_names_of_brands(ads, content):
    def brands(catalog, titles):
        return {
            int(brand): str(title).split()[0]
            for brand, title in zip(catalog.brand_A, titles, strict=True)
        }

    of_ads = brands(ads, ad_titles(1, ads, ALL))
    of_content = brands(content, content_titles(1, content, ALL))
    shared = of_ads.keys() & of_content.keys()
    assert len(shared) > 5
    assert all(of_ads[brand] == of_content[brand] for brand in shared)


def test_the_subcategory_has_its_word(content):
    words = {}
    for title, sub in zip(content_titles(1, content, ALL), content.subcategory_A, strict=True):
        place = int(sub) % SUBCATEGORIES
        assert words.setdefault(place, str(title).split()[1]) == str(title).split()[1]
    assert len(set(words.values())) == SUBCATEGORIES


def test_growth_renames_nothing_and_the_seed_renames_brands(ads):
    later = build_ads(CONFIG, 300)
    assert ad_titles(1, later, ALL).tolist() == ad_titles(1, ads, ALL).tolist()
    assert ad_titles(2, ads, ALL).tolist() != ad_titles(1, ads, ALL).tolist()


def test_no_ads_have_no_titles(ads, content):
    none = np.arange(0)
    assert ad_titles(1, ads, none).tolist() == []
    assert content_titles(1, content, none).tolist() == []
