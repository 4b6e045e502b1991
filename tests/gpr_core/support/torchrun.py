"""Runs a script in two processes on this machine, as `torchrun` does on many."""

import os
import subprocess
import sys
from pathlib import Path


def torchrun(*arguments, processes=2, **kwargs):
    """Start a script (or `-m` module) with arguments; gives the finished launcher."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path.cwd()),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    return subprocess.run(
        [
            sys.executable,
            *launcher,
            f"--nproc-per-node={processes}",
            *(str(argument) for argument in arguments),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        **kwargs,
    )
