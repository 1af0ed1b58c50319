"""``relucid bench`` as a user types it. Nothing here looks at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relucid.bench import from_json, measure
from relucid.bench import run as runs
from relucid.cli import main
from relucid.interleave import Effort
from support import fresh

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process: exit status, standard output, standard error."""
    monkeypatch.setattr(runs, "effort_for", lambda setting, quick: Effort(0.0, least=1, most=1))

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["relucid", "bench", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return command


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("eluu",), "did you mean 'elu'"),
        (("elu", "hardtanh"), "'hardtanh' is not among the functions that are benchmarked"),
        (("elu", "--threads", "many"), "--threads takes 'all' or a number"),
        (("relu", "--size", "8", "--peer", "eager", "--json", "/no/folder/x.json"), "cannot write"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    run: Run, arguments: tuple[str, ...], says: str
) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") or "\nerror: " in err
    assert says in err and "Traceback" not in err


def test_unknown_choices_are_refused(run: Run) -> None:
    for arguments in (("--dtype", "int8"), ("--peer", "tensorflow"), ("--size", "0")):
        status, _, err = run(*arguments)
        assert status == 2
        assert arguments[0] in err


def test_it_measures_prints_and_writes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    arguments = ("relu", "--size", "64", "--peer", "eager", "--json", str(path))
    status, out, err = run(*arguments)
    assert status == 0
    assert "float32, 64 elements, forward, given buffers, 1 thread" in out
    assert "Measuring" in err
    found = from_json(path.read_text(encoding="utf-8"))
    assert len(found.rows) == 5 and not any(row.wrong for row in found.rows)
    assert {side.name for row in found.rows for side in row.sides} == {"relucid", "eager", "copy"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_broken_contract_is_status_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "broken", lambda *errors: "its value is off")
    status, out, _ = run("relu", "--size", "64", "--peer", "eager")
    assert status == 1
    assert "relu is wrong: its value is off" in out


def test_the_command_loads_no_peer_before_it_is_asked() -> None:
    code = (
        "import sys, relucid.cli; "
        "print([m for m in ('jax', 'torch._inductor') if m in sys.modules])"
    )
    assert fresh.run(code).stdout == "[]\n"
