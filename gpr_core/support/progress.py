"""Progress lines for people and metrics.jsonl for tools."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

_LOGGER = logging.getLogger("gpr.progress")
# A line holds the first few numbers; the file holds all.
_SHOWN_NUMBERS = 4


class Progress:
    """Reports how far one step has come.

    One line at most every `every_s` seconds goes to the logger `gpr.progress`; every call may
    also append numbers to a JSON-lines file. Wall times never enter an artifact.

    Args:
        step: Name of the step, the first word of each line.
        log_path: JSON-lines file for the numbers, or None.
        every_s: Least time between two printed lines, in seconds.
        clock: Source of seconds, replaceable in tests.
    """

    def __init__(
        self,
        step: str,
        *,
        log_path: Path | None = None,
        every_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = step
        self._log_path = log_path
        self._every_s = every_s
        self._clock = clock
        self._start = clock()
        self._phase_start = self._start
        self._last = float("-inf")

    def phase(self, name: str) -> None:
        """Announce a new phase; always printed.

        Args:
            name: What begins now.
        """
        self._phase_start = self._clock()
        self._last = self._phase_start
        _LOGGER.info("%s  %s", self._step, name)

    def update(self, done: int, total: int, numbers: Mapping[str, float] | None = None) -> None:
        """Report progress inside a phase.

        Args:
            done: Units finished.
            total: All units.
            numbers: Current values, for the line and the file.
        """
        numbers = numbers or {}
        now = self._clock()
        if self._log_path is not None and numbers:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            with self._log_path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": self._step, "update": done, **numbers}) + "\n")
        if now - self._last < self._every_s:
            return
        self._last = now
        elapsed = max(now - self._phase_start, 1e-9)
        left_s = elapsed / max(done, 1) * max(total - done, 0)
        first = islice(numbers.items(), _SHOWN_NUMBERS)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in first)
        _LOGGER.info(
            "%s  %d/%d  %3.0f %%  %s  %.1f/s  eta %.0f s",
            self._step,
            done,
            total,
            100 * done / max(total, 1),
            shown,
            done / elapsed,
            left_s,
        )
