"""Which rows are measured for what was asked."""

from __future__ import annotations

from itertools import pairwise

import pytest

from relucid.bench import choices
from relucid.bench.choices import Peer, peers, thread_counts
from relucid.bench.plan import FUNCTIONS, combinations, functions, standard
from relucid.errors import MissingDependencyError, ParameterError, UnknownActivationError

ALL = tuple(Peer)


def test_no_setting_is_measured_twice() -> None:
    settings = [task.setting for task in standard((), ALL, quick=False)]
    assert len(settings) == len(set(settings))
    assert {s.function for s in settings} == set(FUNCTIONS)


def test_settings_that_share_buffers_follow_one_another() -> None:
    cells = [
        (t.setting.function, t.setting.dtype, t.setting.size, t.setting.threads)
        for t in combinations(("elu", "gelu"), ALL, (8, 64), ("float32", "float64"), (1, 2))
    ]
    changes = sum(a != b for a, b in pairwise(cells))
    assert changes == len(set(cells)) - 1


def test_names_select_and_aliases_resolve() -> None:
    assert functions(("swish", "ELU")) == ("elu", "silu")
    chosen = standard(("Swish",), ALL, quick=False)
    assert {task.setting.function for task in chosen} == {"silu"}


@pytest.mark.parametrize(("name", "says"), [("eluu", "did you mean"), ("hardtanh", "benchmarked")])
def test_other_names_are_refused(name: str, says: str) -> None:
    with pytest.raises(UnknownActivationError, match=says):
        functions((name,))


def test_peers_take_part_where_they_can() -> None:
    tasks = combinations(("elu",), ALL, (8,), ("float32", "bfloat16"), (1, 2))
    by_row = {(t.setting.dtype, t.setting.threads): set(t.peers) for t in tasks}
    assert by_row["float32", 1] == set(ALL)
    assert by_row["bfloat16", 1] == set(ALL) - {Peer.NUMPY}
    # JAX keeps the number of threads that it started with.
    assert by_row["float32", 2] == {Peer.EAGER, Peer.COMPILE}
    only_two = combinations(("elu",), ALL, (8,), ("float32",), (2,))
    assert Peer.JAX in only_two[0].peers


def test_only_functions_of_one_number_write_into_given_buffers() -> None:
    policies = {t.setting.policy for t in combinations(("softmax", "swiglu"), ALL, (8,), (), ())}
    assert policies == {"fresh"}


def test_threads() -> None:
    assert thread_counts(("all", "1")) == tuple(sorted({1, choices.cores()}))
    for word in ("0", "x", str(choices.cores() + 1), "-1"):
        with pytest.raises(ParameterError, match="--threads takes"):
            thread_counts((word,))


def test_jax_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "find_spec", lambda name: None)
    assert Peer.JAX not in peers()
    with pytest.raises(MissingDependencyError, match="pip install jax"):
        peers((Peer.JAX,))
