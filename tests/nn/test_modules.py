"""The modules are torch.nn's: names, calls, attributes, repr, copies, saved states."""

import copy
import inspect
import io
import itertools
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import relucid
from relucid import nn as rnn
from relucid.errors import DeclarationError, ParameterError, UnknownActivationError
from support.cases import CASES, ELEMENTWISE
from support.modules import by_case, module_of

# MultiheadAttention is a layer, and Softmax2d is Softmax(dim=-3).
TORCH_CLASSES = sorted(set(nn.modules.activation.__all__) - {"MultiheadAttention", "Softmax2d"})
EXAMPLES = {
    "threshold": 0.25,
    "value": 0.5,
    "inplace": True,
    "lower": 0.1,
    "upper": 0.2,
    "min_val": -0.5,
    "max_val": 0.75,
    "alpha": 0.5,
    "dim": 1,
    "approximate": "tanh",
    "lambd": 0.25,
    "negative_slope": 0.3,
    "beta": 2.0,
    "num_parameters": 4,
    "init": 0.125,
    "device": None,
    "dtype": torch.float64,
}
DEPRECATED = {"min_value", "max_value"}


@relucid.activation(source="this test", parameters={"width": relucid.Parameter(2.0, low=0.0)})
def bent_twice(m, x, width):
    """A user's own activation."""
    return m.where(x > width, width, m.where(x < -width, -width, x))


def test_every_catalogue_function_has_an_exported_class():
    for activation in relucid.catalogue().values():
        module = rnn.make(activation)
        assert getattr(rnn, type(module).__name__) is type(module)
        assert isinstance(module, nn.Module)
        assert type(module).__name__ in rnn.__all__


def test_names_follow_pytorch_and_the_papers():
    names = {name: type(rnn.make(name)).__name__ for name in relucid.catalogue()}
    expected = {
        "leaky_relu": "LeakyReLU",
        "logsigmoid": "LogSigmoid",
        "squared_relu": "SquaredReLU",
        "thresholded_relu": "ThresholdedReLU",
        "penalized_tanh": "PenalizedTanh",
        "quick_gelu": "QuickGELU",
        "reglu": "ReGLU",
        "geglu": "GEGLU",
        "swiglu": "SwiGLU",
        "maxout": "Maxout",
    }
    assert {name: names[name] for name in expected} == expected
    assert set(TORCH_CLASSES) <= set(names.values())


def _torch_calls(name):
    """Every way to call a torch.nn constructor: each prefix by position, each subset by name."""
    parameters = inspect.signature(getattr(nn, name)).parameters.values()
    named = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = [p for p in named if p.name not in DEPRECATED]
    required = [p.name for p in named if p.default is p.empty]
    names = [p.name for p in named]
    for count in range(len(required), len(names) + 1):
        yield tuple(EXAMPLES[n] for n in names[:count]), {}
        for chosen in itertools.combinations(names, count):
            if set(required) <= set(chosen):
                yield (), {n: EXAMPLES[n] for n in chosen}


@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_every_call_of_a_torch_constructor_is_taken_and_gives_equal_attributes(name):
    names = set(inspect.signature(getattr(nn, name)).parameters) - DEPRECATED - {"device", "dtype"}
    for args, kwargs in _torch_calls(name):
        theirs, ours = getattr(nn, name)(*args, **kwargs), getattr(rnn, name)(*args, **kwargs)
        for attribute in names & (set(EXAMPLES) - {"kwargs", "args"}):
            if (name, attribute) == ("Softplus", "threshold") and theirs.threshold == 20:
                continue  # no switch by default: the one default that differs, see its card
            assert getattr(ours, attribute) == getattr(theirs, attribute), (attribute, args, kwargs)


@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_repr_is_torchs(name):
    calls = list(_torch_calls(name))
    for args, kwargs in (calls[0], calls[-1]):
        if name in ("Hardsigmoid", "Hardswish") and (args or kwargs):
            continue  # PyTorch does not show their inplace
        theirs, ours = (repr(getattr(room, name)(*args, **kwargs)) for room in (nn, rnn))
        # Hardshrink and Softshrink show a bare number there, and Softplus has no default switch.
        assert ours.replace("lambd=", "").replace("threshold=inf", "threshold=20.0") == theirs


def test_a_parameter_can_be_read_and_set_as_an_attribute():
    elu = rnn.ELU(alpha=0.5)
    elu.alpha = 2.0
    assert elu.alpha == 2.0
    assert elu.activation.parameters == {"alpha": 2.0}
    x = torch.tensor([-1.0, 1.0])
    torch.testing.assert_close(elu(x), functional.elu(x, 2.0))
    assert rnn.ReLU6().max_val == 6.0
    with pytest.raises(ParameterError, match="celu: alpha must be > 0"):
        rnn.CELU().alpha = -1.0


@by_case(CASES)
def test_pickle_and_deepcopy_keep_class_parameters_and_output(case):
    module, x = module_of(case), torch.randn(2, 6)
    module.eval()
    for twin in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert type(twin) is type(module)
        assert repr(twin) == repr(module)
        assert not twin.training
        assert torch.equal(twin(x), module(x))


def test_a_whole_model_can_be_saved_and_its_state_loads_with_weights_only():
    model = nn.Sequential(nn.Linear(3, 4), rnn.PReLU(4), rnn.make("silu", learn="beta"))
    with torch.no_grad():
        model[1].weight.uniform_()
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    assert list(state) == ["0.weight", "0.bias", "1.weight", "2.beta"]
    twin = nn.Sequential(nn.Linear(3, 4), rnn.PReLU(4), rnn.make("silu", learn="beta"))
    twin.load_state_dict(state)
    x = torch.randn(5, 3)
    assert torch.equal(model(x), twin(x))


