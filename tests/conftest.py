"""Settings that must stand before the first import of a tool, and shared fixtures."""

import logging
import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

os.environ.update(
    AIRFLOW_HOME=tempfile.mkdtemp(prefix="gpr-airflow-"),
    AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR",
    DVC_NO_ANALYTICS="true",
    GX_ANALYTICS_ENABLED="false",
    # The workers of pytest-xdist share the cores; threads that wait for each other by spinning
    # would cost more time than they save.
    OMP_NUM_THREADS="1",
)


@pytest.fixture(autouse=True)
def _own_logging():
    """Let no test inherit what an earlier test or Airflow, imported by one, did to our logs."""
    logger = logging.getLogger("gpr")
    logger.setLevel(logging.INFO)
    logger.propagate = True
    logger.handlers = []


# A worker that gets a long file last leaves the other idle, and so does one that has to wait for
# the day that the first file makes.
_FIRST = (
    "orchestrators/test_runners.py",
    "gpr_core/training/",
    "gpr_core/models/",
    "gpr_core/sequential/",
    "orchestrators/",
)


def pytest_collection_modifyitems(items):
    """Start the longest files first, and what needs the work of another after other work."""

    def place(item):
        path = item.path.as_posix().removeprefix(f"{ROOT}/tests/")
        return next((n for n, start in enumerate(_FIRST) if path.startswith(start)), len(_FIRST))

    items.sort(key=place)
