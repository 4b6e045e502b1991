"""Memory of encoding ten million vectors from a memory-mapped file.

    python -m benchmarks.tokenizer_memory

Writes the vectors to a temporary folder, encodes them in a process of its own, and compares the
memory that the process got beyond input pages and codes with the buffers of its threads. A tenth
of the vectors is measured too: the memory must not grow with their number. Writes
docs/benchmarks/tokenizer_memory.json.

Letters: M vectors, D width.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import write_result
from benchmarks.tokenizer_workload import DATA, SEED, WIDTH, make_vectors
from gpr_core.tokenizer.nearest import BLOCK_CODES, CHUNK_ROWS
from gpr_core.tokenizer.residual import residual_codes

_NUM_VECTORS = (1_000_000, 10_000_000)
_PART = 500_000
_LEVELS, _CODES, _THREADS = 3, 256, 2
_POLL_S = 0.01
_MIB = 2**20
# Vectors, centers to subtract, and scores, in float32.
_BUFFER_BYTES = 4 * CHUNK_ROWS * (2 * (WIDTH + 1) + BLOCK_CODES)


def write_vectors(path: Path, num_vectors: int) -> None:
    """Write vectors part by part.

    Args:
        path: A new .npy file.
        num_vectors: How many, a multiple of 500,000.
    """
    shape = (num_vectors, WIDTH)
    vectors_MD = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for part in range(num_vectors // _PART):
        vectors_MD[part * _PART : (part + 1) * _PART] = make_vectors(_PART, part=part)
    vectors_MD.flush()


def private_bytes() -> int:
    """Read the memory of this process that is not pages of files.

    Returns:
        Bytes, from /proc/self/status.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status does not tell RssAnon; this needs Linux")


def encode_and_watch(path: Path) -> dict[str, float]:
    """Encode the vectors of a file, polling the memory meanwhile.

    Args:
        path: The .npy file.

    Returns:
        Extra memory beyond the codes in MiB, and seconds.
    """
    vectors_MD = np.load(path, mmap_mode="r")
    codebooks = [
        make_vectors(_CODES, part=-1 - level) / np.float32(1 + level) for level in range(_LEVELS)
    ]
    before, peak, done = private_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_POLL_S):
            peak = max(peak, private_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    code_ML = residual_codes(vectors_MD, codebooks, threads=_THREADS)
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    return {"extra_mib": (peak - before - code_ML.nbytes) / _MIB, "seconds": seconds}


def measure(folder: Path, num_vectors: int) -> dict[str, Any]:
    """Write vectors and encode them in a new process.

    Args:
        folder: For the file, which is removed.
        num_vectors: How many.

    Returns:
        Sizes and memory in MiB.
    """
    path = folder / "vectors.npy"
    write_vectors(path, num_vectors)
    command = [sys.executable, "-m", "benchmarks.tokenizer_memory", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found = json.loads(done.stdout)
    input_mib = path.stat().st_size / _MIB
    path.unlink()
    return {
        "vectors": num_vectors,
        "input_mib": round(input_mib, 1),
        "codes_mib": round(num_vectors * _LEVELS * 2 / _MIB, 1),
        "extra_mib": round(found["extra_mib"], 1),
        "seconds": round(found["seconds"], 2),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(encode_and_watch(Path(sys.argv[1]))))  # noqa: T201
    else:
        with tempfile.TemporaryDirectory() as temporary:
            rows = [measure(Path(temporary), num_vectors) for num_vectors in _NUM_VECTORS]
        result = {
            "seeds": [SEED],
            "data": DATA,
            "levels": _LEVELS,
            "codebook_size": _CODES,
            "threads": _THREADS,
            "bound_mib": round(_THREADS * _BUFFER_BYTES / _MIB, 1),
            "runs": rows,
        }
        print(write_result("tokenizer_memory", result))  # noqa: T201
