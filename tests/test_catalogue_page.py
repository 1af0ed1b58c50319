"""The generated page of the documentation is what the generator gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_catalogue_page_is_up_to_date(generator: ModuleType) -> None:
    written = (DOCS / "catalogue.md").read_text(encoding="utf-8")
    assert written == generator.page(generator.cards()), "run python docs/generate.py"


def test_every_picture_on_the_page_is_there(generator: ModuleType) -> None:
    # Their last digits may differ between machines, so only their presence is asserted.
    assert [path for path, _ in generator.images(generator.cards()) if not path.exists()] == []
