"""Compiled kernels on disk: kept, found again, checked, and never in the way."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import relucid
from relucid.kernels import cache, contract
from relucid.kernels import describe as describe_module
from relucid.kernels.build import Builder
from relucid.kernels.cache import KernelCacheWarning, load, store
from relucid.kernels.describe import describe
from relucid.kernels.llvm import compile as compiler
from relucid.kernels.llvm import emit
from support import fresh

RUN = """
import sys, warnings
warnings.simplefilter("always")
import torch, relucid
from relucid.kernels.llvm import compile as compiler
compilations = []
module = compiler._module
compiler._module = lambda text: compilations.append(1) or module(text)
x = torch.linspace(-3, 3, 1001, requires_grad=True)
for name in ("relu", "silu"):
    y = relucid.get(name)(x)
    assert torch.allclose(y, getattr(torch.nn.functional, name)(x), atol=1e-6)
    y.sum().backward()
print(len(compilations), "emit" if "relucid.kernels.llvm.emit" in sys.modules else "")
"""


def started(folder):
    return subprocess.Popen(
        [sys.executable, "-c", RUN],
        env={**os.environ, "RELUCID_CACHE": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder):
    """What another process prints, and what it says on stderr."""
    done = fresh.run(f"import os\nos.environ['RELUCID_CACHE'] = {str(folder)!r}\n{RUN}")
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder that does not exist yet."""
    place = tmp_path / "not" / "yet"
    monkeypatch.setenv("RELUCID_CACHE", str(place))
    return place


def test_processes_share_a_folder_later_ones_compile_nothing_and_a_damaged_file_anew(folder):
    processes = [started(folder) for _ in range(2)]  # at once
    told = [process.communicate(timeout=300) for process in processes]
    assert [said for _, said in told] == ["", ""]
    assert [process.returncode for process in processes] == [0, 0]
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(kept) >= 4  # forward and backward of both
    assert all(len(name) == 64 and load(name) for name in kept)
    compiled = [int(printed.split()[0]) for printed, _ in told]
    assert max(compiled) <= len(kept) <= sum(compiled)
    assert any(printed.split()[1:] == ["emit"] for printed, _ in told)

    assert run(folder) == (["0"], "")

    files = sorted(folder.iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-7])
    files[1].write_bytes(b"")
    content = bytearray(files[2].read_bytes())
    content[len(content) // 2] ^= 1
    files[2].write_bytes(content)
    files[3].write_bytes(files[3].read_bytes() + b"more")
    printed, said = run(folder)
    assert (printed[0], said) == ("4", "")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept


@pytest.mark.parametrize("where", ["under a file", "/proc"])
def test_a_folder_that_cannot_be_written_gives_one_warning_and_right_results(
    where, tmp_path, monkeypatch
):
    if where == "under a file":
        (tmp_path / "file").write_text("")
        where = tmp_path / "file" / "folder"
    elif not Path("/proc").exists():
        pytest.skip("needs a folder in which nobody can write")
    monkeypatch.setenv("RELUCID_CACHE", str(where))
    x = torch.linspace(-3.0, 3.0, 101, requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for alpha in (0.1234, 0.2345):  # nobody else's kernels
            alpha += len(str(where)) / 1e6
            y = relucid.get("elu", alpha=alpha)(x)
            torch.testing.assert_close(y, torch.nn.functional.elu(x, alpha))
            y.sum().backward()
    assert [warning.category for warning in caught] == [KernelCacheWarning]
    assert str(where) in str(caught[0].message)


def test_the_warning_names_the_folder_and_the_cure(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RELUCID_CACHE", str(tmp_path / "file"))
    with pytest.warns(KernelCacheWarning, match="set RELUCID_CACHE to a folder"):
        store("key", b"code")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store("another", b"code")
    assert load("key") is None


def test_what_is_stored_is_found_and_only_under_its_key(folder):
    assert load("one") is None
    store("one", b"code")
    store("empty", b"")
    assert (load("one"), load("empty"), load("two")) == (b"code", b"", None)
    store("one", b"newer")
    assert load("one") == b"newer"
    assert sorted(path.name for path in folder.iterdir()) == ["empty", "one"]


def test_a_store_that_fails_half_way_leaves_nothing_behind(folder, monkeypatch):
    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(cache.os, "replace", refuse)
    with pytest.warns(KernelCacheWarning, match="disk full"):
        store("key", b"code")
    assert list(folder.iterdir()) == []


def test_without_a_chosen_folder_the_users_own_is_taken(monkeypatch, tmp_path):
    monkeypatch.delenv("RELUCID_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = cache.folder()
    assert place.name == "kernels"
    assert "relucid" in place.parts
    if sys.platform == "linux":
        assert place.is_relative_to(tmp_path)
    assert not place.exists()


def test_the_key_tells_apart_loops_processors_and_versions_of_the_emitter(monkeypatch):
    def key(name="elu"):
        return compiler._key(describe(Builder(relucid.get(name), "float32", 32).forward()))

    first, here = key(), compiler.machine()
    assert key() == first
    keys = {first, key("silu")}
    monkeypatch.setattr(compiler, "_emitter", lambda: "another digest")
    keys.add(key())
    monkeypatch.undo()
    for attribute in ("processor", "features", "triple"):
        monkeypatch.setattr(here, attribute, "another")
        keys.add(key())
        monkeypatch.undo()
    assert len(keys) == 6
    assert key() == first


def test_the_emitters_digest_covers_every_file_that_decides_what_is_written(monkeypatch):
    digested = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: digested.append(path.name) or read(path))
    compiler._emitter.cache_clear()
    compiler._emitter()
    wanted = {"emit.py", "operations.py", "elements.py", "header.py", "places.py", "compile.py"}
    assert wanted <= set(digested)


def test_the_number_of_rows_that_a_sum_covers_is_part_of_the_key(monkeypatch):
    # The code for columns holds it as a constant, and the caller makes room by it.
    made = Builder(relucid.get("elu"), "float32", 32, ("alpha",))
    keys = set()
    for block in (16, 32):
        for module in (contract, emit, describe_module):
            monkeypatch.setattr(module, "BLOCK", block, raising=False)
        keys.add(compiler._key(describe(made.backward("columns"))))
    assert len(keys) == 2


def test_what_was_used_longest_ago_makes_room(folder, monkeypatch):
    monkeypatch.setattr(cache, "KEPT", 4)
    for age, key in enumerate("abcd"):
        store(key, key.encode())
        os.utime(folder / key, (age, age))
    assert load("a") == b"a"  # the latest use
    store("e", b"e")
    assert sorted(path.name for path in folder.iterdir()) == ["a", "d", "e"]
