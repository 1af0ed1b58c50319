"""Activations inside what torch.compile makes: which are operators, and what they compute."""

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func

import relucid
from relucid import nn as rnn
from relucid.errors import DeclarationError
from relucid.nn import operators
from relucid.nn.operators import in_numbers, in_words
from support import fresh
from support.cases import ELEMENTWISE
from support.modules import module_of

# PyTorch's own tracers use what PyTorch deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]
SPECIALS = torch.tensor(
    [0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-45, -1e-45, 3.4e38, -3.4e38, 3.0, -3.0, 6.0]
)
HOME = "relucid.functions.families"
FROM_BITS = ["value_and_bits", "gradient_from_bits"]


@pytest.fixture(autouse=True)
def fresh_compiler():
    """Each test compiles as if it were the only one."""
    torch._dynamo.reset()
    torch.manual_seed(0)


def numbers():
    """Of all sizes, with every special, and some in the lanes of a last short vector."""
    return torch.cat([SPECIALS, torch.randn(501) * 3, torch.randn(500) * 1e-3, SPECIALS])


def same(a, b):
    """Whether two tensors hold the same numbers; NaN is NaN, and -0.0 is not 0.0."""
    signs = torch.signbit(a) == torch.signbit(b)
    return bool(torch.where(a.isnan(), b.isnan(), (a == b) & signs).all())


def value_and_gradient(function, x):
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = function(x)
    weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).reshape(y.shape)
    return y.detach(), torch.autograd.grad(y, x, weights)[0]


class Graphs:
    """A backend that keeps the names of relucid's operators, and what is saved for backward."""

    def __init__(self):
        self.called, self.saved = [], []
        self.backend = aot_autograd(fw_compiler=self.forward, bw_compiler=self.backward)

    def forward(self, graph, _):
        self.note(graph)
        self.saved = [n.meta["val"] for n in graph.graph.output_node().args[0][1:]]
        return make_boxed_func(graph.forward)

    def backward(self, graph, _):
        self.note(graph)
        return make_boxed_func(graph.forward)

    def note(self, graph):
        called = [str(n.target) for n in graph.graph.nodes if n.op == "call_function"]
        self.called += [name.split(".")[1] for name in called if name.startswith("relucid.")]


@pytest.mark.parametrize("begin", range(6))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_compiled_bits_are_the_eager_bits(begin, dtype):
    """Every sixth function in one graph: to start the compiler takes longer than any of them."""
    cases = ELEMENTWISE[begin::6]
    modules = [module_of(case).eval() for case in cases]

    def together(inputs):
        return [module(x) for module, x in zip(modules, inputs, strict=True)]

    compiled = torch.compile(together, fullgraph=True, backend="aot_eager")
    inputs = [numbers().to(dtype).requires_grad_() for _ in cases]
    with torch.no_grad():
        alone = [together(inputs), compiled(inputs)]
    trained = [together(inputs), compiled(inputs)]
    weights = [torch.linspace(0.5, 1.5, x.numel(), dtype=dtype) for x in inputs]
    gradients = [torch.autograd.grad(values, inputs, weights) for values in trained]
    for expected, found in (alone, trained, gradients):
        for case, ours, theirs in zip(cases, found, expected, strict=True):
            assert same(ours, theirs), case.id


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("relu6", torch.float32),
        ("hardswish", torch.float32),
        ("hardsigmoid", torch.bfloat16),
        ("softsign", torch.float64),
        ("elu", torch.float16),
    ],
)
def test_inductor_keeps_the_bits(name, dtype):
    function, x = relucid.get(name), numbers().to(dtype)
    compiled = torch.compile(lambda x: function(x), fullgraph=True, mode="reduce-overhead")
    assert same(compiled(x), function(x))
    for ours, theirs in zip(
        value_and_gradient(compiled, x), value_and_gradient(function, x), strict=True
    ):
        assert same(ours, theirs)


@pytest.mark.parametrize(
    ("function", "alone", "trained"),
    [
        ("relu", [], FROM_BITS),
        ("hardtanh", [], FROM_BITS),
        ("leaky_relu", ["value"], FROM_BITS),  # 0.01 is inexact
        (
            relucid.get("hardtanh", min_val=-2.0),
            ["value"],
            FROM_BITS,
        ),
        ("softsign", [], ["value", "gradient"]),
        ("hardswish", ["value"], ["value", "gradient"]),  # 1/6 is inexact
        ("gelu", ["value"], ["value", "gradient"]),
        (relucid.get("relu").at_kink(0.5), [], ["value", "gradient"]),
    ],
)
def test_which_functions_are_operators(function, alone, trained):
    function, graphs = relucid.get(function), Graphs()
    compiled = torch.compile(lambda x: function(x), fullgraph=True, backend=graphs.backend)
    compiled(torch.randn(5))
    assert graphs.called == alone
    value_and_gradient(compiled, torch.randn(5))
    assert graphs.called == alone + trained


