"""Where a program is known to hand a NaN on, and that its machine code then does.

The analysis is judged by brute force: the bare programs run on every kind of NaN.
"""

import math

import numpy as np
import pytest

from relucid.kernels.build import Builder
from relucid.kernels.contract import Loop
from relucid.kernels.llvm.compile import REGISTERS, machine
from relucid.kernels.llvm.run import Kernel
from relucid.kernels.nan import carries
from relucid.kernels.program import Tape, needed
from relucid.kernels.words import KernelWords
from support.cases import ELEMENTWISE
from support.modules import by_case

TYPES = {32: (np.float32, np.uint32), 64: (np.float64, np.uint64)}
BITS = pytest.mark.parametrize("bits", TYPES)


def every_nan(bits):
    """Quiet, signalling and negative ones, with many payloads, in an odd number."""
    number, pattern = TYPES[bits]
    digits = np.finfo(number).nmant
    payloads = [1, 2, 3, 1 << (digits - 1), (1 << (digits - 1)) + 1, (1 << digits) - 1]
    payloads += [1 << place for place in range(1, digits)]
    infinity = ((1 << (bits - digits - 1)) - 1) << digits
    signs = (0, 1 << (bits - 1))
    found = np.array([s + infinity + p for s in signs for p in payloads], pattern).view(number)
    assert np.isnan(found).all()
    return found


def run(loop, bits, *arrays):
    out = np.empty_like(arrays[0])
    Kernel(loop)([*(a.ctypes.data for a in arrays), out.ctypes.data], len(out))
    return out


@BITS
@pytest.mark.parametrize("which", ["formula", "derivative_formula"])
@by_case(ELEMENTWISE)
def test_what_is_said_to_carry_a_nan_does(case, which, bits):
    """Without anything that puts a NaN back."""
    tape = Tape(bits)
    x = tape.input("x")
    value = getattr(case.activation, which)(KernelWords(tape), x, **case.activation.arguments)
    if not carries(tape, value, x):
        pytest.skip("is not said to")
    result = run(Loop("bare", f"float{bits}", tape, ("x",), (value,)), bits, every_nan(bits))
    assert np.isnan(result).all()


@BITS
@pytest.mark.parametrize("which", ["forward", "backward", "derivative"])
@by_case(ELEMENTWISE)
def test_a_nan_in_any_lane_of_body_and_tail_stays_there(case, which, bits):
    number = TYPES[bits][0]
    loop = getattr(Builder(case.activation, f"float{bits}", bits), which)()
    nans, lanes = every_nan(bits), REGISTERS * machine().lanes(bits)
    x = np.linspace(-6.0, 6.0, 2 * lanes + lanes // 2 + 3).astype(number)
    arrays = (x, np.ones_like(x))[: len(loop.arrays)]
    whole = run(loop, bits, *arrays)
    for lane in range(len(x)):
        poisoned = x.copy()
        poisoned[lane] = nans[lane % len(nans)]
        result = run(loop, bits, poisoned, *arrays[1:])
        assert np.isnan(result[lane])
        others = np.arange(len(x)) != lane
        np.testing.assert_array_equal(result[others], whole[others])


@pytest.mark.parametrize("name", ["elu", "sigmoid", "tanh", "silu", "softplus", "hardswish"])
def test_common_functions_need_no_test_for_nan(name):
    case = next(case for case in ELEMENTWISE if case.name == name and not case.parameters)
    loop = Builder(case.activation, "float32", 32).forward()
    tests = [v for v in needed(loop.tape.values, loop.outputs) if v.operation == "eq"]
    assert not [v for v in tests if v.arguments[0] is v.arguments[1]]


def test_arithmetic_hands_a_nan_on_and_another_number_does_not(tape, m, x):
    y = tape.input("y")
    for value in (x + y, 2.0 - x, x * 0.0, y / x, m.fma(y, y, x), -x, abs(x), m.sqrt(x)):
        assert carries(tape, value, x)
    assert not carries(tape, y + 1.0, x)
    assert not carries(tape, 1.0, x)
    assert carries(tape, math.nan, x)


def test_choices_go_the_way_that_a_comparison_with_nan_does(tape, m, x):
    y = tape.input("y")
    assert carries(tape, m.where(x > 0.0, 1.0, x), x)
    assert not carries(tape, m.where(x > 0.0, x, 1.0), x)
    assert carries(tape, m.where(x != 0.0, x, 1.0), x)
    assert carries(tape, m.where(~(x > 0.0), x, 1.0), x)
    assert carries(tape, m.where((x > 0.0) & (y > 0.0), 1.0, x), x)
    assert not carries(tape, m.where((x > 0.0) | (y > 0.0), 1.0, x), x)
    assert not carries(tape, m.where(y > 0.0, 1.0, x), x)
    assert carries(tape, m.where(y > 0.0, -x, x), x)


def test_of_the_least_and_the_largest_number_the_first_decides(tape, m, x):
    assert carries(tape, m.minimum(m.maximum(x, -1.0), 1.0), x)
    assert not carries(tape, m.minimum(1.0, x), x)


def test_a_pattern_is_that_of_a_nan_whatever_its_sign(tape, m, x):
    y, bits = tape.input("y"), m.as_bits(x)
    size = bits & 0x7FFFFFFF
    assert carries(tape, m.from_bits(size), x)
    assert carries(tape, m.from_bits(size | (m.as_bits(y) & -(1 << 31))), x)
    assert not carries(tape, m.from_bits(bits & 0x7F800000), x)
    assert not carries(tape, m.from_bits(bits << 1), x)
    assert not carries(tape, m.from_bits(bits + 1), x)
    assert not carries(tape, m.where(bits > 0, 1.0, x), x)


def test_nothing_is_added_where_a_nan_comes_through(m, x):
    assert m.where(x == x, x + 1.0, x) is x + 1.0
    assert m.where(x == x, m.where(x > 0.0, x, 0.0), x).operation == "where"
