"""``relucid.compare`` as its users call it: on small real trainings, and with wrong input."""

import json
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import relucid
from relucid.compare.result import Compared
from relucid.compare.store import Store
from relucid.demo import load_digits
from relucid.errors import (
    DataError,
    EngineError,
    LossError,
    ModelError,
    ParameterError,
    StoreError,
    UnknownActivationError,
)
from relucid.records.comparison import Ending, Verdict

AMONG = ("relu", "elu:alpha=0.5", "tanh")


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def taking(activation) -> nn.Module:
    return nn.Sequential(nn.Linear(64, 16), activation(), nn.Linear(16, 10))


def deaf(activation) -> nn.Module:
    return build()


@relucid.activation(source="made to diverge")
def too_steep(m, x):
    """Infinite in float32 for all but small numbers."""
    return x * 1e38 * x * 1e38


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    return found.train_images[:400], found.train_labels[:400]


def compared(digits, subject=build, **more):
    settings = {
        "among": AMONG,
        "loss": cross_entropy,
        "metric": "accuracy",
        "seeds": 2,
        "steps": 12,
        "engine": "sequential",
    }
    return relucid.compare(subject, digits, **{**settings, **more})


def curves(result):
    return {(r.candidate, r.seed): [p.loss for p in r.curve] for r in result.record.runs}


def test_every_candidate_is_trained_from_every_seed_and_ranked(digits):
    told = []
    result = compared(digits, progress=lambda done, of: told.append((done, of)))
    record = result.record
    names = {"relu", "elu(alpha=0.5)", "tanh"}
    assert {(r.candidate, r.seed) for r in record.runs} == {(n, s) for n in names for s in (0, 1)}
    assert {s.candidate for s in record.standings} == names
    assert all(r.ending is Ending.COMPLETE and r.curve[-1].step == 12 for r in record.runs)
    assert told[-1] == (6, 6) and told == sorted(told)
    assert (pytest.approx(4.5), 6) in told  # the fifth run is half done
    assert result.advice == record.advice and "relu" in result.advice


def test_one_seed_begins_with_one_set_of_weights(digits):
    """At gains that are left alone, candidates that agree at a point agree in the first loss."""
    result = compared(digits, subject=taking, among=("relu", "leaky_relu:negative_slope=0"))
    first = {key: curve[0] for key, curve in curves(result).items()}
    for seed in (0, 1):
        assert first["relu", seed] == first["leaky_relu(negative_slope=0)", seed]
    assert first["relu", 0] != first["relu", 1]


