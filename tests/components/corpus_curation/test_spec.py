from components.corpus_curation.spec import SPEC
from data_contracts.load import contract_names


def test_the_step_reads_the_lake_alone():
    assert SPEC.inputs == ()
    assert SPEC.lake_manifests == ("train",)
    assert "device" not in SPEC.run_params


def test_every_table_has_a_contract_that_exists():
    [corpus] = SPEC.outputs
    assert corpus.name == "corpus"
    assert len(corpus.contracts) == 11
    assert corpus.optional == ("thoughts.parquet",)
    assert set(corpus.contracts.values()) <= set(contract_names())