def test_a_subclass_pickles_as_itself():
    module = pickle.loads(pickle.dumps(Loud(alpha=0.5)))
    assert type(module) is Loud
    assert module.alpha == 0.5


class Loud(rnn.ELU):
    """A user's subclass."""


def test_make_returns_a_new_module_each_time_from_anything_that_names_one():
    source = nn.LeakyReLU(0.3, inplace=True)
    assert rnn.make("relu") is not rnn.make("relu")
    named = ["gelu", "GELU", "gelu_exact", nn.GELU, nn.GELU(), functional.gelu, rnn.GELU]
    named += [rnn.GELU(), relucid.get("gelu")]
    assert {type(rnn.make(thing)) for thing in named} == {rnn.GELU}
    copied = rnn.make(source)
    assert (copied.negative_slope, copied.inplace) == (0.3, True)
    assert rnn.make(copied, negative_slope=0.5).negative_slope == 0.5
    assert rnn.make(nn.Softmax(dim=1)).dim == 1
    assert rnn.make("gelu", approximate="tanh").activation.name == "gelu_tanh"


def test_make_copies_a_learned_slope_with_its_dtype_and_mode():
    source = nn.PReLU(3, init=0.1, dtype=torch.float64).eval()
    copied = rnn.make(source)
    x = torch.randn(2, 3, dtype=torch.float64)
    assert torch.equal(copied(x), source(x))
    assert not copied.training
    with torch.no_grad():
        copied.weight.zero_()
    assert source.weight.sum() > 0


def test_a_users_own_activation_gets_a_module_with_all_of_it():
    module = rnn.make(bent_twice, width=1.0)
    assert repr(module) == "BentTwice(width=1.0)"
    assert type(rnn.make("bent_twice")) is type(module)
    twin = pickle.loads(pickle.dumps(module))
    x = torch.tensor([-3.0, 0.5, 3.0], requires_grad=True)
    y = twin(x)
    y.sum().backward()
    assert y.tolist() == [-1.0, 0.5, 1.0]
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: rnn.make("rellu"), UnknownActivationError, "did you mean 'relu'"),
        (lambda: rnn.make(nn.Linear(2, 2)), UnknownActivationError, "no declared activation"),
        (lambda: rnn.make(functional.linear), UnknownActivationError, "no declared activation"),
        (lambda: rnn.make(len), UnknownActivationError, "no declared activation"),
        (lambda: rnn.make("elu", beta=1.0), ParameterError, "its parameters are: alpha"),
        (lambda: rnn.make("gelu", dim=1), ParameterError, "gelu takes no 'dim'"),
        (lambda: rnn.make("elu", learn="beta"), ParameterError, "it has: alpha"),
        (lambda: rnn.make("elu", num_parameters=3), ParameterError, "needs learn="),
        (lambda: rnn.ELU(gamma=1.0), ParameterError, r"ELU: .*'gamma'; it is called as ELU\("),
        (lambda: rnn.ELU(alpha=torch.ones(3)), ParameterError, "learn='alpha'"),
        (lambda: rnn.RReLU(0.5, 0.1), ParameterError, "lower <= upper"),
        (lambda: rnn.Maxout(2.5), ParameterError, "whole number"),
    ],
)
def test_wrong_use_is_refused_with_the_cure(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_declaration_whose_parameter_is_named_as_an_option_is_refused():
    @relucid.activation(source="this test", parameters={"inplace": relucid.Parameter(1.0)})
    def clashing(m, x, inplace):
        """Has a parameter that every module has too."""
        return x * inplace

    with pytest.raises(DeclarationError, match="inplace"):
        rnn.make(clashing)


def test_rrelu_draws_slopes_within_its_interval_in_training_only():
    module, x = rnn.RReLU(0.2, 0.4), -torch.ones(4000)
    drawn = -module(x)
    assert drawn.min() >= 0.2
    assert drawn.max() <= 0.4
    np.testing.assert_allclose(drawn.std(), 0.2 / 12**0.5, rtol=0.1)  # a uniform's deviation
    torch.testing.assert_close(-module.eval()(x), torch.full_like(x, 0.3))


def test_rrelu_backward_uses_the_slopes_that_were_drawn():
    x = (-torch.ones(100)).requires_grad_()
    y = rnn.RReLU()(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, -y.detach())


@by_case([case for case in ELEMENTWISE if case.name not in ("identity", "rrelu")])
def test_inplace_writes_into_the_input_and_differentiates_at_the_old_values(case):
    module, twin = module_of(case), rnn.make(case.name, **case.parameters, inplace=True)
    leaf = torch.randn(4, 5, requires_grad=True)
    x = leaf * 1.0
    y = twin(x)
    assert y is x
    expected = module(leaf)
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    weights = torch.randn(4, 5)
    (by_twin,) = torch.autograd.grad((y * weights).sum(), leaf)
    (by_module,) = torch.autograd.grad((expected * weights).sum(), leaf)
    assert torch.equal(by_twin, by_module)


def test_inplace_on_a_leaf_is_refused_as_torch_refuses_it():
    x = torch.randn(3, requires_grad=True)
    for module in (nn.ELU(inplace=True), rnn.ELU(inplace=True)):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            module(x)
    with torch.no_grad():
        assert rnn.ReLU(inplace=True)(x) is x
        assert x.min() >= 0
