"""``relucid explain`` and ``relucid list`` as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relucid.cli import main
from relucid.functions import catalogue
from support import fresh

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process: exit status, standard output, standard error."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["relucid", *arguments])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return command


def test_explain_prints_a_card(run: Run) -> None:
    status, out, err = run("explain", "elu")
    assert (status, err) == (0, "")
    assert "α·(exp(x) - 1)" in out or "alpha*(exp(x) - 1)" in out
    assert "Clevert et al. 2016" in out


def test_explain_takes_parameters_and_aliases(run: Run) -> None:
    status, out, _ = run("explain", "Swish", "--parameter", "beta=2")
    assert status == 0
    assert out.startswith("silu, beta = 2")


def test_explain_prints_json(run: Run) -> None:
    status, out, _ = run("explain", "relu", "--json")
    assert status == 0
    assert json.loads(out)["card"]["name"] == "relu"


def test_explain_writes_a_page(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "gelu.html"
    status, out, _ = run("explain", "gelu", "--html", str(page))
    assert status == 0
    assert str(page) in out.replace("\n", "")
    assert "<math" in page.read_text(encoding="utf-8")


def test_json_stays_json_when_a_page_is_written_too(run: Run, tmp_path: Path) -> None:
    _, out, err = run("explain", "gelu", "--json", "--html", str(tmp_path / "gelu.html"))
    assert json.loads(out)["card"]["name"] == "gelu"
    assert "gelu.html" in err.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("explain", "eluu"), "did you mean 'elu'"),
        (("explain", "elu", "-p", "beta=1"), "its parameters are: alpha"),
        (("explain", "elu", "-p", "alpha"), "NAME=VALUE"),
        (("explain", "elu", "-p", "alpha=x"), "NAME=VALUE"),
        (("explain", "celu", "-p", "alpha=-1"), "> 0"),
        (("explain", "relu", "--html", "/no/such/folder/x.html"), "cannot write"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    run: Run, arguments: tuple[str, ...], says: str
) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_list_names_every_function_within_80_columns(run: Run) -> None:
    status, out, _ = run("list")
    assert status == 0
    first_words = {line.split()[0] for line in out.splitlines() if line.strip()}
    assert set(catalogue()) <= first_words
    assert max(map(len, out.splitlines())) <= 80


def test_list_prints_json(run: Run) -> None:
    status, out, _ = run("list", "--json")
    document = json.loads(out)
    assert status == 0
    assert [row["name"] for row in document["functions"]] == list(catalogue())


def test_version_and_help(run: Run) -> None:
    assert run("--version")[1].startswith("relucid 0")
    status, out, _ = run("--help")
    assert status == 0
    assert all(verb in out for verb in ("checkup", "explain", "list"))


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relucid", "explain", "nothing_like_it"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no activation 'nothing_like_it'")


def test_the_command_does_not_load_what_help_does_not_need() -> None:
    code = (
        "import sys, relucid.cli; "
        "print([m for m in ('sympy', 'altair', 'matplotlib', 'jinja2') if m in sys.modules])"
    )
    assert fresh.run(code).stdout == "[]\n"
