"""Which route computes: what is asked for, what a kernel cannot, and a user's own formulas."""

import threading
import warnings
from importlib.util import find_spec

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

import relucid
from relucid import nn as rnn
from relucid.errors import KernelError, KernelWarning, MissingDependencyError, ParameterError
from relucid.functions import real
from support.cases import Case
from support.fast import fast
from support.ulp import sample32, ulps

FAMILIES = ["relu", "gelu", "prelu", "softmax", "swiglu"]


def route_of(module, x):
    module(x)
    return module.route


@pytest.mark.parametrize("name", FAMILIES)
def test_every_module_tells_which_route_ran(name):
    module, x = rnn.make(name), torch.randn(2, 4)
    assert module.route is None
    assert route_of(module, x) == "llvm"
    with relucid.route("plain"):
        assert route_of(module, x) == "plain"
        assert route_of(rnn.ELU(), x) == "plain"
    with relucid.route("llvm"):
        assert route_of(module, x) == "llvm"


def test_numba_is_another_name_of_llvm():
    with relucid.route("numba"):
        assert route_of(rnn.ELU(), torch.randn(3)) == "llvm"


@pytest.mark.parametrize("name", ["cuda", "", "LLVM", None])
def test_unknown_names_are_refused_and_change_nothing(name):
    for manager in (relucid.route, relucid.precision):
        with pytest.raises(ParameterError, match="none of: "), manager(name):
            pytest.fail("entered")
    assert route_of(rnn.ELU(), torch.randn(3)) == "llvm"


def test_routes_nest_and_an_exception_restores_them():
    module, x = rnn.ELU(), torch.randn(3)
    with relucid.route("plain"):
        with relucid.route("llvm"):
            assert route_of(module, x) == "llvm"
        assert route_of(module, x) == "plain"
        with pytest.raises(ZeroDivisionError), relucid.route("llvm"):
            raise ZeroDivisionError
        assert route_of(module, x) == "plain"
    assert route_of(module, x) == "llvm"


def test_a_thread_has_a_route_of_its_own():
    seen = []
    with relucid.route("plain"), relucid.precision("correct"):
        worker = threading.Thread(target=lambda: seen.append(route_of(rnn.ELU(), torch.ones(3))))
        worker.start()
        worker.join()
        assert route_of(rnn.ELU(), torch.ones(3)) == "plain"
    assert seen == ["llvm"]


