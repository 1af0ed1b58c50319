"""What a command that ran in this process left."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str
