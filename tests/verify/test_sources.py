"""A change of what decides a number is noticed, and no other change."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from relucid.errors import KernelError
from relucid.functions import get
from relucid.kernels.words import KernelWords
from relucid.verify import Plan, everything, measuring, sources
from relucid.verify.sources import MEASURING, OWN, deciding, fingerprint

GELU, ELU = Plan(get("gelu"), ("pytorch", "jax")), Plan(get("elu"))
AS_NUMBERS = ("functions/symbolic/*.py", "verify/contract.py")
"""What finds joints and states bounds, which are told as numbers."""
OTHERS = (
    "__init__.py",
    "errors.py",
    "functions/families/*.py",
    "kernels/__init__.py",
    "kernels/build_pair.py",
    "kernels/cache.py",
    "kernels/describe.py",
    "kernels/triton/*.py",
    "kernels/vector*.py",
    "records/*.py",
)
"""Errors, other kinds of functions, other devices, what is kept on disk; a function's own family
is told besides."""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of relucid's source that is digested in place of it, to be changed."""
    copy = tmp_path / "relucid"
    shutil.copytree(sources.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "PACKAGE", copy)
    return copy


def marks(plan: Plan = GELU) -> dict[str, str]:
    return {"all": measuring(), **{name: deciding(plan, name) for name in plan.libraries}}


def changed(before: dict[str, str]) -> set[str]:
    after = marks()
    return {name for name, mark in before.items() if after[name] != mark}


@pytest.mark.parametrize(
    ("file", "affected"),
    [
        ("report/files.py", set()),
        ("cli/verify.py", set()),
        ("verify/page.py", set()),
        ("verify/run.py", set()),
        ("verify/contract.py", set()),
        ("kernels/triton/text.py", set()),
        ("functions/families/exponential.py", set()),
        ("kernels/llvm/emit.py", {"relucid"}),
        ("nn/routes.py", {"relucid"}),
        ("functions/families/gated.py", {"relucid", "pytorch", "jax"}),
        ("nn/words.py", {"all", "relucid"}),
        ("verify/measure.py", {"all"}),
        ("functions/words.py", {"all"}),
    ],
)
def test_a_change_is_noticed_where_it_decides(package: Path, file: str, affected: set[str]) -> None:
    before = marks()
    with (package / file).open("a") as source:
        source.write("# changed\n")
    assert changed(before) == affected


def test_a_kernels_mathematics_decides_the_functions_that_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {plan.id: marks(plan) for plan in (GELU, ELU)}
    real = KernelWords.normal_below
    monkeypatch.setattr(KernelWords, "normal_below", lambda m, x: real(m, x) * 2.0)
    assert changed(before["gelu"]) == {"relucid"}
    assert marks(ELU) == before["elu"]


def test_functions_have_marks_of_their_own_which_stay() -> None:
    told = {a.name: deciding(Plan(a), "relucid") for a in everything()}
    assert told == {a.name: deciding(Plan(a), "relucid") for a in everything()}
    assert len({told[name] for name in ("silu", "gelu", "mish")}) == 3  # of one family
    assert deciding(Plan(get("elu", alpha=0.5)), "relucid") != told["elu"]


def test_a_function_without_kernels_has_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    before = marks()

    def refused(m: KernelWords, x: object) -> None:
        raise KernelError("no such word")

    monkeypatch.setattr(KernelWords, "normal_below", refused)
    assert changed(before) == {"relucid"}


def test_versions_decide() -> None:
    assert fingerprint({"torch": "1"}) != fingerprint({"torch": "2"})
    assert fingerprint({"torch": "1"}) == fingerprint({"torch": "1"})


def test_a_new_version_of_a_peer_decides_its_numbers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    before = marks()
    installed = sources.versions

    def newer(libraries: Iterable[str]) -> dict[str, str]:
        libraries = list(libraries)
        return installed(libraries) | {n: "new" for n in libraries if n == "jax"}

    monkeypatch.setattr(sources, "versions", newer)
    assert changed(before) == {"jax"}


@pytest.mark.parametrize("pattern", [*MEASURING, *OWN])
def test_every_listed_file_exists(pattern: str) -> None:
    assert list(sources.PACKAGE.glob(pattern))


def test_all_that_is_imported_to_measure_is_listed() -> None:
    listed = (*MEASURING, *OWN, *AS_NUMBERS, *OTHERS)
    known = {path for pattern in listed for path in sources.PACKAGE.glob(pattern)}
    told_as_text = _reached("kernels/build.py")  # what makes the loops
    found = _reached("verify/checks.py", "verify/sweep.py", "nn/routes.py")
    assert found - known - told_as_text == set()


def _reached(*files: str) -> set[Path]:
    """The files and all that they import of relucid, within functions too."""
    todo, seen = [sources.PACKAGE / file for file in files], set[Path]()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += _imported(file)
    return seen


def _imported(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("relucid"):
            place = sources.PACKAGE.joinpath(*node.module.split(".")[1:])
            names = [place, *(place / alias.name for alias in node.names)]
            files = [
                made for name in names for made in (name.with_suffix(".py"), name / "__init__.py")
            ]
            yield from filter(Path.is_file, files)
