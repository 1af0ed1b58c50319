"""From declarations to loops: what backward needs, what is read when, what tells two apart."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

import relucid
from relucid.errors import KernelError
from relucid.functions import Kink, real
from relucid.kernels.build import Builder
from relucid.kernels.describe import describe
from relucid.kernels.program import Value
from support.cases import ELEMENTWISE
from support.modules import by_case

EACH = by_case(ELEMENTWISE)
LEARNED = [
    pytest.param(case, name, id=f"{case.id}:{name}")
    for case in ELEMENTWISE
    for name in case.activation.parameters_declared
]


def builder(activation, **changes):
    return Builder(activation, **({"storage": "float32", "bits": 32} | changes))


NEEDS = ("nothing", "mask", "input")


def needed(made):
    """What backward needs of each element, as a declaration says it."""
    if made.constant_slope is not None:
        return "nothing"
    return "mask" if made.one_bit else "input"


@by_case([case for case in ELEMENTWISE if case.name != "prelu"])
def test_backward_needs_what_the_declaration_says(case):
    found, declared = needed(builder(case.activation)), case.activation.saves
    if case.activation.changed:  # a slope of 0 or 1 can make less do
        assert NEEDS.index(found) <= NEEDS.index(declared)
    else:
        assert found == declared


def test_prelu_needs_its_input_for_the_slope_that_it_declares_as_learned():
    assert relucid.get("prelu").saves == "input"
    assert needed(builder(relucid.get("prelu"))) == "mask"
    assert len(builder(relucid.get("prelu"), learned=("negative_slope",)).backward().sums) == 1


@pytest.mark.parametrize(
    ("name", "parameters", "slope"),
    [
        ("identity", {}, 1.0),
        ("leaky_relu", {"negative_slope": 1.0}, 1.0),
        ("softshrink", {"lambd": 0.0}, 1.0),
        ("relu", {}, None),
        ("elu", {}, None),
    ],
)
def test_a_slope_that_is_one_number_is_known(name, parameters, slope):
    assert builder(relucid.get(name, **parameters)).constant_slope == slope


def test_a_kink_with_a_third_slope_needs_more_than_a_bit():
    half = builder(relucid.get("relu").at_kink(0.5))
    assert not half.one_bit
    with pytest.raises(KernelError, match="more than one bit"):
        half.forward_with_mask()


@EACH
def test_loops_read_and_write_no_more_than_they_need(case):
    made = builder(case.activation)
    forward, backward = made.forward(), made.backward()
    assert (forward.arrays, len(forward.outputs), forward.sums) == (("x",), 1, ())
    assert (backward.arrays, len(backward.outputs), backward.sums) == (("x", "g"), 1, ())
    if not made.one_bit:
        return
    masked = made.forward_with_mask()
    assert len(masked.flags) == 1
    assert len(masked.mask_outputs) == (made.constant_slope is None)
    if made.constant_slope is None:
        unpacked = made.backward_from_mask()
        assert (unpacked.arrays, unpacked.masks) == (("g",), ("chosen",))


@pytest.mark.parametrize(("case", "name"), LEARNED)
def test_a_learned_parameter_is_read_at_run_time_and_its_gradient_summed(case, name):
    made = builder(case.activation, learned=(name,))
    forward, backward = made.forward(), made.backward("columns")
    assert forward.parameters == backward.parameters == (name,)
    assert len(backward.sums) == 1
    assert backward.layout == "columns"
    if name != "threshold" or case.name != "softplus":
        inputs = [v.arguments[0] for v in forward.tape.values if v.operation == "input"]
        assert sorted(inputs) == sorted(["x", name])


def test_a_learned_parameters_value_does_not_change_the_kernel():
    loops = [
        builder(relucid.get("elu", alpha=a), learned=("alpha",)).backward() for a in (0.5, 2.0)
    ]
    assert describe(loops[0]) == describe(loops[1])


def test_whatever_differs_shows_in_the_description():
    leaky, relu = relucid.get("leaky_relu"), relucid.get("relu")
    loops = [
        builder(leaky).forward(),
        builder(leaky, storage="float16").forward(),
        builder(leaky, storage="bfloat16").forward(),
        builder(leaky, bits=64).forward(),
        builder(leaky, storage="float64", bits=64).forward(),
        builder(leaky).forward("columns"),
        builder(leaky, learned=("negative_slope",)).forward(),
        builder(leaky.with_parameters(negative_slope=0.02)).forward(),
        builder(leaky.with_parameters(negative_slope=0.0)).forward(),
        builder(leaky.with_parameters(negative_slope=-0.0)).forward(),
        builder(leaky).forward_with_mask(),
        builder(leaky).backward(),
        builder(leaky).backward_from_mask(),
        builder(leaky).derivative(),
        builder(relu).backward(),
        builder(relu.at_kink(0.5)).backward(),
        builder(relu.at_kink(1.0)).backward(),
        builder(relu).backward_from_mask(),
    ]
    assert len({describe(loop) for loop in loops}) == len(loops)


def test_the_order_and_number_of_outputs_show_in_the_description():
    loop = builder(relucid.get("elu")).backward()
    (output,), x = loop.outputs, loop.tape.input("x")
    several = [
        replace(loop, outputs=outputs, sums=sums)
        for outputs, sums in (((output, x), ()), ((x, output), ()), ((output,), (x,)))
    ]
    assert len({describe(one) for one in (loop, *several)}) == 4


def test_names_and_what_nothing_depends_on_do_not_show():
    one, other = builder(relucid.get("elu")).forward(), builder(relucid.get("celu")).forward()
    other.tape.input("unused")
    assert describe(one) == describe(replace(other, name="another"))


PRINT = """
import relucid
from relucid.kernels.build import Builder
from relucid.kernels.describe import describe
for name in ("gelu", "mish", "hardtanh"):
    made = Builder(relucid.get(name), "float32", 32)
    print(describe(made.forward()), describe(made.backward()))
"""


def test_descriptions_agree_between_processes(capsys):
    exec(PRINT)
    other = subprocess.run(
        [sys.executable, "-c", PRINT],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert other.stdout == capsys.readouterr().out
    assert len(other.stdout.splitlines()) > 30


def test_declared_kinks_of_a_derived_slope_are_in_the_backward_loop():
    @relucid.activation(source="here", kinks=[Kink(0.0, 0.25)], parameters={"a": real(0.5, "")})
    def kernels_test_bent(m, x, a):
        return m.where(x > 0, x, a * x)

    loop = builder(kernels_test_bent).derivative()
    constants = {
        a for value in loop.tape.values for a in value.arguments if not isinstance(a, Value | str)
    }
    assert {0.25, 0.5} <= constants
