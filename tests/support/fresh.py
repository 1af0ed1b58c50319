"""Programs in processes of their own, forked from one that has loaded PyTorch and nothing else.

For what only a new process can show: what importing loads, and that nothing ends the process. To
load PyTorch takes 2 s, longer than any of them.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

from support.commands import Done

_SERVER = """
import gc, json, os, sys, tempfile
import torch

gc.freeze()  # so that a process does not go through all of it as it ends

def become(asked, *files):
    for number, file in enumerate(files, 1):
        os.dup2(file.fileno(), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked["folder"])
    sys.path.insert(0, asked["folder"])
    exec(compile(asked["program"], "<program>", "exec"), {"__name__": "__main__"})
    sys.exit()

for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            become(json.loads(line), out, err)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0), err.seek(0)
        print(json.dumps([status, out.read(), err.read()]), flush=True)
"""


def run(program: str, folder: Path | None = None) -> Done:
    """Run a program in ``folder``, and return its exit status and what it printed."""
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    asked = {"program": program, "folder": str(folder or Path.cwd())}
    server.stdin.write(json.dumps(asked) + "\n")
    server.stdin.flush()
    return Done(*json.loads(server.stdout.readline()))


@cache
def _server() -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(_end, started)  # where pytest is killed it ends as well: so does its input
    return started


def _end(started: subprocess.Popen[str]) -> None:
    started.kill()
    started.communicate()