def test_many_threads_compile_and_run_at_once():
    x = torch.linspace(-3, 3, 999)
    expected = relucid.get("elu", alpha=0.75)(x)
    function, results = relucid.get("elu", alpha=0.75), []
    workers = [
        threading.Thread(target=lambda: results.append([function(x) for _ in range(20)]))
        for _ in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 6
    assert all(torch.equal(y, expected) for ys in results for y in ys)


REFUSED = {
    "integers": lambda f: f(torch.arange(3)),
    "meta": lambda f: f(torch.empty(3, device="meta")),
    "vmap": lambda f: torch.func.vmap(f)(torch.ones(2, 3)),
    "sparse": lambda f: f(torch.eye(3).to_sparse()),
    "subclass": lambda f: f(torch.ones(3).as_subclass(type("Mine", (torch.Tensor,), {}))),
    "in place on a view that is followed": lambda f: rnn.ReLU(inplace=True)(
        (torch.ones(2, 3, requires_grad=True) * 1)[0]
    ),
    "in place with gaps": lambda f: rnn.ReLU(inplace=True)(torch.ones(4, 6)[:, ::2]),
    "parameters along two axes": lambda f: relucid.get("elu", alpha=torch.ones(2, 3))(
        torch.ones(2, 3)
    ),
    "a derivative to be differentiated": lambda f: f.derivative(torch.ones(3, requires_grad=True)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_kernels_cannot_is_refused_where_they_are_asked_for(what):
    with relucid.route("llvm"), pytest.raises(KernelError, match="llvm"):
        REFUSED[what](relucid.get("relu"))


def test_a_gpu_route_is_refused_on_memory_of_the_cpu():
    refused = KernelError if find_spec("triton") else MissingDependencyError
    with relucid.route("triton"), pytest.raises(refused, match="triton"):
        rnn.ELU()(torch.randn(3))


@pytest.mark.parametrize("make", [
    lambda: torch.randn(4, 6)[:, ::2], lambda: (torch.randn(2, 3, requires_grad=True) * 1)[0]
])  # fmt: skip
def test_writing_in_place_by_plain_operations_is_told_as_plain(make):
    rnn.ELU()(torch.randn(3))
    module = rnn.ReLU(inplace=True)
    assert route_of(module, make()) == "plain"


class Watching(TorchDispatchMode):
    """Counts the operators that reach PyTorch's dispatcher."""

    seen = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_dispatch_mode_sees_plain_operations(name):
    module, x = rnn.make(name), torch.randn(2, 4)
    with Watching() as mode:
        assert route_of(module, x) == "plain"
    assert mode.seen > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_fake_tensors_give_shapes_without_numbers(name):
    module = rnn.make(name)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for x in (mode.from_tensor(torch.randn(2, 4)), torch.randn(2, 4)):
            assert type(module(x)).__name__ == "FakeTensor"
            assert module.route == "plain"


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", ["relu", "gelu", "softmax", "swiglu"])
def test_transforms_and_tracing_take_plain_operations(name):
    module, x = rnn.make(name), torch.randn(2, 4)
    for transform in (
        lambda: torch.func.vmap(module)(x),
        lambda: torch.func.grad(lambda v: module(v).sum())(x),
        lambda: torch.func.jvp(module, (x,), (x,)),
        lambda: torch.jit.trace(module, (x,), check_trace=False),
        lambda: forward(module, x),
    ):
        assert route_of(module, x) == "llvm"
        transform()
        assert module.route == "plain"


def forward(module, x):
    with forward_ad.dual_level():
        return module(forward_ad.make_dual(x, x))


@pytest.mark.parametrize("inplace", [False, True])
def test_what_a_kernel_keeps_may_not_be_written_over(inplace):
    x = torch.randn(5, requires_grad=True) * 1.0
    y = rnn.SiLU()(x)
    with torch.no_grad():
        rnn.ELU(inplace=True)(x) if inplace else relucid.get("elu")(x.detach() * 1, out=x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "relu6", "squared_relu", "gelu"])
def test_a_gradient_that_is_to_be_differentiated_again_can_be(name):
    # As PyTorch's own: the second derivative of a piecewise linear function is 0, not an error.
    x = torch.randn(5, requires_grad=True)
    (slope,) = torch.autograd.grad(rnn.make(name)(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert torch.isfinite(x.grad).all()


CORRECT = [Case(name) for name in ("silu", "gelu", "mish", "elu", "softplus", "tanh", "sigmoid")]


@pytest.mark.parametrize("case", CORRECT, ids=lambda case: case.id)
def test_correct_precision_rounds_once(case):
    x = sample32(case, 1 << 16)
    truth = fast(case, "value", x)
    tensor = torch.from_numpy(x)
    with relucid.precision("correct"):
        correct = case.activation(tensor)
    standard = case.activation(tensor)
    # fast is right to 1e-12, and half a unit of float32 is 3e-8.
    assert ulps(correct.numpy(), truth, 0.0, "float32").max() <= 0.5 + 1e-4
    assert ulps(standard.numpy(), truth, 0.0, "float32").max() > 0.5 + 1e-4
    assert not torch.equal(correct, standard)


def test_precision_of_backward_is_that_of_forward():
    x = torch.randn(4096, requires_grad=True)
    with relucid.precision("correct"):
        y = rnn.GELU()(x)
        (inside,) = torch.autograd.grad(rnn.GELU()(x).sum(), x)
    (outside,) = torch.autograd.grad(y.sum(), x)
    (standard,) = torch.autograd.grad(rnn.GELU()(x).sum(), x)
    assert torch.equal(outside, inside)
    assert not torch.equal(outside, standard)


def test_a_users_own_activation_has_a_kernel_forward_and_backward():
    @relucid.activation(source="here", parameters={"a": real(0.5, "slope")})
    def routes_test_own(m, x, a):
        return m.where(x > 0, x, a * m.expm1(x)) + x * m.sigmoid(x) ** 2

    x = torch.randn(1000, requires_grad=True)
    with relucid.route("llvm"):
        y = routes_test_own(x)
        y.sum().backward()
    wide = x.detach().double().requires_grad_()
    with relucid.route("plain"):
        exact = routes_test_own(wide)
        exact.sum().backward()
    torch.testing.assert_close(y.double(), exact, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(x.grad.double(), wide.grad, rtol=1e-6, atol=1e-6)


def branch(m, x):
    return x if x.sum() > 0 else -x


def power_of_two(m, x):
    return 2.0**x


def from_torch(m, x):
    return torch.sin(x)


def third_power(m, x):
    return m.abs(x) ** 0.3


UNFIT = [branch, power_of_two, from_torch, third_power]


@pytest.mark.parametrize("formula", UNFIT, ids=lambda f: f.__name__)
def test_a_formula_without_a_kernel_warns_once_naming_the_line_and_works(formula):
    declared = relucid.activation(source="here", derivative=lambda m, x: m.where(x > 0, 1.0, -1.0))
    formula.__name__ = f"routes_test_{formula.__name__}"
    function = declared(formula)
    x = torch.randn(50, requires_grad=True)
    with pytest.warns(KernelWarning) as caught:
        y = function(x)
    assert len(caught) == 1
    line = formula.__code__.co_firstlineno + 1
    assert f"test_routes.py, line {line}" in str(caught[0].message)
    assert torch.equal(y, formula(torch, x.double()).float())
    y.sum().backward()
    assert torch.equal(x.grad, x.sign())
    function(x)  # a second warning would be an error
    with relucid.route("llvm"), pytest.raises(KernelError):
        function(x)


def test_a_condition_times_a_number_works_with_a_kernel_or_without():
    @relucid.activation(source="here", derivative=lambda m, x: m.where(x > 0, 1.0, 0.0))
    def routes_test_mask_times_number(m, x):
        return x * (x > 0)

    x = torch.randn(50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KernelWarning)
        assert torch.equal(routes_test_mask_times_number(x), x.relu())