def test_the_baseline_is_the_users_model_trained_as_by_hand(digits):
    """An independent loop: the same steps by torch alone end at the same weights' loss."""
    from relucid.compare.samples import split

    result = compared(digits, optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    samples = split(digits)
    torch.manual_seed(1)
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step, batch in zip(range(12), samples.in_order(1), strict=False):
        optimizer.param_groups[0]["lr"] = 0.1 * min(1.0, (12 - step) / 6)
        optimizer.zero_grad()
        cross_entropy(model(*batch.args), batch.target).backward()
        optimizer.step()
    held = [(b.args[0], b.target) for b in samples.held_out]
    x, y = (torch.cat(parts) for parts in zip(*held, strict=True))
    with torch.no_grad():
        wanted = float(cross_entropy(model(x), y))
    assert curves(result)["relu", 1][-1] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("right_gain", [True, False])
def test_a_builder_that_takes_the_activation_gives_what_a_swap_gives(digits, right_gain):
    swapped = compared(digits, right_gain=right_gain)
    taken = compared(digits, subject=taking, right_gain=right_gain)
    assert curves(swapped) == curves(taken)


def test_gains_are_righted_for_what_is_swapped_only(digits):
    result = compared(digits)
    gains = {c.name: c.gain for c in result.record.candidates}
    assert gains["relu"] == 1.0
    wanted = relucid.nn.gain("tanh") / relucid.nn.gain("relu")
    assert gains["tanh"] == pytest.approx(wanted)


def test_a_second_call_repeats_nothing_and_more_seeds_add_to_it(digits):
    first = compared(digits)
    seconds = {(r.candidate, r.seed): r.seconds for r in first.record.runs}
    again = compared(digits)
    assert {(r.candidate, r.seed): r.seconds for r in again.record.runs} == seconds
    more = compared(digits, seeds=3)
    kept = {(r.candidate, r.seed): r.seconds for r in more.record.runs}
    assert len(kept) == 9 and seconds.items() <= kept.items()


def test_an_interrupt_keeps_what_is_done(digits):
    def stop(done, of):
        if done == 4:
            raise KeyboardInterrupt

    result = compared(digits, progress=stop)
    assert result.record.stopped == "it was interrupted" and len(result.record.runs) == 4
    assert len(compared(digits).record.runs) == 6


@pytest.mark.parametrize(("engine", "done"), [("sequential", 1), ("stacked", 3)])
def test_a_budget_ends_it(digits, engine, done):
    """After a run, or after the runs of a seed where these are trained at once."""
    result = compared(digits, budget=1e-9, engine=engine)
    assert "were over" in result.record.stopped and len(result.record.runs) == done


@pytest.mark.parametrize(("engine", "done"), [("sequential", 3), ("stacked", 6)])
def test_what_was_trained_is_ranked_where_the_store_is_full(digits, engine, done, monkeypatch):
    """One after the other ends then, to go on later; what is trained at once is trained already."""
    add, kept = Store.add, []

    def until_full(store, trained):
        if len(kept) == 2:
            raise StoreError("the disk is full")
        kept.append(add(store, trained))

    monkeypatch.setattr(Store, "add", until_full)
    result = compared(digits, engine=engine)
    assert result.record.stopped == "the disk is full" and len(result.record.runs) == done
    monkeypatch.undo()
    assert compared(digits, engine=engine).record.stopped == ""


def test_a_candidate_that_diverges_is_named_and_last(digits):
    result = compared(digits, subject=taking, among=("tanh", too_steep), metric="loss")
    last = result.standings[-1]
    assert last.candidate == "too_steep" and last.diverged == 2
    ends = {r.candidate: math.isfinite(r.curve[-1].loss) for r in result.record.runs}
    assert ends == {"tanh": True, "too_steep": False}


def test_a_planted_worse_candidate_is_last_and_its_interval_excludes_no_difference(digits):
    def planted(activation):
        model = taking(activation)
        if activation().declared.name == "tanh":
            nn.init.constant_(model[0].requires_grad_(False).weight, 0.0)
        return model

    result = compared(
        digits,
        subject=planted,
        among=("relu", "elu", "tanh"),
        seeds=4,
        steps=60,
        optimizer=lambda p: torch.optim.Adam(p, lr=0.01),
    )
    last = result.standings[-1]
    assert last.candidate == "tanh" and last.verdict is Verdict.WORSE
    assert last.difference.excludes_no_difference


def test_json_is_read_back_and_the_page_is_written(digits, tmp_path):
    result = compared(digits, seeds=1)
    assert Compared.from_json(result.to_json()).to_json() == result.to_json()
    assert json.loads(result.save(tmp_path / "a.json").read_text())["format"]
    assert "<html" in result.save(tmp_path / "a.html").read_text()
    assert "Nothing can be concluded from one seed" in result.advice


def test_a_frame_has_a_row_a_run(digits):
    pytest.importorskip("pandas")
    result = compared(digits)
    assert len(result.frame()) == 6
    assert len(result.frame(points=True)) == sum(len(r.curve) for r in result.record.runs)


def test_nothing_is_drawn_from_the_users_random_numbers(digits):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    compared(digits)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"subject": deaf}, ModelError, "no site changed"),
        ({"among": ("relu", "gelo")}, UnknownActivationError, "gelu"),
        ({"among": ("relu", "softmax")}, ParameterError, "elementwise"),
        ({"among": ("relu", "relu", "elu")}, ParameterError, "twice"),
        ({"among": ("relu",)}, ParameterError, "only relu"),
        ({"among": ("elu:alpha=x", "relu")}, ParameterError, "NAME=VALUE"),
        ({"seeds": 0}, ParameterError, "seeds"),
        ({"seeds": (1, 1)}, ParameterError, "different"),
        ({"steps": 0}, ParameterError, "above 0"),
        ({"steps": 3, "epochs": 1}, ParameterError, "one of them"),
        ({"loss": None}, LossError, "loss="),
        ({"subject": build()}, ModelError, "function that builds"),
        ({"subject": lambda: nn.Linear(64, 10)}, ModelError, "no elementwise activation"),
        ({"subject": lambda: 3}, ModelError, "torch.nn.Module"),
        ({"engine": "fast"}, ParameterError, "engine"),
        ({"gpus": 1}, ParameterError, "Ray cluster; give ray="),
        ({"gpus": 1.5, "engine": "ray"}, ParameterError, "a whole number, not 1.5"),
        ({"metric": "f1"}, ParameterError, "metric"),
        ({"swap": "gelu"}, ModelError, "calls no gelu .* it calls relu: name one of these"),
        ({"loss": lambda output, target: output}, LossError, "one number"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_before_anything_is_trained(digits, changes, error, said):
    changes = dict(changes)
    with pytest.raises(error, match=said):
        compared(digits, **changes)


def test_too_few_samples_are_refused(digits):
    with pytest.raises(DataError, match=r"too few .* at least 50"):
        compared((digits[0][:40], digits[1][:40]))


def test_a_model_that_cannot_be_stacked_is_refused_by_that_engine_and_run_by_another(digits):
    class Noise(nn.Module):
        def forward(self, x):
            return x + 0.1 * torch.randn_like(x)

    def noisy():
        return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), Noise(), nn.Linear(16, 10))

    with pytest.raises(EngineError, match="random"):
        compared(digits, subject=noisy, engine="stacked")
    result = compared(digits, subject=noisy, engine="auto", workers=1)
    assert len(result.record.runs) == 6 and "random" in result.record.engine
