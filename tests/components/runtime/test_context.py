"""What a step gets and gives back."""

from components.runtime.context import GateResult, StepResult


def test_a_result_without_gates_and_metrics_is_empty():
    assert StepResult() == StepResult(metrics={}, gates=())


def test_gate_results_with_equal_values_are_equal():
    first = GateResult(name="g", passed=True, value=1.0, bound=0.0, message="")
    assert first == GateResult(name="g", passed=True, value=1.0, bound=0.0, message="")
