"""From a loop to machine code for this processor, kept on disk for later processes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from relucid.errors import KernelError
from relucid.kernels.cache import load, store
from relucid.kernels.contract import Loop
from relucid.kernels.describe import describe

REGISTERS = 4
"""Vector registers of elements that a row's loop computes at once, operation by operation, so that
their latencies overlap: SiLU forward 5.7 copies of the tensor with 1, 4.8 with 2, 4.6 with 4. In
cache 8 gain another tenth for some (SiLU backward 18.0 and 16.1 cycles a vector), but from memory
they take up to 2.8 times as long: SiLU backward 4.4 and 12 ms, tanh's 3.9 and 7.1 (2**24 elements).
"""

_LOCK = threading.Lock()


class Machine:
    """The processor of this computer as LLVM knows it."""

    def __init__(self) -> None:
        import llvmlite  # a process that computes nothing need not wait for it
        import llvmlite.binding as llvm

        self.llvm, self.version = llvm, llvmlite.__version__
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.processor: str = llvm.get_host_cpu_name()
        features = llvm.get_host_cpu_features()
        self.features: str = features.flatten()
        self.triple: str = llvm.get_process_triple()
        self.vector_bits = _vector_bits(features, self.triple, self.processor)
        self.target = llvm.Target.from_triple(self.triple).create_target_machine(
            cpu=self.processor, features=self.features, opt=3, jit=True
        )
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self.target)

    def lanes(self, bits: int) -> int:
        """How many numbers of ``bits`` bits one vector register holds."""
        return self.vector_bits // bits


@lru_cache(maxsize=1)
def machine() -> Machine:
    """The processor; raises :class:`KernelError` for one without fused multiply-add."""
    return Machine()


def _vector_bits(features: Any, triple: str, processor: str) -> int:
    if features.get("avx512f") and features.get("avx512dq") and features.get("avx512vl"):
        return 512
    if features.get("avx2") and features.get("fma") and features.get("f16c"):
        return 256
    if triple.startswith(("aarch64", "arm64")):
        return 128
    raise KernelError(
        f"compiled kernels need fused multiply-add (x86 since 2013, or 64-bit ARM), which this "
        f"processor ({processor}) does not offer; the plain route works everywhere"
    )


def loaded(loop: Loop) -> tuple[int, int]:
    """Addresses of ``whole`` and ``share`` in this process; they stay valid until it ends."""
    return compiled(describe(loop), lambda key: _text(loop, key))


def compiled(description: str, write: Callable[[str], str]) -> tuple[int, int]:
    """The same of any code: ``write(key)`` is its LLVM text, in whose functions' names key is.

    ``description`` says all that the text depends on. The text is only asked for where the code
    is not on disk.
    """
    key = _key(description)
    with _LOCK:
        engine = machine().engine
        if not engine.get_function_address(f"whole_{key}"):
            code = machine().llvm.ObjectFileRef.from_data(_machine_code(key, write))
            engine.add_object_file(code)
            engine.finalize_object()
        whole, share = (engine.get_function_address(f"{name}_{key}") for name in ("whole", "share"))
        return whole, share


def assembly(loop: Loop) -> str:
    """The loop's machine code as text, for those who want to read it."""
    key = _key(describe(loop))
    return str(machine().target.emit_assembly(_module(_text(loop, key))))


def _machine_code(key: str, write: Callable[[str], str]) -> bytes:
    """The object file of a text: from the cache on disk, or compiled and put there."""
    found = load(key)
    if found is None:
        found = machine().target.emit_object(_module(write(key)))
        store(key, found)
    return found


def _text(loop: Loop, key: str) -> str:
    from relucid.kernels.llvm.emit import Emitter  # only a first use compiles

    registers = REGISTERS if loop.layout == "rows" else 1
    return Emitter(loop, registers * machine().lanes(loop.tape.bits), key).emit()


def _module(text: str) -> Any:
    llvm = machine().llvm
    module = llvm.parse_assembly(text)
    module.verify()
    # Totals are written as memory; this puts them into registers. Other passes gain nothing on
    # code that is vectors already (ELU 11.6 against 12.0 us), and cost 35 ms.
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    tuning = llvm.create_pipeline_tuning_options()
    passes.run(module, llvm.create_pass_builder(machine().target, tuning))
    return module


def _key(description: str) -> str:
    here = machine()
    told = (description, here.processor, here.features, here.triple, here.version)
    return hashlib.sha256("\n".join((*told, _emitter())).encode()).hexdigest()


@lru_cache(maxsize=1)
def _emitter() -> str:
    """A digest of the code that writes the code: what an older one wrote is not used."""
    texts = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()
