import pyarrow as pa

from gpr_core.data.engine import Engine, relation
from gpr_core.features.private_sessions import private_sequences
from tests.lake_rows import MINUTE_MS, make_table

O, E = 1, 2  # noqa: E741 - the letters of the specification


def sessions(prompts, consents=((1, 0, 1),)):
    """Find private sessions.

    Prompts are (user, minute, kind, privacy); the key of a prompt is its position + 1. Consents
    are (user, minute, consent). Returns {prompt key: number of its session}, in order of time.
    """
    columns = zip(*prompts, strict=True)
    user, minute, kind, privacy = (list(column) for column in columns)
    rows = pa.table(
        {
            "user_key": pa.array(user, pa.uint64()),
            "ts": pa.array([value * MINUTE_MS for value in minute], pa.int64()),
            "kind": pa.array(kind, pa.int8()),
            "order_key": pa.array(range(1, len(prompts) + 1), pa.uint64()),
            "privacy": pa.array(privacy, pa.int8()),
        }
    )
    users = make_table(
        "users",
        *(
            {"user_key": key, "valid_from": at * MINUTE_MS, "consent": consent}
            for key, at, consent in consents
        ),
    )
    with Engine() as engine:
        found = private_sequences(relation(rows), relation(users), 30, engine=engine)
    pairs = sorted(
        zip(found["order_key"].to_pylist(), found["sequence_key"].to_pylist(), strict=True)
    )
    names = list(dict.fromkeys(key for _, key in pairs))
    assert all(1 <= key < 2**63 for key in names)
    return {prompt: names.index(key) for prompt, key in pairs}


def test_someone_who_consents_has_no_private_prompts():
    assert sessions([(1, 0, O, None), (1, 99, E, 0)]) == {}


def test_without_consent_every_session_stands_alone():
    prompts = [(1, 0, O, None), (1, 30, E, 0), (1, 61, O, None), (1, 62, E, 0)]
    assert sessions(prompts, [(1, 0, 0)]) == {1: 0, 2: 0, 3: 1, 4: 1}


def test_without_a_profile_nobody_has_consented():
    assert sessions([(1, 0, O, None), (1, 10, O, None)], [(1, 5, 1)]) == {1: 0}


def test_sessions_of_two_people_never_meet():
    prompts = [(1, 0, O, None), (2, 0, O, None)]
    assert sessions(prompts, [(1, 0, 0), (2, 0, 0)]) == {1: 0, 2: 1}


def test_a_strict_request_hides_itself_and_what_follows_until_the_next_request():
    prompts = [
        (1, 0, E, 0),
        (1, 1, O, None),
        (1, 2, E, 1),
        (1, 3, O, None),
        (1, 4, E, 0),
        (1, 5, O, None),
    ]
    assert sessions(prompts) == {3: 0, 4: 0}


def test_an_ordinary_prompt_between_ends_a_private_session():
    prompts = [(1, 0, E, 1), (1, 1, E, 0), (1, 2, E, 1)]
    assert sessions(prompts) == {1: 0, 3: 1}


def test_consent_counts_as_of_the_prompt():
    prompts = [(1, 0, E, 0), (1, 10, E, 0), (1, 20, E, 0)]
    assert sessions(prompts, [(1, 0, 1), (1, 10, 0), (1, 11, 1)]) == {2: 0}


def test_a_session_has_the_same_key_when_later_events_are_added():
    prompts = [(1, 0, O, None), (1, 5, E, 0)]
    rows = [*prompts, (1, 500, O, None)]
    assert sessions(rows, [(1, 0, 0)]) == {**sessions(prompts, [(1, 0, 0)]), 3: 1}
