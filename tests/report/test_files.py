"""Saving: wholly or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from relucid.errors import OutputError
from relucid.records import from_json, to_json
from relucid.report import check_writable, files, save_by_suffix
from support import checkups as make


def save(path: str | Path) -> Path:
    return save_by_suffix(path, html=lambda: "a page", json=lambda: "records")


@pytest.mark.parametrize(
    ("name", "text"), [("out.html", "a page"), ("out.HTM", "a page"), ("out.json", "records")]
)
def test_the_path_comes_back_and_nothing_else_is_left(name: str, text: str, tmp_path: Path) -> None:
    """One file of what the suffix asks for, by a text or a Path, over an older file too."""
    for path in (str(tmp_path / name), tmp_path / name):
        assert save(path) == tmp_path / name
        assert [item.name for item in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_text() == text


def test_another_suffix_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"out\.pt2.*end the name in \.html.*; x writes models"):
        save_by_suffix(
            tmp_path / "out.pt2",
            html=lambda: pytest.fail("made a page"),
            json=lambda: pytest.fail("made records"),
            otherwise="; x writes models",
        )
    assert list(tmp_path.iterdir()) == []


def test_json_is_read_back(tmp_path: Path) -> None:
    """What is saved is `to_json`, lone surrogates included."""
    several = [make.sick(), make.site_only("a\udc80b")]
    text = files.write_atomically(tmp_path / "c.json", to_json(several)).read_text("utf-8")
    assert to_json(from_json(text)) == to_json(several)


@pytest.mark.parametrize("where", ["missing/out", "file/out", "", "x" * 300])
def test_a_path_that_cannot_be_written(where: str, tmp_path: Path) -> None:
    """The error names the path, the reason and the cure; nothing is left behind."""
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputError, match="name a file in a folder that exists") as raised:
        files.write_atomically(tmp_path / where, "text")
    assert str(tmp_path / where) in str(raised.value)
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("where", ["missing/out", "file/out", ""])
def test_a_path_is_checked_before_the_work(where: str, tmp_path: Path) -> None:
    """The same error as saving gives, before anything is written."""
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputError, match="name a file in a folder that exists"):
        check_writable(tmp_path / where)
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "new")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("step", ["replace", "chmod", "fdopen"])
def test_an_existing_file_survives_a_failure(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step fails, the old file is whole and no temporary file stays."""
    path = tmp_path / "out.html"
    path.write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OutputError, match="No space left"):
        files.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["out.html"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    """A temporary file is private; the result is not, and an older file keeps its own."""
    plain = tmp_path / "plain"
    plain.write_text("")
    path = files.write_atomically(tmp_path / "new", "text")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    os.chmod(path, 0o640)
    files.write_atomically(path, "again")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
