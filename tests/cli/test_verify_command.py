"""``relucid verify`` as a user types it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from relucid.cli import main
from relucid.records.accuracy import accuracy_from_json
from relucid.verify import checks, sweep
from relucid.verify.sides import Pair

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Run]:
    """Run the command on a small sample in this process: status, output, error output."""
    monkeypatch.setattr(checks, "TRUTH_POINTS", 100)
    monkeypatch.setattr(checks, "FLOAT64_POINTS", 99)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    sweep.bench.cache_clear()

    def command(*arguments: str) -> tuple[int, str, str]:
        options = ["--workers", "1", "--peers", "pytorch", "--state", "state"]
        monkeypatch.setattr(sys, "argv", ["relucid", "verify", *options, *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    yield command
    sweep.bench.cache_clear()


def test_a_kept_contract_exits_with_0(run: Run) -> None:
    status, out, err = run("relu", "thresholded_relu:threshold=0.5", "--sample", "5000")
    assert status == 0
    assert "The accuracy contract is kept." in out
    assert "thresholded_relu:threshold=0.5" in out and "PyTorch" in out
    assert "Verifying" in err
    assert not Path("benchmarks").exists(), "a sample is not kept unasked"


def test_a_broken_contract_exits_with_1_and_says_where(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object) -> dict[str, Callable[[Tensor], Pair]]:
        def side(x: Tensor) -> Pair:
            value = torch.where(x == 2.0, 2.5, torch.where(x < 0, torch.zeros_like(x), x))
            return value, torch.where(x == x, (x > 0).to(x.dtype), x)

        return {"relucid": side}

    monkeypatch.setattr(sweep, "sides", wrong)
    status, out, _ = run("relu", "--sample", "5000")
    assert status == 1
    assert "broken: relu, value, float32: 2.1e+06 at 2.0, contract 0.500001" in out
    assert "broken: relu, value, float16: 1 wrong, first at 2.0" in out


def test_what_is_measured_is_not_measured_again_unless_asked(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []
    real = sweep.measure_block

    def counting(*task: Any) -> sweep.Tallies:
        measured.append(1)
        return real(*task)

    monkeypatch.setattr("relucid.verify.run.measure_block", counting)
    first, again, fresh = (
        (run("relu", "--sample", "5000", *options)[1], len(measured))
        for options in ((), (), ("--fresh",))
    )
    assert first[0] == again[0] == fresh[0]
    assert (first[1], again[1], fresh[1]) == (1, 1, 2)


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_says_how_to_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, request_to_end: signal.Signals
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        "relucid.verify.run.measure_block", lambda *_: os.kill(os.getpid(), request_to_end)
    )
    status, out, err = run("relu", "--sample", "5000")
    assert (status, out) == (130, "")
    assert "goes on from here" in err
    assert signal.getsignal(signal.SIGTERM) is before


def test_json_goes_to_standard_output_and_to_a_file(run: Run, tmp_path: Path) -> None:
    status, out, err = run("relu", "--sample", "5000", "--json", "--output", "found.json")
    assert status == 0
    assert json.loads(out)["format"] == "relucid.accuracy"
    found = accuracy_from_json((tmp_path / "found.json").read_text())
    assert [function.id for function in found.functions] == ["relu"]
    assert not found.complete
    assert "found.json" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relo",), "did you mean"),
        (("elu:alpha",), "NAME=VALUE"),
        (("elu:alpha=x",), "NAME=VALUE"),
        (("elu:beta=1",), "no parameter 'beta'"),
        (("softmax",), "vector function"),
        (("relu", "--peers", "keras"), "'keras'"),
        (("relu", "--sample", "1"), "--sample"),
        (("relu", "--route", "abacus"), "--route"),
        (("relu", "--precision", "perfect"), "--precision"),
        (("relu", "--output", "missing/found.json"), "cannot write"),
        (("relu", "--state", "occupied"), "--state"),
    ],
)
def test_wrong_use_exits_with_2(run: Run, arguments: tuple[str, ...], message: str) -> None:
    Path("occupied").write_text("")
    status, out, err = run("--sample", "5000", *arguments)
    assert (status, out) == (2, "")
    assert message in err
