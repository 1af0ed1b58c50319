"""Cards: what they say, and how they are shown in a terminal and on a page."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from relucid.cards import card
from relucid.functions import Parameter, activation, get
from relucid.records.cards import Card, Curve, Dot, Line, card_json
from relucid.report.card_html import render_card_html, save_card_html
from relucid.report.card_svg import picture, ticks
from relucid.report.card_text import render_card
from relucid.report.dots import drawing
from support.cases import CASES, Case

HOSTILE = "</script><img src=x onerror=alert(1)> [bold red]\x1b[2J"


def shown(found: Card, *, width: int = 80, encoding: str = "utf-8") -> str:
    """The card as a terminal of this width and these letters gets it."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, legacy_windows=False)
    console.print(render_card(found))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


def flowing(text: str) -> str:
    """The text without line breaks and columns."""
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_function_has_a_card_for_every_terminal_and_as_a_page(case: Case) -> None:
    """The card is made once: that takes longer than to show it."""
    found = card(case.name, **case.parameters)
    assert max(map(len, shown(found).splitlines())) <= 80
    assert found.definition and found.derivatives and found.source and found.summary
    for derivative in found.derivatives:
        assert all(
            c.formula.text and c.formula.latex and c.formula.mathml for c in derivative.cases
        )
    ascii_only = shown(found, encoding="ascii")
    assert ascii_only.isascii()
    assert "\\u" not in ascii_only
    assert_stands_alone(render_card_html(found))


def test_relu_is_continuous_and_its_derivative_is_not() -> None:
    text = flowing(shown(card("relu")))
    assert "At 0 the value is continuous, 0; the derivative is 0 on the left and 1 on the" in text
    assert "relucid uses 0 there" in text
    assert "ReLU is continuous at 0; it is its derivative that is not." in text
    assert "relucid uses 0.5 there" in flowing(shown(card(get("relu").at_kink(0.5))))


def test_elus_derivative_is_alpha_exp() -> None:
    found = card("elu", alpha=0.5)
    assert [c.formula.text for c in found.derivatives[0].cases] == ["α·exp(x)", "1"]
    assert [c.where.text for c in found.derivatives[0].cases if c.where] == ["x < 0", "x > 0"]
    (kink,) = found.kinks
    assert (kink.value_left, kink.value, kink.value_right) == (0.0, 0.0, 0.0)
    assert (kink.slope_left, kink.used, kink.slope_right) == (0.5, 0.5, 1.0)
    assert "some texts print alpha*(exp(x) - 1)" in flowing(shown(found))
    assert "alpha*exp(x)" in shown(found, encoding="ascii")


def test_a_value_that_jumps_is_said_to_jump() -> None:
    (first, _) = card("hardshrink").kinks
    assert (first.jump, first.value_left, first.value, first.value_right) == ("value", -0.5, 0, 0)
    assert "the value jumps from -0.5 to 0 and is 0 there" in flowing(shown(card("hardshrink")))


def test_facts_are_those_of_the_function() -> None:
    facts = card("gelu").facts
    assert facts is not None
    assert facts.range[0] == pytest.approx(-0.16997120747990369, abs=1e-12)
    assert facts.limits == (0.0, math.inf)
    assert [stretch.direction for stretch in facts.stretches] == ["falling", "rising"]
    # The gain by plain Monte Carlo, which shares no code with the quadrature.
    z = np.random.default_rng(0).standard_normal(2_000_000)
    assert facts.gain_forward == pytest.approx(1 / np.sqrt(np.mean(get("gelu")(z) ** 2)), rel=3e-3)


def test_two_input_and_vector_functions() -> None:
    swiglu = card("swiglu")
    assert swiglu.definition[0].formula.text == "v·g·σ(g)"
    assert [d.name for d in swiglu.derivatives] == ["by the value v", "by the gate g"]
    assert [c.where.text for c in card("reglu").definition if c.where] == ["g ≤ 0", "g > 0"]
    (jacobian,) = card("softmax").derivatives
    assert jacobian.cases[0].formula.text == "y[i]·(δ(i, j) - y[j])"


