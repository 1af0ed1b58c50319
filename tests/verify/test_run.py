"""A run remembers every block, goes on where it was, and adds up to the same on any workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relucid.errors import OutputError, ParameterError, RecordError
from relucid.functions import get
from relucid.records.accuracy import accuracy_from_json, accuracy_json
from relucid.verify import Plan, Store, count, measure, plans, run

SAMPLE = 10_000


def elu_plans() -> list[Plan]:
    return plans([get("elu", alpha=0.5)], peers=["pytorch"], sample=SAMPLE)


class Interrupted(Exception):
    pass


@pytest.mark.usefixtures("small")
def test_an_interrupted_run_repeats_at_most_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, store = elu_plans(), Store(tmp_path / "new", "mark")
    straight = measure(chosen, Store(tmp_path / "other", "mark"))
    assert count(chosen) >= 4
    measured: list[int] = []
    real = run._measure

    def breaking(task: Any) -> Any:
        if len(measured) == 2:
            raise Interrupted
        measured.append(task[1])
        return real(task)

    monkeypatch.setattr(run, "_measure", breaking)
    with pytest.raises(Interrupted):
        measure(chosen, store)
    first, told = list(measured), []

    def counting(task: Any) -> Any:
        measured.append(task[1])
        return real(task)

    monkeypatch.setattr(run, "_measure", counting)
    resumed = measure(chosen, store, progress=told.append)
    assert sorted(measured) == list(range(run.REST, chosen[0].blocks)), "none twice, none left out"
    assert told == list(range(len(first), count(chosen) + 1))
    assert accuracy_json(resumed) == accuracy_json(straight)


@pytest.mark.usefixtures("small")
def test_other_code_does_not_add_to_what_was_measured(tmp_path: Path) -> None:
    (plan,) = elu_plans()
    old = Store(tmp_path, "old")
    measure([plan], old)
    assert not list(old.load(plan).left(plan.blocks))
    assert _nothing_done(Store(tmp_path, "new"), plan)
    old.forget(plan)
    assert _nothing_done(old, plan)


def _nothing_done(store: Store, plan: Plan) -> bool:
    state = store.load(plan)
    everything = [(block, plan.libraries) for block in range(plan.blocks)]
    return state.rest is None and list(state.left(plan.blocks)) == everything


@pytest.mark.usefixtures("small")
def test_only_the_library_that_changed_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = plans([get("squared_relu"), get("elu")], peers=["pytorch"], sample=SAMPLE)
    store, versions = Store(tmp_path, "mark"), {"elu": "1"}
    monkeypatch.setattr(
        "relucid.verify.state.deciding",
        lambda plan, library: versions.get(plan.id, "") if library == "relucid" else "",
    )
    before = measure(chosen, store)
    versions["elu"] = "2"
    measured: list[Any] = []
    real = run._measure

    def counting(task: Any) -> Any:
        measured.append(task)
        return real(task)

    monkeypatch.setattr(run, "_measure", counting)
    after = measure(chosen, store)
    blocks = [(chosen[1], block, ("relucid",)) for block in range(chosen[1].blocks)]
    assert measured == [(chosen[1], run.REST, ()), *blocks]
    assert accuracy_json(after) == accuracy_json(before)


def test_plans_that_differ_are_kept_apart() -> None:
    elu = get("elu")
    every = [
        Plan(elu),
        Plan(elu, ("pytorch",)),
        Plan(elu, route="plain"),
        Plan(elu, precision="correct"),
        Plan(elu, sample=1000),
        Plan(get("elu", alpha=0.5)),
    ]
    assert len({plan.key for plan in every}) == len(every)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other", "version": 1}', '{"format": 3}'])
def test_a_damaged_state_is_an_error(tmp_path: Path, text: str) -> None:
    (plan,) = elu_plans()
    store = Store(tmp_path, "mark")
    store.save(plan, store.load(plan))
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    with pytest.raises(RecordError, match=r"relucid\.verify\.state"):
        store.load(plan)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--state"):
        Store(tmp_path / "file" / "below", "mark")


@pytest.mark.usefixtures("small")
def test_the_record_survives_json(tmp_path: Path) -> None:
    found = measure(elu_plans(), Store(tmp_path, "mark"))
    # Texts are compared, because the specials have NaN, which equals nothing.
    assert accuracy_json(accuracy_from_json(accuracy_json(found))) == accuracy_json(found)
    assert [library.name for library in found.functions[0].libraries] == ["relucid", "pytorch"]
    assert found.functions[0].id == "elu:alpha=0.5"
    document = json.loads(accuracy_json(found))
    assert (document["format"], document["version"]) == ("relucid.accuracy", 1)


def test_two_processes_find_what_one_does(tmp_path: Path) -> None:
    chosen = plans([get("relu"), get("squared_relu")], peers=[], sample=5000)
    apart = measure(chosen, Store(tmp_path / "two", "mark"), workers=2)
    together = measure(chosen, Store(tmp_path / "one", "mark"), workers=1)
    assert accuracy_json(apart) == accuracy_json(together)


def test_an_unknown_peer_is_an_error() -> None:
    with pytest.raises(ParameterError, match="keras"):
        plans([get("elu")], peers=["keras"])
