"""What all pages of the report share: the templates' environment, and the one script."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING

from relucid.report import words

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def rendered(template: str, **values: object) -> str:
    """Return a page from its template, which allows the one script by its digest."""
    text, digest = _script()
    page = _environment().get_template(template)
    return page.render(script=text, script_hash=f"sha256-{digest}", **values)


@lru_cache(maxsize=1)
def _script() -> tuple[Markup, str]:
    """Return the pages' script, and its digest by which a page allows it."""
    from markupsafe import Markup

    text = resources.files("relucid.report").joinpath("templates/report.js").read_text("utf-8")
    return Markup(text), b64encode(sha256(text.encode()).digest()).decode()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """Return the environment in which every text is escaped and its control characters shown."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def visible(value: object) -> object:
        """Write control characters out, in whatever text reaches the page."""
        is_text = isinstance(value, str) and not isinstance(value, Markup)
        return words.plain(str(value)) if is_text else value

    def code_spans(text: str) -> Markup:
        """Set what stands between backticks as code, all of it escaped."""
        parts = re.split(r"`([^`\n]+)`", words.plain(text))
        spans = (Markup("<code>{}</code>") if i % 2 else Markup("{}") for i in range(len(parts)))
        return Markup("").join(s.format(part) for s, part in zip(spans, parts, strict=True))

    found = Environment(
        loader=PackageLoader("relucid.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("amount", "figure", "percent", "plural", "spans", "in_words"):
        found.filters[name] = getattr(words, name)
    found.filters["code_spans"] = code_spans
    return found
