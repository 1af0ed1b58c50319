"""Tracing a formula into a program: what is recorded, and what is folded or refused."""

import math

import pytest

from relucid.errors import KernelError
from relucid.kernels.program import Value, needed


def operations(tape):
    return [value.operation for value in tape.values]


def test_equal_operations_are_recorded_once(tape, x):
    y = tape.input("y")
    assert (x + y) * (x + y) is (x + y) * (x + y)
    assert tape.input("x") is x
    assert operations(tape) == ["input", "input", "add", "mul"]


def test_operations_that_differ_in_anything_are_recorded_apart(tape, x):
    y = tape.input("y")
    pairs = [(x + y, x - y), (x - y, y - x), (x + 1.0, x + 2.0), (x < y, x <= y), (x, y)]
    assert all(a is not b for a, b in pairs)


@pytest.mark.parametrize("pair", [(-0.0, 0.0), (1, 1.0), (1, True), (1.0, True), (0.0, False)])
def test_constants_that_compare_equal_are_not_mixed_up(tape, x, pair):
    a, b = (tape.record("add", x, constant) for constant in pair)
    assert a is not b
    assert [repr(v.arguments[1]) for v in (a, b)] == [repr(constant) for constant in pair]


def test_a_choice_between_zeros_of_both_signs_is_kept(m, x):
    assert m.where(x > 0.0, 0.0, -0.0).operation == "where"


def test_nan_constants_are_one_constant(tape, x):
    assert x + math.nan is x + float("nan")


def test_a_factor_of_one_is_no_operation(tape, x):
    assert x * 1.0 is x
    assert 1.0 * x is x
    assert x / 1.0 is x
    assert x**1 is x
    assert (x * -1.0).operation == "neg"
    assert operations(tape) == ["input", "neg"]


def test_a_zero_and_a_zero_factor_are_not_folded(x):
    # x + 0 turns -0 into 0, and x * 0 is NaN for infinities.
    assert (x + 0.0).operation == "add"
    assert (x * 0.0).operation == "mul"


@pytest.mark.parametrize("divisor", [2.0, 0.25, -8.0, 2.0**90])
def test_division_by_a_power_of_two_is_an_exact_product(x, divisor):
    quotient = x / divisor
    assert quotient.operation == "mul"
    assert quotient.arguments[1] * divisor == 1.0


@pytest.mark.parametrize("divisor", [3.0, 6.0, 0.0, math.inf, 2.0**140, 2.0**-140])
def test_other_divisors_stay_divisors(x, divisor):
    # The reciprocal of 2**140 is subnormal in float32, that of 2**-140 infinite.
    assert (x / divisor).operation == "div"


@pytest.mark.parametrize("power", [*range(1, 18), 31, 64])
def test_whole_powers_are_products(tape, x, power):
    computed = {id(x): 3}
    result = x**power
    for value in tape.values[1:]:
        assert value.operation == "mul"
        computed[id(value)] = math.prod(computed[id(a)] for a in value.arguments)
    assert computed[id(result)] == 3**power
    assert len(tape.values) - 1 <= 2 * math.log2(power)


@pytest.mark.parametrize(("power", "operations"), [(0.5, 1), (1.5, 2), (-1, 1), (-2, 2), (-0.5, 2)])
def test_half_and_negative_powers_take_a_root_and_a_quotient(tape, x, power, operations):
    x**power
    assert len(tape.values) - 1 == operations


@pytest.mark.parametrize("power", [0, 0.3, 1.25, -65, 65, math.inf, math.nan, "value"])
def test_other_powers_are_refused_with_the_power(x, power):
    chosen = x if power == "value" else power
    with pytest.raises(KernelError, match="power"):
        x**chosen


@pytest.mark.parametrize(
    "ask", [bool, lambda v: v and v, lambda v: min(v, 1.0), lambda v: 0.0 < v < 1.0]
)
def test_asking_whether_a_value_is_true_is_refused_with_the_cure(x, ask):
    with pytest.raises(KernelError, match=r"m\.where"):
        ask(x > 0.0 if ask is bool else x)


@pytest.mark.parametrize("convert", [float, int, math.exp])
def test_making_a_python_number_of_a_value_is_refused(x, convert):
    with pytest.raises(KernelError, match="Python number"):
        convert(x)


def test_conditions_on_parameters_alone_are_decided_while_tracing(m, x):
    slope = 0.0
    assert m.where(slope == 0.0, x, -x) is x
    assert m.where(True, x, -x) is x
    assert m.where(False, x, -x).operation == "neg"
    assert m.where(x > math.inf, 1.0, x) is x


def test_a_python_bool_beside_a_condition_decides_or_drops_out(x):
    condition = x < 0.0
    for both in (condition & True, True & condition, condition | False, False | condition):
        assert both is condition
    assert (condition & False, condition | True) == (False, True)
    assert (False & condition, True | condition) == (False, True)


def test_a_choice_between_equals_is_no_choice(m, x):
    assert m.where(x > 0.0, x, x) is x
    assert m.where(x > 0.0, 2.0, 2.0) == 2.0


def test_comparisons_with_the_number_first_are_turned_round(x):
    assert (0.0 < x) is (x > 0.0)
    assert (0.0 >= x) is (x <= 0.0)


def test_kinds_follow_the_operation(m, x):
    assert (x > 0.0).kind == "bool"
    assert m.as_bits(x).kind == "int"
    assert (m.as_bits(x) << 3).kind == "int"
    assert m.from_bits(m.as_bits(x)).kind == "float"
    assert m.where(x > 0.0, x, 1.0).kind == m.where(x > 0.0, 1.0, 0.0).kind == "float"


def test_needed_leaves_out_what_no_output_depends_on_and_keeps_the_order(tape, x):
    y = tape.input("y")
    unused = y * y
    used = (x + 1.0) * x
    kept = needed(tape.values, (used, 2.0))
    assert list(map(id, kept)) == list(map(id, (x, x + 1.0, used)))
    assert id(unused) in map(id, tape.values)
    assert needed(tape.values, (2.0,)) == []


def test_words_on_python_numbers_are_pythons(tape, m):
    assert m.exp(1.0) == math.e
    assert m.sqrt(4.0) == 2.0
    assert m.where(True, 1.0, 2.0) == 1.0
    assert tape.values == []


def test_an_unknown_word_is_refused_by_name(m, x):
    with pytest.raises(KernelError, match=r"m\.lgamma is not among the words"):
        m.lgamma(x)


def test_a_value_says_what_it_is_when_shown(x):
    assert isinstance(x, Value)
    assert repr(x > 0.0) == "<bool gt>"


def test_under_a_condition_a_choice_by_it_is_no_operation(tape, m, x):
    lean = m.where(x > 0.0, x, abs(m.minimum(x, 0.0)))
    assert lean is m.where(x > 0.0, x, abs(x))
    assert lean.arguments[2].arguments[0] is x
    assert m.where(x > 0.0, m.maximum(x, 0.0), m.minimum(x, 0.0)).operation == "where"


def test_what_both_branches_share_is_computed_once(tape, m, x):
    right = x > 0.0
    shared = m.sqrt(m.where(right, x, -x) + 1.0)
    kept = m.where(right, shared, shared * 2.0)
    assert [v.operation for v in needed(tape.values, [kept])].count("sqrt") == 1
