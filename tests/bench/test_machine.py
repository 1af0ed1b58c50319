"""What is recorded of the machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from relucid.bench import machine
from relucid.bench.first_use import CACHE_VARIABLE, measure_first_use


def test_the_machine_describes_itself() -> None:
    found = machine.this_machine()
    assert found.cpu and found.cores >= 1 and found.cache >= 1 << 16
    assert {"python", "torch", "relucid"} <= set(found.versions)
    assert len(found.source) == 16


def test_sizes_of_caches_are_read_as_the_system_writes_them(tmp_path: Path) -> None:
    for text, size in (("48K", 49_152), ("2M", 2_097_152), ("1G", 1 << 30)):
        (tmp_path / "size").write_text(f"{text}\n")
        assert machine._bytes(tmp_path / "size") == size


def test_outside_a_checkout_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine._commit() == ""


def test_first_use_runs_with_an_empty_folder_and_again_with_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folders: list[tuple[str, bool]] = []

    def run(command: list[str], *, env: dict[str, str], **_: object) -> object:
        folder = Path(env[CACHE_VARIABLE])
        folders.append((str(folder), any(folder.iterdir())))
        (folder / "kernel").touch()
        assert command[-1] == "gelu" and env["PATH"] == os.environ["PATH"]
        seconds = 2.0 if not folders[-1][1] else 0.5
        return subprocess.CompletedProcess(command, 0, stdout=f"{seconds}\n")

    monkeypatch.setattr(subprocess, "run", run)
    found = measure_first_use("gelu")
    assert (found.cold.median, found.cached.median) == (2.0, 0.5)
    assert [filled for _, filled in folders] == [False, True] * 3
    assert len({folder for folder, _ in folders}) == 3
    assert not any(Path(folder).exists() for folder, _ in folders)
