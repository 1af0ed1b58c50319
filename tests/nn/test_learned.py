"""Learned parameters: any parameter of any function, shared or one a channel."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from relucid import nn as rnn
from relucid.errors import ShapeError
from support.cases import ELEMENTWISE

X = torch.tensor(
    [-4.37, -2.37, -1.21, -0.77, -0.43, 0.17, 0.41, 0.93, 1.61, 2.6, 3.7, 7.1],
    dtype=torch.float64,
).reshape(3, 4)
PARAMETERS = [
    pytest.param(case, name, id=f"{case.id}:{name}")
    for case in ELEMENTWISE
    for name in case.activation.parameters_declared
    if name != "threshold"  # a switch, whose gradient is zero wherever it exists: checked below
]
# PyTorch's own vmap is still partly scripted.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")


def learning(case, name, num_parameters):
    """A module that learns one parameter, and it as a function of input and parameter."""
    module = rnn.make(
        case.name,
        **case.parameters,
        learn=name,
        num_parameters=num_parameters,
        dtype=torch.float64,
    ).eval()
    ((key, parameter),) = module.named_parameters()
    return parameter, lambda x, w: functional_call(module, {key: w}, (x,))


@pytest.mark.parametrize(("case", "name"), PARAMETERS)
@pytest.mark.parametrize("num_parameters", [1, 4])
def test_gradients_of_every_parameter_agree_with_finite_differences(case, name, num_parameters):
    parameter, function = learning(case, name, num_parameters)
    x = X.clone().requires_grad_()
    assert parameter.shape == (num_parameters,)
    assert gradcheck(function, (x, parameter), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(function, (x, parameter))


def test_a_threshold_has_zero_gradient_and_its_value_the_number_of_replaced_elements():
    module = rnn.make("threshold", threshold=0.5, value=2.0, learn=("threshold", "value"))
    module(X.float()).sum().backward()
    assert module.threshold.grad.item() == 0.0
    assert module.value.grad.item() == (X <= 0.5).sum().item()


def test_parameters_are_learned_by_an_optimiser():
    # The data come from SiLU with beta 3, so beta is the only wrong thing to be put right.
    torch.manual_seed(0)
    x = torch.randn(512)
    module = rnn.make("silu", beta=1.0, learn="beta")
    optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
    target = rnn.make("silu", beta=3.0)(x)
    for _ in range(200):
        optimiser.zero_grad()
        nn.functional.mse_loss(module(x), target).backward()
        optimiser.step()
    assert module.beta.item() == pytest.approx(3.0, abs=0.05)
    assert module.activation.parameters["beta"] is module.beta


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("num_parameters", [1, 3])
def test_prelu_is_torchs_in_values_gradients_and_saved_state(shape, num_parameters):
    torch.manual_seed(0)
    ours, theirs = rnn.PReLU(num_parameters), nn.PReLU(num_parameters)
    with torch.no_grad():
        theirs.weight.uniform_(-1, 1)
    ours.load_state_dict(theirs.state_dict())
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    x, y = torch.randn(shape, requires_grad=True), torch.randn(shape)
    results = []
    for module in (ours, theirs):
        output = module(x)
        by_x, by_weight = torch.autograd.grad((output * y).sum(), [x, module.weight])
        results.append((output, by_x, by_weight))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_one_parameter_a_channel_needs_that_many_channels_along_axis_1():
    module = rnn.make("silu", learn="beta", num_parameters=3)
    for shape in ((3,), (), (2, 4), (3, 2)):
        with pytest.raises(ShapeError, match="3 channels along axis 1"):
            module(torch.zeros(shape))


def test_channels_and_several_parameters_at_once_each_get_their_own():
    module = rnn.make("rrelu", learn=("lower", "upper"), num_parameters=2)
    with torch.no_grad():
        module.lower.copy_(torch.tensor([0.0, 1.0]))
        module.upper.copy_(torch.tensor([1.0, 3.0]))
    assert module(-torch.ones(1, 2, 2)).tolist() == [[[-0.5, -0.5], [-2.0, -2.0]]]
    assert list(module.state_dict()) == ["lower", "upper"]
    module.reset_parameters()
    assert module.upper.tolist() == pytest.approx([1 / 3, 1 / 3])


def test_a_learned_parameter_may_leave_its_domain_and_is_not_clamped():
    module = rnn.make("celu", learn="alpha")
    with torch.no_grad():
        module.alpha.fill_(-1.0)
    x = torch.tensor([-0.5])
    torch.testing.assert_close(module(x), -torch.expm1(-x))


def test_parameters_of_another_dtype_than_the_input_keep_theirs():
    module = rnn.make("elu", learn="alpha")
    x = torch.randn(8, dtype=torch.bfloat16, requires_grad=True)
    y = module(x)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype) == (torch.bfloat16, torch.bfloat16)
    assert module.alpha.grad.dtype == torch.float32
