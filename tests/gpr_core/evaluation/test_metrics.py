from gpr_core.evaluation.metrics import METHODS, metric_table


def test_the_candidate_leads_and_floors_follow_the_policies():
    assert METHODS[0].key == "hepo"
    floors = [method.is_floor for method in METHODS]
    assert floors == sorted(floors)


def test_every_hit_rate_is_listed_for_every_k():
    keys = [metric.key for metric in metric_table((1, 10)) if metric.group == "retrieval"]
    assert keys == [
        "HR_ad@1",
        "HR_ad@10",
        "HR_path@1",
        "HR_path@10",
        "no_repeat_HR_ad@1",
        "no_repeat_HR_ad@10",
    ]


def test_keys_are_unique_and_meanings_are_given():
    metrics = metric_table((1, 10, 50, 100))
    assert len({metric.key for metric in metrics}) == len(metrics)
    assert all(metric.meaning for metric in metrics)
