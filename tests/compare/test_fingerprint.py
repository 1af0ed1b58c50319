"""What makes two experiments one: runs of the one are taken for runs of the other."""

import pytest
import torch
from torch import nn

from relucid.compare.described import digest
from relucid.compare.fingerprint import deciding
from support.stored_runs import NAMES, build, data, tiny

WIDTH = 8


def build_by_global(activation):
    return nn.Sequential(nn.Linear(4, WIDTH), activation(), nn.Linear(WIDTH, 2))


class Scaled(nn.Module):
    """A model whose weights and structure do not tell what it computes."""

    def __init__(self, activation):
        super().__init__()
        self.body = build(activation)

    def forward(self, x):
        return 2.0 * self.body(x)


class Halved(Scaled):
    def forward(self, x):
        return 0.5 * self.body(x)


def closing_over(width):
    return lambda activation: nn.Sequential(nn.Linear(4, width), activation(), nn.Linear(width, 2))


def loaded(activation):
    """Build from weights that come from elsewhere."""
    model = build(activation)
    with torch.no_grad():
        model[0].weight.mul_(1.5)
    return model


def other_data():
    x, y = data()
    x[17, 3] += 1e-3
    return x, y


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01)


OTHERS = {
    "title": {"title": "tiny, but"},
    "steps": {"steps": 5},
    "data": {"data": other_data()},
    "metric": {"metric": "accuracy"},
    "loss": {"loss": nn.functional.multi_margin_loss},
    "settings of the loss": {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)},
    "loss of one's own": {"loss": lambda output, target: (output.sum(1) - target).square().mean()},
    "rate": {"optimizer": adam},
    "decay": {"optimizer": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1)},
    "optimizer": {"optimizer": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0)},
    "builder": {"build": build_by_global},
    "closure": {"build": closing_over(8)},
    "value closed over": {"build": closing_over(9)},
    "forward": {"build": Scaled},
    "other forward": {"build": Halved},
    "weights": {"build": loaded},
}


def mark(**changes):
    return digest(deciding(tiny(**{"names": NAMES[:2], **changes})))


def test_whatever_decides_a_run_makes_another_experiment():
    marks = [mark(), *(mark(**other) for other in OTHERS.values())]
    assert len(set(marks)) == 1 + len(OTHERS)
    assert marks == [mark(), *(mark(**other) for other in OTHERS.values())]


@pytest.mark.parametrize("change", [{"names": NAMES}, {"names": ["elu"]}, {"seeds": [7]}])
def test_candidates_and_seeds_make_no_other_experiment(change):
    assert mark(**change) == mark()


def test_a_global_that_the_builder_names_counts(monkeypatch):
    before = mark(build=build_by_global)
    monkeypatch.setitem(globals(), "WIDTH", 9)
    assert mark(build=build_by_global) != before


def test_comments_and_layout_do_not_count():
    marks = set()
    for text in (
        "def build(activation):\n    return Sequential(Linear(4, 8), activation(), Linear(8, 2))",
        "# now with a comment\n\ndef build(activation):\n    # wide enough\n"
        "    return Sequential(\n        Linear(4, 8), activation(), Linear(8, 2))",
    ):
        names = {"Sequential": nn.Sequential, "Linear": nn.Linear}
        exec(text, names)
        marks.add(mark(build=names["build"]))
    assert len(marks) == 1


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.bool, torch.int64, torch.complex64, torch.float64]
)
def test_data_of_any_type_are_told_apart_by_their_bytes(dtype):
    x = torch.arange(12).reshape(3, 4).to(dtype)
    other = x.clone()
    other[0, 0] = 1
    for form in (x, x.T.contiguous().T, x[:, :1], x[0, 0], x[:0], x.reshape(4, 3)):
        assert digest(form) == digest(form.clone())
    assert len({digest(x), digest(other), digest(x.reshape(4, 3)), digest(x[:0])}) == 4
    assert digest(x.to_sparse()) == digest(x)


def test_a_model_without_shapes_is_told_too():
    lazy = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    assert digest(lazy) == digest(nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d()))
    assert digest(lazy) != digest(nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d()))


def test_what_refers_to_itself_has_an_end():
    loop = {"name": "loop"}
    loop["again"] = [loop]
    assert digest(loop) == digest(loop) != digest({"name": "loop"})


def test_random_numbers_are_as_they_were():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    mark()
    assert torch.equal(torch.get_rng_state(), state)
