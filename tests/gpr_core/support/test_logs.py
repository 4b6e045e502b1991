"""Our lines reach standard error once, those of others do not."""

import logging

from gpr_core.support.logs import show_our_logs


def test_our_lines_are_printed_as_they_are(capsys):
    show_our_logs()
    show_our_logs()
    logging.getLogger("gpr.progress").info("training  1/2")
    logging.getLogger("another.tool").info("noise")
    assert capsys.readouterr().err == "training  1/2\n"
