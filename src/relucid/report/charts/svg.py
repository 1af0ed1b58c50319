"""Vega's SVG made fit for a page: light, themed by CSS, and without anything foreign."""

from __future__ import annotations

import re
from xml.etree import ElementTree

# The drawing elements that charts need. Anything else that a chart might bring (a link, a
# picture, a script, a style sheet) could reach outside the page, and is dropped.
_ALLOWED = {
    "svg": {"viewBox", "class", "role", "aria-label"},
    "g": {"transform", "fill", "stroke", "font-size"},
    "path": {"d", "transform", "fill", "stroke"},
    "line": {"transform", "x1", "x2", "y1", "y2", "stroke"},
    "text": {"transform", "fill", "text-anchor", "font-size", "font-weight"},
}
_EVERYWHERE = {"stroke-width", "stroke-dasharray", "stroke-linecap", "fill-opacity", "opacity"}
_DECIMALS = re.compile(r"-?\d*\.\d{2,}")
# What style.css says where nothing else is said.
_STYLED = {
    "line": {"stroke": "var(--line)", "stroke-width": "1"},
    "text": {"font-size": "12px", "font-weight": "normal", "fill": "var(--muted)"},
}
_NOTHING = {"M0,0h0v0h0Z", "", None}


def tidy(svg: str, label: str) -> str:
    """Return ``svg`` for use inside an HTML page, spoken as ``label``.

    The namespace declarations go (HTML needs none), as do Vega's hit areas, classes and
    rounding noise; neighbouring paths of one colour become one.
    """
    old = ElementTree.fromstring(svg)
    attributes = {"viewBox": old.get("viewBox", ""), "role": "img", "aria-label": label}
    attributes["class"] = "chart"
    new = ElementTree.Element("svg", attributes)
    _copy_children(old, new)
    return ElementTree.tostring(new, encoding="unicode")


def _copy_children(old: ElementTree.Element, new: ElementTree.Element) -> None:
    for child in old:
        copy = _copied(child)
        if copy is None:
            continue
        if copy.tag == "g" and not copy.attrib:
            for grandchild in copy:
                _append(new, grandchild)
        else:
            _append(new, copy)


def _copied(old: ElementTree.Element) -> ElementTree.Element | None:
    tag = old.tag.rpartition("}")[2]
    if tag not in _ALLOWED or old.get("display") == "none":
        return None
    if tag == "path" and (old.get("d") in _NOTHING or _is_invisible_background(old)):
        return None
    allowed = _ALLOWED[tag] | _EVERYWHERE
    kept = {key: _short(value) for key, value in old.items() if key in allowed}
    styled = _STYLED.get(tag, {})
    told = {k: v for k, v in kept.items() if not _is_default(k, v) and styled.get(k) != v}
    new = ElementTree.Element(tag, told)
    new.text = old.text
    _copy_children(old, new)
    return None if tag == "g" and len(new) == 0 else new


def _append(parent: ElementTree.Element, child: ElementTree.Element) -> None:
    """Append ``child``, or join it to its elder sibling where both are paths of one look."""
    elder = parent[-1] if len(parent) else None
    if elder is not None and elder.tag == child.tag == "path" and _look(elder) == _look(child):
        elder.set("d", elder.get("d", "") + child.get("d", ""))
    else:
        parent.append(child)


def _look(path: ElementTree.Element) -> dict[str, str]:
    return {key: value for key, value in path.items() if key != "d"}


def _is_invisible_background(path: ElementTree.Element) -> bool:
    return path.get("class") == "background" and not (path.get("fill") or path.get("stroke"))


def _is_default(key: str, value: str) -> bool:
    return (key, value) in {("opacity", "1"), ("transform", "translate(0,0)")}


def _short(value: str) -> str:
    return _DECIMALS.sub(lambda match: f"{float(match[0]):.1f}".rstrip("0").rstrip("."), value)
