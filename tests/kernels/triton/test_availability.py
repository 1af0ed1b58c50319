"""Where kernels run, and what is said where they cannot."""

import importlib.util

import pytest
import torch

from relucid.errors import KernelError, MissingDependencyError
from relucid.functions import get
from relucid.kernels.build import Builder
from relucid.kernels.triton import availability, available, launch
from support import fresh

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def run_silu():
    x = torch.ones(3)
    launch(Builder(get("silu"), "float32", 32).forward(), [x], outputs=[x], length=3)


def test_gpus_and_the_interpreter_run_them():
    assert available(CUDA) is None
    assert available(CPU) is None


def test_a_cpu_tensor_is_told_where_to_go(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    assert '.to("cuda")' in available(CPU)
    with pytest.raises(KernelError, match="the tensor is on cpu; move it there with"):
        run_silu()


def test_without_triton_its_installation_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    availability._installed.cache_clear()
    try:
        assert "pip install triton" in available(CUDA)
        with pytest.raises(MissingDependencyError, match="pip install triton"):
            run_silu()
    finally:
        availability._installed.cache_clear()


def test_importing_does_not_import_triton():
    code = "import sys, relucid.sparse.packed.gpu; sys.exit('triton' in sys.modules)"
    assert fresh.run(code).returncode == 0