def test_relu_saves_one_bit_an_element_and_one_for_nan_that_is_not_touched():
    graphs, length = Graphs(), 1 << 16
    x = torch.randn(length, requires_grad=True)
    torch.compile(rnn.ReLU(), fullgraph=True, backend=graphs.backend)(x).sum().backward()
    assert sorted(saved.nbytes for saved in graphs.saved) == [length // 8, length // 8 + 1]


@pytest.mark.parametrize("at", [0, 7, 1000])
def test_nan_has_nan_for_a_gradient_where_bits_are_saved(at):
    x = torch.randn(1001)
    x[at] = torch.nan
    gradient = value_and_gradient(torch.compile(rnn.ReLU6(), backend="aot_eager"), x)[1]
    assert gradient.isnan().nonzero().tolist() == [[at]]


def test_declared_gradients_at_a_kink():
    function = relucid.get("relu").at_kink(0.5)
    compiled = torch.compile(lambda x: function(x), fullgraph=True, backend="aot_eager")
    gradient = value_and_gradient(compiled, torch.zeros(3))[1]
    assert gradient.tolist() == [0.25, 0.5, 0.75]


def test_functions_made_inside_compiled_code():
    def model(x):
        return relucid.get("elu", alpha=0.5)(x)

    compiled, x = torch.compile(model, fullgraph=True, backend="aot_eager"), -torch.rand(5)
    torch.testing.assert_close(compiled(x), nn.functional.elu(x, 0.5))


def test_parameters_set_after_compilation():
    module, x = rnn.ELU(), -torch.rand(5)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for module.alpha in (0.5, 2.0, 3.0):
        torch.testing.assert_close(compiled(x), nn.functional.elu(x, module.alpha))
        expected = value_and_gradient(lambda x: nn.functional.elu(x, module.alpha), x)[1]
        torch.testing.assert_close(value_and_gradient(compiled, x)[1], expected)


@pytest.mark.parametrize("name", ["relu", "gelu", "hardswish"])
def test_one_graph_serves_all_shapes(name):
    module, graphs = rnn.make(name), Graphs()
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend=graphs.backend)
    for shape in ((3, 5), (7, 11), (2, 64)):
        x = torch.randn(shape)
        for ours, theirs in zip(
            value_and_gradient(compiled, x), value_and_gradient(module, x), strict=True
        ):
            assert same(ours, theirs)
    assert len(graphs.called) == 2


LAYOUTS = {
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(1, 3),
    "with gaps": lambda x: x[:, :, ::2],
    "expanded": lambda x: x[:, :1].expand(-1, 4, -1, -1),
    "empty": lambda x: x[:0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["relu", "gelu"])
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_layouts(layout, name, backend):
    module, x = rnn.make(name), LAYOUTS[layout](torch.randn(2, 4, 6, 8))
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    weights = torch.rand_like(x)
    results = []
    for function in (compiled, module):
        leaf = x.detach().requires_grad_()
        y = function(leaf)
        y.backward(weights)
        results.append((y.detach(), leaf.grad))
    (value, gradient), (expected, expected_gradient) = results
    assert same(value, expected)
    assert same(gradient, expected_gradient)
    assert layout == "with gaps" or value.stride() == expected.stride()


@pytest.mark.parametrize("name", ["elu", "softplus", "prelu"])
@pytest.mark.parametrize("channels", [1, 4])
def test_learned_parameters(name, channels):
    learn = next(iter(relucid.get(name).parameters_declared))
    module = rnn.make(name, learn=learn, num_parameters=channels)
    graphs = Graphs()
    compiled = torch.compile(module, fullgraph=True, backend=graphs.backend)
    x, found = torch.randn(5, 4, 6), []
    for function in (compiled, module):
        y, by_x = value_and_gradient(function, x)
        (by_parameter,) = torch.autograd.grad(function(x).sum(), tuple(module.parameters()))
        found.append((y, by_x, by_parameter))
    assert all(map(same, *found))
    assert {"learned_value", "learned_gradients"} == set(graphs.called)


def test_a_compiled_training_step_is_the_eager_one():
    def trained(compile):
        torch.manual_seed(1)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), rnn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 16),
            rnn.GELU(), nn.Linear(16, 8), rnn.PReLU(8), nn.Linear(8, 2),
        )  # fmt: skip
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        function = torch.compile(model, fullgraph=True) if compile else model
        losses = []
        for _ in range(3):
            loss = function(torch.randn(6, 1, 8, 8)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses

    assert trained(True) == pytest.approx(trained(False), rel=1e-4)


def test_under_autocast():
    model = nn.Sequential(nn.Linear(4, 8), rnn.GELU(), nn.Linear(8, 8), rnn.ReLU())
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = torch.randn(3, 4)
        assert same(compiled(x), model(x))
        compiled(x).sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())


