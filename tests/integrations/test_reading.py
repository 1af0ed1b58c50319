"""The numbers that are logged, against means worked out here, and what cannot be logged."""

import importlib
import sys

import numpy as np
import pytest
import torch
from torch import nn

import relucid
from relucid.errors import MissingDependencyError, ParameterError, RecordError
from relucid.integrations.reading import Reader, scalars
from relucid.probes import history
from support import fresh
from support.hosted import OwnCount, Twice, batches

QUANTITIES = {"fire_rate", "dead", "window_dead", "revived", "gradient", "scale"}


def passes(network, data):
    for images, labels in data:
        nn.functional.cross_entropy(network(images), labels).backward()


def test_newest_point_is_the_last_pass():
    network = Twice()
    own = OwnCount(network)
    with relucid.watch(network) as probe:
        passes(network, batches(5))
    numbers = scalars(probe)
    assert set(numbers) == {f"relucid/{s}/{q}" for s in ("act", "act#2") for q in QUANTITIES}
    assert numbers == scalars(probe.records())
    for site in ("act", "act#2"):
        assert numbers[f"relucid/{site}/dead"] == own.dead[site][-1]
        assert numbers[f"relucid/{site}/gradient"] == pytest.approx(own.gradients[site][-1])


def test_reader_gives_the_mean_of_what_is_new_once():
    network, data = Twice(), batches(7)
    own = OwnCount(network)
    with relucid.watch(network) as probe:
        reader = Reader(probe, "net")
        passes(network, data[:3])
        first = reader.new()
        passes(network, data[3:])
        second = reader.new()
    assert reader.new() == {}
    for numbers, part in ((first, slice(0, 3)), (second, slice(3, 7))):
        for site in ("act", "act#2"):
            dead, gradient = own.dead[site][part], torch.stack(own.gradients[site][part])
            assert numbers[f"relucid/net.{site}/dead"] == pytest.approx(np.mean(dead))
            root = gradient.square().mean().sqrt()
            assert numbers[f"relucid/net.{site}/gradient"] == pytest.approx(float(root))


def test_reader_reads_on_when_points_are_merged(monkeypatch):
    monkeypatch.setattr(history, "POINTS", 4)
    network, data = Twice(), batches(20)
    own = OwnCount(network)
    with relucid.watch(network) as probe:
        reader = Reader(probe)
        for batch in data:
            passes(network, [batch])
            newest = reader.new()
    # 20 passes make 3 points of 8, 8 and 4 passes, and the last one is the newest.
    assert newest["relucid/act/dead"] == pytest.approx(np.mean(own.dead["act"][16:]))


def test_what_was_not_measured_is_left_out():
    network = Twice()
    with relucid.watch(network) as probe:
        assert scalars(probe) == {}
        with torch.no_grad():
            network(batches(1)[0][0])
    assert {name.rsplit("/", 1)[1] for name in scalars(probe)} == QUANTITIES - {"gradient"}


def test_what_cannot_be_logged_is_refused():
    with pytest.raises(ParameterError, match=r"a probe of relucid\.watch, or its records"):
        scalars(Twice())
    health = relucid.checkup(Twice(), batches(2), nn.functional.cross_entropy)
    with pytest.raises(RecordError, match=r"no history.*relucid\.watch"):
        scalars(health.checkups[0].observation)


@pytest.mark.parametrize(
    ("integration", "absent", "cure"),
    [
        ("lightning", ("lightning", "lightning.pytorch", "pytorch_lightning"), "lightning$"),
        ("transformers", ("transformers",), r'"transformers\[torch\]"$'),
    ],
)
def test_missing_package_is_told_with_the_cure(monkeypatch, integration, absent, cure):
    monkeypatch.delitem(sys.modules, f"relucid.integrations.{integration}", raising=False)
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=f"pip install {cure}"):
        importlib.import_module(f"relucid.integrations.{integration}")


def test_missing_mlflow_is_told_when_it_is_needed(monkeypatch):
    from relucid.integrations import mlflow

    monkeypatch.setitem(sys.modules, "mlflow", None)
    with (
        relucid.watch(Twice()) as probe,
        pytest.raises(MissingDependencyError, match=r"pip install mlflow$"),
    ):
        mlflow.log(probe, 0)


def test_import_of_relucid_loads_none_of_them():
    hosts = ["lightning", "pytorch_lightning", "transformers", "tensorboard", "mlflow", "wandb"]
    code = f"import sys, relucid, relucid.probes; print([h for h in {hosts} if h in sys.modules])"
    assert fresh.run(code).stdout == "[]\n"
