"""The composition: planted illnesses are found at their site, and a report can be kept."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import relucid
from relucid.demo import HEALTHY, SICK, accuracy, load_digits, train
from relucid.errors import DataError, LossError, ModelError, OutputError, RuleError
from relucid.records import Severity
from support.receipts import receipt

DIGITS = load_digits()
BATCHES = list(zip(DIGITS.test_images.split(100), DIGITS.test_labels.split(100), strict=True))


def ill(health: relucid.Health) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for finding in health.findings:
        if finding.severity is Severity.ILL:
            found.setdefault(finding.rule, set()).add(finding.site)
    return found


def test_digits_are_the_ones_of_the_source() -> None:
    # 1,797 images of 0..16 in 64 pixels, and their class counts: UCI's test set.
    images = torch.cat([DIGITS.train_images, DIGITS.test_images]) * 16
    labels = torch.cat([DIGITS.train_labels, DIGITS.test_labels])
    assert images.shape == (1797, 64)
    assert images.sum() == 561718
    assert torch.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_healthy_network_has_no_illness_and_the_sick_one_has() -> None:
    healthy, sick = train(HEALTHY, DIGITS, 600), train(SICK, DIGITS, 600)
    assert accuracy(healthy, DIGITS) > 0.95
    assert accuracy(sick, DIGITS) < 0.5
    assert ill(relucid.checkup(healthy, BATCHES, cross_entropy)) == {}
    assert {"dead_units", "dead_layer"} & set(ill(relucid.checkup(sick, BATCHES, cross_entropy)))


def test_planted_dead_layer_is_found_at_its_site() -> None:
    network = train(HEALTHY, DIGITS, 100)
    with torch.no_grad():
        network.layer2.bias.fill_(-1e3)
    found = ill(relucid.checkup(network, BATCHES, cross_entropy))
    assert found["dead_layer"] == {"relu2"}


def test_model_is_left_as_it_was() -> None:
    network = nn.Sequential(
        nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 10)
    )
    network[3].eval()
    before = copy.deepcopy(network.state_dict())
    modes = [module.training for module in network.modules()]
    state = torch.get_rng_state()
    relucid.checkup(network, BATCHES, cross_entropy)
    assert torch.equal(state, torch.get_rng_state())
    assert modes == [module.training for module in network.modules()]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_reports_are_written_and_read_back(tmp_path: Path) -> None:
    health = relucid.checkup(train(HEALTHY, DIGITS, 10), BATCHES, cross_entropy)
    page = health.save(tmp_path / "a.html").read_text()
    assert "relu1" in page
    stored = health.save(tmp_path / "a.json").read_text()
    assert relucid.Health.from_json(stored).to_json() == health.to_json()
    both = health + health.with_receipt(receipt())
    assert [checkup.receipt for checkup in both.checkups] == [None, receipt()]
    assert "138 of 234 units removed" in both.save(tmp_path / "both.html").read_text()


def test_unknown_suffix_and_unwritable_path(tmp_path: Path) -> None:
    health = relucid.checkup(train(HEALTHY, DIGITS, 1), BATCHES)
    with pytest.raises(OutputError, match=r"end the name in \.html"):
        health.save(tmp_path / "a.pdf")
    with pytest.raises(OutputError, match="absent"):
        health.save(tmp_path / "absent" / "a.html")


def test_batches_limits_what_is_run() -> None:
    seen: list[int] = []
    health = relucid.checkup(train(HEALTHY, DIGITS, 1), BATCHES, batches=2, progress=seen.append)
    assert health.observation.samples == 200
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("model", "data", "loss", "error", "says"),
    [
        (nn.Linear(64, 10), BATCHES, None, ModelError, "no activation"),
        (nn.ReLU, BATCHES, None, ModelError, "instance"),
        (nn.Sequential(nn.Linear(64, 10), nn.ReLU()), [], None, DataError, "no batch"),
        (nn.Sequential(nn.Linear(9, 10), nn.ReLU()), BATCHES, None, DataError, "100, 64"),
        (nn.Sequential(nn.Linear(64, 10), nn.ReLU()), BATCHES, lambda o, t: o, LossError, "shape"),
        (nn.Sequential(nn.Linear(64, 10), nn.ReLU()), BATCHES, 3, LossError, "callable"),
    ],
)
def test_bad_input_says_what_to_do(model, data, loss, error, says) -> None:
    with pytest.raises(error, match=says):
        relucid.checkup(model, data, loss)


def test_a_watch_over_training_is_diagnosed_and_reported(tmp_path: Path) -> None:
    """Units that die in training are found though none is dead over the whole watch."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
    with relucid.watch(model) as probe:
        for step in range(40):
            if step == 10:
                nn.init.constant_(model[0].bias, -1e3)
            model(torch.randn(50, 4)).sum().backward()
    health = relucid.Health.of(probe.records(), title="In training", story="With a blow.")
    (found,) = [f for f in health.findings if f.severity is Severity.ILL]
    assert (found.rule, found.site, found.units) == ("dying", "1", tuple(range(64)))
    assert found.n == 700  # the last third of 40 passes, in whole ones: 14 of 50 samples
    assert health.checkups[0].title == "In training"
    assert relucid.Health.from_json(health.to_json()).findings == health.findings
    assert health.save(tmp_path / "watch.html").stat().st_size > 10_000


def test_a_threshold_without_a_rule_is_told_before_the_model_runs() -> None:
    with pytest.raises(RuleError, match="did you mean 'dead_units"):
        relucid.checkup(nn.ReLU(), None, thresholds={"dead_units.chare": 0.1})
