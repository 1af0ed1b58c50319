"""The code of the loops: vectors of full width, no calls, no arithmetic on single numbers.

Read for this processor, and for one with AVX2 and none of AVX-512.
"""

import platform
import re

import llvmlite.binding as llvm
import pytest

import relucid
from relucid.kernels.build import Builder
from relucid.kernels.llvm.compile import _module, machine
from relucid.kernels.llvm.emit import Emitter
from relucid.kernels.program import needed
from support.cases import ELEMENTWISE
from support.modules import by_case

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="reads the code of x86 processors"
)
FUSED = re.compile(r"^vfn?m(add|sub)\d+p[sd]$")
SINGLE = re.compile(r"^v?(add|sub|mul|div|sqrt|min|max|fn?m(add|sub)\d+)s[sdh]$")
PROCESSORS = pytest.mark.parametrize("processor", ["here", "haswell"])
LOOPS = ("forward", "backward")


def code(loop, processor):
    """The instructions of the function that runs over rows, as (name, operands)."""
    here = machine()
    bits, target = here.vector_bits, here.target
    if processor != "here":
        bits = 256
        target = llvm.Target.from_triple(here.triple).create_target_machine(
            cpu=processor, opt=3, jit=True
        )
    text = Emitter(loop, bits // loop.tape.bits, "K").emit()
    listing = target.emit_assembly(_module(text))
    body = listing.split("rows_K:")[1].split(".size\trows_K")[0]
    lines = [line.strip().partition("\t") for line in body.splitlines() if line.startswith("\t")]
    return [(name, operands) for name, _, operands in lines if name and name[0] not in ".#"]


def names(instructions):
    return [name for name, _ in instructions]


def built(activation, storage="float32"):
    return Builder(activation, storage, 64 if storage == "float64" else 32)


@PROCESSORS
@pytest.mark.parametrize("which", LOOPS)
@by_case(ELEMENTWISE)
def test_loops_call_nothing_and_compute_on_vectors_only(case, which, processor):
    loop = getattr(built(case.activation), which)()
    instructions = code(loop, processor)
    assert not [name for name in names(instructions) if name.startswith("call")]
    assert not [name for name in names(instructions) if SINGLE.match(name)]
    fused = sum(FUSED.match(name) is not None for name in names(instructions))
    recorded = [v.operation for v in needed(loop.tape.values, loop.results)].count("fma")
    assert fused >= 2 * recorded  # whole vectors, and the rest of a row


@PROCESSORS
@by_case([case for case in ELEMENTWISE if not case.parameters and case.name != "identity"])
def test_arithmetic_takes_whole_registers(case, processor):
    register = {512: "%zmm", 256: "%ymm"}[256 if processor == "haswell" else machine().vector_bits]
    other = "%ymm" if register == "%zmm" else "%xmm"
    computed = [
        operands
        for name, operands in code(built(case.activation).backward(), processor)
        if re.match(r"v(mul|add|sub|div)p[sd]$", name) or FUSED.match(name)
    ]
    assert computed
    assert all(register in operands and other not in operands for operands in computed)


@PROCESSORS
@pytest.mark.parametrize("storage", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", ["relu", "silu", "gelu", "hardswish", "softplus"])
def test_other_types_are_converted_and_computed_without_calls(name, storage, processor):
    made = built(relucid.get(name), storage)
    for loop in (made.forward(), made.backward()):
        found = names(code(loop, processor))
        assert not [one for one in found if one.startswith("call") or SINGLE.match(one)]


@PROCESSORS
@pytest.mark.parametrize("storage", ["float32", "float16", "float64"])
def test_packed_bits_and_rounding_from_float64_take_no_calls(storage, processor):
    made = Builder(relucid.get("relu6"), storage, 64)
    for loop in (made.forward_with_mask(), made.backward_from_mask()):
        assert not [one for one in names(code(loop, processor)) if one.startswith("call")]


@PROCESSORS
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_sums_over_learned_parameters_take_no_calls(layout, processor):
    made = Builder(relucid.get("elu"), "float32", 32, ("alpha",))
    loop = made.backward(layout)
    text = Emitter(loop, 8, "K").emit()
    assert "call void @malloc" not in text
    listing = machine().target.emit_assembly(_module(text))
    body = listing.split(f"{layout}_K:")[1].split(f".size\t{layout}_K")[0]
    assert "\tcall" not in body


def test_code_that_does_call_or_compute_single_numbers_would_be_noticed():
    assert SINGLE.match("vmulss")
    assert SINGLE.match("vfmadd213sd")
    assert not SINGLE.match("vmulps")
    assert FUSED.match("vfnmadd231ps")
    assert not FUSED.match("vfmadd231ss")
