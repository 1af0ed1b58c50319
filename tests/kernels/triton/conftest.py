import importlib.util
import os

import pytest

if importlib.util.find_spec("triton") is None:
    collect_ignore_glob = ["*"]  # Triton is not made for this system
else:
    # Before TRITON_INTERPRET is set, so that Triton itself stays as other tests know it.
    import triton  # noqa: F401


@pytest.fixture(autouse=True)
def interpreter(monkeypatch, tmp_path_factory):
    """Kernels run on Triton's interpreter, and caches in a folder of the session."""
    folder = tmp_path_factory.getbasetemp() / "kernels"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("RELUCID_CACHE", str(folder))
    monkeypatch.setenv("TRITON_CACHE_DIR", os.fspath(folder / "triton"))


@pytest.fixture
def compiler(monkeypatch, interpreter):
    """Kernels are Triton's own functions, which it can compile for GPUs that are not here."""
    monkeypatch.delenv("TRITON_INTERPRET")
