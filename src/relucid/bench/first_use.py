"""What the first use of a function costs in a new process, compiled kernels cached or not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np

from relucid.bench.record import FirstUse
from relucid.bench.statistics import spread

CACHE_VARIABLE = "RELUCID_CACHE"
"""Environment variable that names the folder of compiled kernels."""
_TIMES = 3
_PROGRAM = """
import sys, time, torch, relucid
torch.ones(8, requires_grad=True).cos().sum().backward()  # start autograd's own threads
x = torch.linspace(-3.0, 3.0, 1000, requires_grad=True)
begin = time.perf_counter()
relucid.get(sys.argv[1])(x).sum().backward()
print(time.perf_counter() - begin)
"""


def measure_first_use(function: str) -> FirstUse:
    """Seconds to the first value and gradient, imports not counted: three times each."""
    cold, cached = [], []
    for _ in range(_TIMES):
        with tempfile.TemporaryDirectory(prefix="relucid-bench-") as folder:
            cold.append(_seconds(function, folder))
            cached.append(_seconds(function, folder))
    return FirstUse(function, spread(np.array(cold)), spread(np.array(cached)))


def _seconds(function: str, folder: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, function],
        env={**os.environ, CACHE_VARIABLE: folder},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)
