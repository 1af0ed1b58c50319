"""An HTML page as a parser reads it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """All elements with their attributes, and the text inside each tag name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in {"dt", "dd"}:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for tag in self.open:
            self.text.setdefault(tag, []).append(data)

    def said(self, tag: str = "body") -> str:
        return " ".join("".join(self.text.get(tag, [])).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def assert_nothing_is_fetched(page: Page, html: str) -> None:
    """No picture, no frame, no code in attributes, and no address outside the page."""
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "iframe", "object", "embed", "image", "use", "base"}
    for _, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on")]
        assert not {"src", "srcset", "xlink:href", "action", "background"} & set(attributes)
        link = attributes.get("href")
        assert link is None or link.startswith("#") or link == "data:,"
    assert "http:" not in html and "https:" not in html
    assert "url(" not in html and "@import" not in html
