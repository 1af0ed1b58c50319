"""The operators: what compilers see of them, and that they compute what a launch does."""

from __future__ import annotations

import pytest
import torch
import triton
from functorch.compile import aot_function, make_boxed_compiler
from torch._subclasses.fake_tensor import FakeTensorMode
from triton.backends.compiler import GPUTarget

from relucid.functions import get
from relucid.kernels.build import Builder
from relucid.kernels.contract import ROW
from relucid.kernels.triton import operator
from support.cases import Case
from support.triton_runs import run, same_bits, two_input


def silu():
    return Builder(get("silu"), "float32", 32).forward()


def prelu():
    return Builder(get("prelu"), "float32", 32, ("negative_slope",)).backward()


class Absent:
    """A driver of a GPU that is not there."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)


def test_a_compiler_sees_the_kernel_and_what_it_writes(compiler, monkeypatch) -> None:
    graphs = []
    monkeypatch.setattr(triton.runtime.driver, "_active", Absent())
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # Triton's default, which else it warns of
    keep = make_boxed_compiler(lambda graph, _: graphs.append(graph) or graph)
    with FakeTensorMode():
        x = torch.empty(300, 10, device="cuda")
        act = operator(silu())
        aot_function(lambda x: act([x * 2], [], [], ROW, 1, [])[0] + 1, fw_compiler=keep)(x)
    (node,) = [n for n in graphs[0].graph.nodes if "triton_kernel_wrapper" in str(n.target)]
    assert node.kwargs["tensors_to_clone"] == ["output0"]
    assert node.kwargs["kwargs"]["length"] == 3000


def test_fake_tensors_have_the_shapes_of_the_results(compiler) -> None:
    with FakeTensorMode():
        x = torch.empty(6, 9000, device="cuda")
        slope = torch.empty(3, dtype=torch.float64, device="cuda")
        dx, sums = operator(prelu())([x, x], [], [slope], 9000, 3, [])
        assert (dx.shape, sums.shape, sums.dtype) == (x.shape, (6,), torch.float64)
        y, bits, flags = operator(Builder(get("relu"), "float32", 32).forward_with_mask())(
            [x], [], [], ROW, 1, []
        )
        assert (y.shape, bits.shape, flags.shape) == (x.shape, (6750,), (14,))


def test_equal_loops_have_one_operator() -> None:
    assert operator(silu()) is operator(silu())
    assert operator(silu()) is not operator(Builder(get("silu"), "float16", 32).forward())


@pytest.mark.parametrize("shape", [(0,), (33,), (60, 50)])
def test_operator_and_launch_agree(shape) -> None:
    x = torch.randn(shape)
    (y,) = operator(silu())([x], [], [], ROW, 1, [])
    assert y.shape == x.shape
    assert same_bits(y.flatten(), run(silu(), [x.flatten()]).outputs[0])


def test_sums_through_the_operator() -> None:
    x, g, slope = torch.randn(6, 5000), torch.randn(6, 5000), torch.rand(3, dtype=torch.float64)
    dx, sums = operator(prelu())([x, g], [], [slope], 5000, 3, [])
    found = run(prelu(), [x.flatten(), g.flatten()], (), [slope], row=5000, channels=3)
    assert same_bits(dx.flatten(), found.outputs[0])
    assert same_bits(sums, found.sums[0])


def test_halves_of_one_tensor_are_read_in_place() -> None:
    packed = torch.randn(7, 100)
    value, gate = packed[:, :50], packed[:, 50:]
    loop = two_input(Case("swiglu"), "float32", backward=False)
    (y,) = operator(loop)([value, gate], [], [], 50, 1, [100, 100])
    separate = [half.contiguous().flatten() for half in (value, gate)]
    assert same_bits(y.flatten(), run(loop, separate).outputs[0])


def test_torch_agrees_that_it_is_a_sound_operator() -> None:
    x = torch.randn(40)
    torch.library.opcheck(operator(silu()), ([x], [], [], ROW, 1, []))


def test_compiled_graphs_hold_it() -> None:
    act, x = operator(silu()), torch.randn(1000)

    def doubled(x):
        return act([x * 2], [], [], ROW, 1, [])[0] + 1

    assert same_bits(torch.compile(doubled, backend="aot_eager", fullgraph=True)(x), doubled(x))