def test_operators_obey_route_and_precision_when_they_run():
    function, x = relucid.get("gelu"), torch.randn(4001)
    compiled = torch.compile(lambda x: function(x), fullgraph=True, backend="aot_eager")
    usual = compiled(x)
    with relucid.route("plain"):
        plain, expected = compiled(x), function(x)
    assert same(plain, expected)
    assert not same(plain, usual)
    with relucid.precision("correct"):
        assert same(compiled(x), function(x))
    with relucid.route("llvm"):
        assert same(compiled(x), usual)


def test_routes_cannot_be_entered_inside_of_compiled_code():
    def model(x):
        with relucid.route("plain"):
            return relucid.get("gelu")(x)

    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with pytest.raises(torch._dynamo.exc.Unsupported, match="ContextVar"):
        compiled(torch.randn(3))


def test_exported_programs_run_without_relucid():
    for name in ("relu", "gelu"):
        program = torch.export.export(rnn.make(name), (torch.randn(3),))
        assert not any("relucid" in str(node.target) for node in program.graph.nodes)


def test_transforms_inside_compiled_code_see_the_formula():
    def slope(x):
        return torch.func.vmap(torch.func.grad(relucid.get("gelu")))(x)

    compiled, x = torch.compile(slope, fullgraph=True, backend="aot_eager"), torch.randn(9)
    torch.testing.assert_close(compiled(x), slope(x))


def test_a_formula_without_a_kernel_is_recorded_in_plain_operations():
    @relucid.activation(derivative=lambda m, x: m.cos(x), source="this test")
    def unspeakable(m, x):
        return m.sin(x) if float(0 * x.sum()) == 0.0 else x

    compiled = torch.compile(lambda x: unspeakable(x), backend="aot_eager")
    with pytest.warns(relucid.errors.KernelWarning, match="unspeakable"):
        unspeakable(torch.ones(2))
    torch.testing.assert_close(compiled(torch.ones(2)), torch.ones(2).sin())


OPERATORS = {
    "value": lambda x, *call: (operators.value, (x, *call)),
    "gradient": lambda x, *call: (operators.gradient, (x, torch.rand_like(x), *call)),
    "value_and_bits": lambda x, *call: (operators.value_and_bits, (x, *call)),
    "gradient_from_bits": lambda x, *call: (
        operators.gradient_from_bits,
        (*operators.value_and_bits(x, *call)[1:], torch.rand_like(x), *call),
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pytorch_approves_of_the_operators(name, layout):
    x = LAYOUTS[layout](torch.randn(2, 4, 6, 8))
    function = relucid.get("leaky_relu", negative_slope=0.2)
    operator, arguments = OPERATORS[name](x, in_words(function), in_numbers(function))
    torch.library.opcheck(operator, arguments)


def test_pytorch_approves_of_the_operators_with_learned_parameters():
    words, x, alpha = in_words(relucid.get("elu"), ["alpha"]), torch.randn(5, 4), torch.ones(4)
    torch.library.opcheck(operators.learned_value, (x, [alpha], words, []))
    torch.library.opcheck(operators.learned_gradients, (x, torch.rand(5, 4), [alpha], words, []))


def test_functions_are_described_in_words():
    assert in_words(relucid.get("silu"), ["beta"]) == f"{HOME}.gated:silu(beta)"
    leaky = relucid.get("leaky_relu", negative_slope=0.3).at_kink(1.0)
    assert (in_words(leaky), in_numbers(leaky)) == (f"{HOME}.piecewise:leaky_relu()", [0.3, 1.0])


CUSTOM = """
import relucid

@relucid.activation(parameters={"a": relucid.functions.positive(1.0)}, source="a test")
def bump(m, x, a):
    return a * m.exp(-x * x)
"""


def test_another_process_finds_a_users_function_by_its_words(tmp_path):
    (tmp_path / "mine.py").write_text(CUSTOM)
    script = (
        "import torch, relucid.nn.operators\n"
        "y = torch.ops.relucid.value(torch.zeros(2), 'mine:bump()', [3.0])\n"
        "assert y.tolist() == [3.0, 3.0], y\n"
    )
    done = fresh.run(script, tmp_path)
    assert done.returncode == 0, done.stderr


def test_words_that_are_no_longer_declared_are_refused():
    with pytest.raises(DeclarationError, match=f"{HOME}.gated no longer declares .* 'gone'"):
        operators.value(torch.zeros(2), f"{HOME}.gated:gone()", [])