def test_json_is_strict_and_complete() -> None:
    found = card("relu")
    document = json.loads(card_json(found), parse_constant=pytest.fail)
    assert (document["format"], document["version"]) == ("relucid.card", 1)
    assert document["card"]["facts"]["limits"] == [0.0, "Infinity"]
    assert document["card"]["kinks"][0]["slope_right"] == 1.0


def test_a_users_own_function_has_a_card() -> None:
    @activation(source="a test", parameters={"period": Parameter(3.0)})
    def ripple_for_a_card(m: Any, x: Any, period: Any) -> Any:
        """Waves inside, a line outside."""
        return m.where(x * x < 16.0, m.sin(period * x), x)

    found = card(ripple_for_a_card)
    assert [kink.at for kink in found.kinks] == [-4.0, 4.0]
    assert [c.formula.text for c in found.derivatives[0].cases] == [
        "1",
        "period·cos(period·x)",
        "1",
    ]
    assert "rises and falls again and again" in flowing(shown(found))
    assert shown(found).startswith("ripple_for_a_card")


class _Page(HTMLParser):
    """Collects tags and addresses, and checks that tags are closed in order."""

    void = frozenset({"meta", "link", "line", "path", "circle", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "action", "data")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def assert_stands_alone(text: str) -> None:
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.tags
    assert {address for address in page.addresses} == {"data:,"}
    assert "math" in page.tags


def test_hostile_texts_are_shown_not_obeyed() -> None:
    texts = {field: HOSTILE for field in ("name", "summary", "cures", "costs", "note", "source")}
    found = replace(card("relu"), aliases=(HOSTILE,), **texts)
    text = shown(found)
    assert "\x1b" not in text
    assert "[bold red]" in text
    page = _Page()
    page.feed(render_card_html(found))
    assert "img" not in page.tags
    assert any("onerror=alert(1)" in words for words in page.words)


def test_the_page_is_written_whole(tmp_path) -> None:
    path = save_card_html(card("elu"), tmp_path / "elu.html")
    assert path.read_text(encoding="utf-8") == render_card_html(card("elu"))


def diagonal() -> Curve:
    xs = tuple(np.linspace(-1.0, 1.0, 81).tolist())
    return Curve("value", (Line(xs, xs),), (Dot(0.0, 1.0, filled=False),))


def test_a_drawing_has_the_shape_of_its_curve() -> None:
    *rows, scale = drawing(diagonal(), 21, 11, narrow=True)
    assert [len(row) for row in rows] == [21] * 11
    stars = [(row.index("*"), row.rindex("*")) for row in rows if "*" in row]
    assert stars == sorted(stars, reverse=True)  # rises from left to right
    assert rows[0][10] == "o" or rows[1][10] == "o"  # the ring at the top, over x = 0
    assert scale.startswith("-1") and scale.endswith("1")


def test_a_drawing_has_eight_braille_dots_a_letter() -> None:
    *rows, _ = drawing(diagonal(), 21, 11, narrow=False)
    dots = sum((ord(c) - 0x2800).bit_count() for row in rows for c in row if "⠀" <= c <= "⣿")
    assert dots >= 42  # at least one for each of the 2 * 21 columns


def test_lines_of_a_picture_break_where_the_function_jumps() -> None:
    hardshrink = picture(card("hardshrink").curves, "hardshrink")
    assert hardshrink.count("<path") == 6  # three pieces each of value and derivative
    assert hardshrink.count("<circle") == 2 + 2 + 2 + 2
    assert picture(card("gelu").curves, "gelu").count("<path") == 2


def test_ticks_are_round_and_inside() -> None:
    assert ticks(-4.0, 4.0) == [-4.0, -2.0, 0.0, 2.0, 4.0]
    assert ticks(-0.04, 1.04) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
