"""What Triton makes of the kernels for GPUs that are not here: NVIDIA sm_90, AMD gfx942."""

from __future__ import annotations

import re

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from relucid.functions import get
from relucid.kernels.build import Builder
from relucid.kernels.contract import Loop
from relucid.kernels.program import Tape
from relucid.kernels.triton.compile import kernel
from relucid.kernels.triton.launch import planned
from relucid.kernels.words import KernelWords
from support.cases import ELEMENTWISE, Case
from support.triton_runs import two_input

pytestmark = pytest.mark.usefixtures("compiler")

TARGETS = {"ptx": GPUTarget("cuda", 90, 32), "amdgcn": GPUTarget("hip", "gfx942", 64)}
TYPES = {"float64": "*fp64", "float32": "*fp32", "float16": "*fp16", "bfloat16": "*bf16"}
LENGTH = 1 << 22

WIDE = {
    # 16 bytes at once, of whatever type.
    "ptx": (r"ld\.global\.v4\.b32|ld\.global\.v2\.b64", r"st\.global\.v4\.b32|st\.global\.v2\.b64"),
    "amdgcn": (r"(buffer|global)_load_dwordx4", r"(buffer|global)_store_dwordx4"),
}
FUSED = {"ptx": r"fma\.rn\.f", "amdgcn": r"v_(fma|fmac|pk_fma|fmamk|fmaak)_f"}
CALL = {"ptx": r"\bcall\b", "amdgcn": r"s_swappc"}
INEXACT = r"div\.(full|approx)|sqrt\.approx|ex2\.approx|\.ftz"

CASES = [
    ("silu", "bfloat16", "forward", ()),
    ("silu", "float32", "backward", ()),
    ("elu", "float64", "backward", ()),
    ("elu", "float16", "backward", ("alpha",)),
]
cases = pytest.mark.parametrize("name, storage, what, learned", CASES)
targets = pytest.mark.parametrize("target", TARGETS)


def built(name: str, storage: str, what: str, learned: tuple[str, ...] = ()) -> Loop:
    bits = 64 if storage == "float64" else 32
    return getattr(Builder(get(name), storage, bits, learned), what)()


def assembled(loop: Loop, target: str, fusion: bool = False, strided: bool = False) -> str:
    """The kernel's assembly, for aligned arrays and rows of a multiple of 16."""
    strides = (8192,) * (len(loop.arrays) + len(loop.outputs)) if strided else None
    function, call = kernel(loop, strided), planned(loop, LENGTH, 4096, 1, strides)
    kinds = {"array": TYPES[loop.storage], "output": TYPES[loop.storage], "mask": "*u8"}
    kinds |= {"bits": "*u8", "flag": "*u8", "sum": "*fp64", "parameter": "*fp64"}
    names = [name for name in function.arg_names if name not in call.shape.constants]
    signature = {name: kinds.get(name.rstrip("0123456789"), "i32") for name in names}
    signature |= dict.fromkeys(call.shape.constants, "constexpr")
    odd = ("length", "channels", "hidden")
    aligned = [function.arg_names.index(name) for name in names if name not in odd]
    attributes = {(place,): [["tt.divisibility", 16]] for place in aligned}
    source = ASTSource(function, signature, call.shape.constants, attributes)
    options = {"num_warps": call.shape.warps, "enable_fp_fusion": fusion}
    text: str = triton.compile(source, target=TARGETS[target], options=options).asm[target]
    return re.sub(r"//.*|;.*(?=\n)", "", text) if target == "ptx" else text


@cases
@targets
def test_code_is_vectorised_fused_and_exact(name, storage, what, learned, target) -> None:
    text = assembled(built(name, storage, what, learned), target)
    for pattern in (*WIDE[target], FUSED[target]):
        assert re.search(pattern, text), pattern
    assert not re.search(CALL[target], text)
    assert not re.search(INEXACT, text)


@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@pytest.mark.parametrize("what", ["forward_with_mask", "backward_from_mask"])
@targets
def test_packed_bits_keep_wide_accesses(storage: str, what: str, target: str) -> None:
    text = assembled(built("relu", storage, what), target)
    dword = r"(buffer|global)_(load|store)_dwordx[24]"
    assert re.search(r"[ls][dt]\.global\.v4\.b32" if target == "ptx" else dword, text)
    assert re.search(r"[ls][dt]\.global\.b8" if target == "ptx" else r"_u?byte", text)


@targets
def test_strides_and_columns_keep_wide_accesses(target: str) -> None:
    halves = two_input(Case("swiglu"), "bfloat16", backward=True)
    columns = Builder(get("prelu"), "bfloat16", 32, ("negative_slope",)).backward("columns")
    for text in (assembled(halves, target, strided=True), assembled(columns, target)):
        assert all(re.search(pattern, text) for pattern in WIDE[target])


@pytest.mark.parametrize("case", [c for c in ELEMENTWISE if not c.parameters], ids=lambda c: c.id)
def test_every_function_compiles(case: Case) -> None:
    assert "st.global" in assembled(built(case.name, "float32", "backward"), "ptx")


def test_division_and_root_are_ieee() -> None:
    tape = Tape(32)
    m, x = KernelWords(tape), tape.input("x")
    text = assembled(Loop("root", "float32", tape, ("x",), (m.sqrt(x) / (x + 3.0),)), "ptx")
    assert "div.rn.f32" in text
    assert "sqrt.rn.f32" in text


@cases
def test_no_product_is_left_to_contract(name, storage, what, learned) -> None:
    """torch.compile cannot switch contraction off, so there must be nothing to contract."""
    loop = built(name, storage, what, learned)
    text = assembled(loop, "ptx", fusion=True)
    assert not re.search(r"\bmul\.(rn\.)?f\d\d", text)
    counted = [len(re.findall(r"\bfma", assembled(loop, "ptx", fusion=f))) for f in (True, False)]
    assert counted[0] == counted[1]
