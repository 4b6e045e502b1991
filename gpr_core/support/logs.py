"""Showing our own log lines, in every process that we start."""

import logging
import sys


def show_our_logs() -> None:
    """Print our own log lines to standard error; the tools we call keep their own handlers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("gpr")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [handler]
