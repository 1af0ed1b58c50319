"""torch.compile, torch.export, torch.func, forward mode, autocast and double backward."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import relucid
from relucid import nn as rnn
from relucid.errors import DtypeError
from support.cases import CASES, ELEMENTWISE
from support.modules import by_case, module_of

# PyTorch's own tracers use what PyTorch deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]
AWAY_FROM_KINKS = torch.tensor(
    [-4.37, -2.37, -1.21, -0.77, -0.43, 0.17, 0.41, 0.93, 1.61, 2.6, 3.7, 7.1],
    dtype=torch.float64,
)
ALL = by_case(CASES)
ONE_OF_EACH = by_case([case for case in CASES if not case.parameters or case.name == "maxout"])
# The value jumps at kinks only, and hardmax is constant, so these have derivatives everywhere else.
SMOOTH = [case for case in ELEMENTWISE if case.activation.smoothness >= 1]


@pytest.fixture(autouse=True)
def fresh_compiler():
    """Each test compiles as if it were the only one."""
    torch._dynamo.reset()
    torch.manual_seed(0)


def value_and_gradient(function, x, weights=None):
    """Output, and gradient of its weighted sum, so that vector functions have one too."""
    x = x.clone().requires_grad_()
    y = function(x)
    weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).reshape(y.shape)
    return y.detach(), torch.autograd.grad((y * weights).sum(), x)[0]


# Those of one input are compiled in test_compiled.py, where every bit is compared.
@by_case([case for case in CASES if case not in ELEMENTWISE])
def test_compiled_without_a_graph_break_it_agrees_with_eager(case):
    module, x = module_of(case).eval(), torch.randn(2, 3, 12)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(
        value_and_gradient(compiled, x), value_and_gradient(module, x), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["elu", "gelu", "softmax"])
def test_inductor_agrees_with_eager(name):
    module, x = rnn.make(name), torch.randn(4, 33)
    compiled = torch.compile(module, fullgraph=True)
    for ours, theirs in zip(
        value_and_gradient(compiled, x), value_and_gradient(module, x), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_every_module_can_be_compiled_by_itself_in_one_process():
    # The recompilation limit counts per code object; fullgraph raises where it is reached.
    for case in ELEMENTWISE:
        torch.compile(module_of(case).eval(), fullgraph=True, backend="eager")(torch.randn(3))


def test_a_model_of_all_modules_compiles_into_one_graph_for_all_shapes():
    model = nn.Sequential(*map(module_of, ELEMENTWISE)).eval()
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph

    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)
    for shape in ((3, 5), (7, 11), (2, 64)):
        x = torch.randn(shape)
        torch.testing.assert_close(compiled(x), model(x))
    assert len(graphs) == 1


def test_a_parameter_set_after_compilation_takes_effect():
    module = rnn.ELU()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x = torch.randn(5)
    for alpha in (1.0, 3.0, 5.0):
        module.alpha = alpha
        torch.testing.assert_close(compiled(x), nn.functional.elu(x, alpha))


@ONE_OF_EACH
def test_exported_programs_agree(case):
    module, x = module_of(case).eval(), torch.randn(4, 12)
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (x,), dynamic_shapes=({0: batch},), strict=False)
    longer = torch.randn(9, 12)
    torch.testing.assert_close(program.module()(longer), module(longer))


@pytest.mark.parametrize("name", ["elu", "gelu", "prelu", "softmax", "swiglu"])
def test_strict_export_and_decomposition_agree(name):
    module, x = rnn.make(name), torch.randn(4, 12)
    program = torch.export.export(module, (x,), strict=True).run_decompositions()
    torch.testing.assert_close(program.module()(x), module(x))


@ALL
def test_first_and_second_derivatives_agree_with_finite_differences(case):
    module, x = module_of(case).eval(), AWAY_FROM_KINKS.clone().requires_grad_()
    checks = {"check_forward_ad": True, "check_batched_grad": True}
    assert gradcheck(module, (x,), **checks, check_batched_forward_grad=True)
    assert gradgradcheck(module, (x,), check_fwd_over_rev=True)


@ALL
def test_torch_func_transforms_agree_with_plain_autograd(case):
    module = module_of(case).eval()
    x, tangent = AWAY_FROM_KINKS.repeat(2, 1), torch.randn(2, 12, dtype=torch.float64)
    assert torch.allclose(torch.func.vmap(module)(x), module(x), rtol=1e-14)

    def total(row):
        return module(row).square().sum()

    expected = torch.autograd.functional.jacobian(lambda v: module(v).square().sum(), x)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(total))(x), expected)
    _, pushed = torch.func.jvp(module, (x,), (tangent,))
    with forward_ad.dual_level():
        dual = module(forward_ad.make_dual(x, tangent))
        torch.testing.assert_close(pushed, forward_ad.unpack_dual(dual).tangent)
    hessian = torch.func.hessian(total)(x[0])
    torch.testing.assert_close(hessian, torch.autograd.functional.hessian(total, x[0]))


def test_compiled_gradients_are_the_declared_ones_at_a_kink():
    module, x = rnn.make(relucid.get("relu").at_kink(0.5)), torch.zeros(3)
    compiled = torch.compile(module, backend="aot_eager")
    assert torch.equal(value_and_gradient(compiled, x)[1], torch.tensor([0.25, 0.5, 0.75]))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_second_backward_through_compiled_code_raises_instead_of_losing_terms(backend):
    x = torch.randn(2, 4, requires_grad=True)
    y = torch.compile(rnn.GELU(), backend=backend)(x)
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not currently support double backward"):
        torch.autograd.grad(slope.sum(), x)


def test_an_exported_program_holds_no_derivatives():
    program = torch.export.export(rnn.ReLU(), (torch.randn(3),))
    calls = [node.name for node in program.graph.nodes if node.op == "call_function"]
    assert sum(name.startswith("where") for name in calls) == 2  # the formula, and NaN


TRANSFORMS = {
    "vmap": torch.func.vmap,
    "grad": lambda f: torch.func.grad(lambda v: f(v).square().sum()),
    "jvp": lambda f: lambda v: torch.func.jvp(f, (v,), (torch.ones_like(v),))[1],
    "hessian": lambda f: torch.func.hessian(lambda v: f(v).square().sum()),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("make", [rnn.GELU, rnn.PReLU, lambda: rnn.Softmax(-1)])
def test_torch_func_transforms_compile(transform, make):
    function, x = TRANSFORMS[transform](make()), torch.randn(2, 4)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), function(x))


def test_functional_call_replaces_learned_parameters():
    model = nn.Sequential(nn.Linear(3, 4), rnn.PReLU(4))
    state = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    state["0.bias"] = torch.tensor([-1.0, 1.0, -2.0, 2.0])
    state["1.weight"] = torch.tensor([0.5, 0.5, 0.25, 0.25])
    output = torch.func.functional_call(model, state, (torch.randn(1, 3),))
    assert output.tolist() == [[-0.5, 1.0, -0.5, 2.0]]


@by_case(SMOOTH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_second_derivatives_are_finite_far_out(case, dtype):
    far = torch.tensor([20.0, 50.0, 100.0, 700.0, 1e4, 1e38], dtype=dtype)
    x = torch.cat([-far, far]).requires_grad_()
    (slope,) = torch.autograd.grad(module_of(case)(x).sum(), x, create_graph=True)
    if slope.requires_grad:
        (bend,) = torch.autograd.grad(slope.sum(), x)
        assert torch.isfinite(bend).all()
    assert torch.isfinite(slope).all()


def test_under_autocast_the_layers_dtype_goes_through():
    model = nn.Sequential(nn.Linear(4, 8), rnn.GELU(), rnn.PReLU(8), nn.Linear(8, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(torch.randn(3, 4))
    assert output.dtype == torch.bfloat16
    output.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool])
def test_compiled_modules_refuse_wrong_dtypes(dtype):
    # Without fullgraph our own error arrives; with it, Dynamo wraps it in its Unsupported.
    compiled = torch.compile(rnn.ELU(), backend="eager")
    with pytest.raises(DtypeError, match=str(dtype).removeprefix("torch.")):
        compiled(torch.zeros(3, dtype=dtype))
