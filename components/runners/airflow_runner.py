"""The registry as Airflow tasks and assets."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from components.pipeline.registry import edges
from components.runtime.exit_codes import ExitCode
from components.runtime.step_spec import StepSpec

# A partitioned run carries its day as the partition key; a manual run as {"day": ...}.
DAY_TEMPLATE = "{{ dag_run.conf.get('day') or partition_key }}"
_NEVER_RETRIED = (ExitCode.INPUT_REFUSED, ExitCode.OUTPUT_REFUSED, ExitCode.GATE_REFUSED)


class StepOperator(BaseOperator):
    """Runs one pipeline step as a process of its own.

    A refused input, output or gate fails the task at once, whatever retries are left; a crash is
    tried again as often as the step's spec says.

    Args:
        arguments: The command and its arguments; templated.
        **kwargs: Arguments of every Airflow operator.
    """

    template_fields: Sequence[str] = ("arguments",)

    def __init__(self, *, arguments: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = list(arguments)

    @cached_property
    def hook(self) -> SubprocessHook:
        """The hook that owns the process group."""
        return SubprocessHook()

    def execute(self, context: Any) -> None:
        """Run the command and translate its exit code.

        Args:
            context: Airflow's task context; unused, the day is in the arguments.

        Raises:
            AirflowFailException: If trying again cannot help.
            AirflowException: If the step crashed.
        """
        del context
        result = self.hook.run_command(command=self.arguments)
        if result.exit_code in _NEVER_RETRIED:
            name = ExitCode(result.exit_code).name.lower().replace("_", " ")
            raise AirflowFailException(f"{name} (exit code {result.exit_code}): {result.output}")
        if result.exit_code != ExitCode.DONE:
            raise AirflowException(f"crash (exit code {result.exit_code}): {result.output}")

    def on_kill(self) -> None:
        """Stop the whole process group when Airflow stops the task."""
        self.hook.send_sigterm()  # type: ignore[no-untyped-call]


def make_tasks(
    steps: Sequence[StepSpec], *, executable: str, run_arguments: Sequence[str]
) -> Mapping[str, StepOperator]:
    """Make one task a step, in the order of the registry; call it inside a `with DAG(...)`.

    Args:
        steps: The registry.
        executable: The `gpr` command.
        run_arguments: Arguments of `gpr run` that all steps share, for example `--home=...`.

    Returns:
        Step name -> operator.
    """
    tasks = {spec.name: _task(spec, executable, run_arguments) for spec in steps}
    for upstream, downstream in edges(steps):
        tasks[upstream] >> tasks[downstream]
    return tasks


def _task(spec: StepSpec, executable: str, run_arguments: Sequence[str]) -> StepOperator:
    """Make the task of one step."""
    gates = "\n".join(f"- **{name}**: {demand}" for name, demand in spec.gates.items())
    return StepOperator(
        task_id=spec.name,
        arguments=[
            executable,
            "run",
            f"--day={DAY_TEMPLATE}",
            f"--only={spec.name}",
            *run_arguments,
        ],
        retries=spec.resources.retries,
        retry_delay=timedelta(seconds=30),
        execution_timeout=timedelta(seconds=spec.resources.timeout_s),
        doc_md=f"{spec.summary}\n\nGates:\n\n{gates}\n\nRunbook: docs/runbook.md",
        outlets=[
            Asset(name=f"gpr.{artifact.name}", uri=f"x-gpr://artifacts/{artifact.name}")
            for artifact in spec.outputs
        ],
    )
