"""Writers, each read back by the package that it writes to."""

import importlib

import pytest
from torch import nn

import relucid
from relucid.errors import ModelError
from relucid.integrations import mlflow as to_mlflow
from relucid.integrations import tensorboard as to_tensorboard
from relucid.integrations import wandb as to_wandb
from relucid.integrations.reading import scalars
from support.hosted import Twice, batches, events, offline_runs

STEPS = (10, 20, 30)


def watched(log):
    """Train three steps, log each, and return what there was to log, by step."""
    network, expected = Twice(), {}
    with relucid.watch(network) as probe:
        for step, (images, labels) in zip(STEPS, batches(3), strict=True):
            nn.functional.cross_entropy(network(images), labels).backward()
            log(probe, step)
            expected[step] = scalars(probe)
    return expected


def test_tensorboard(tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="it is not installed")
    with tensorboard.SummaryWriter(tmp_path) as writer:
        expected = watched(lambda probe, step: to_tensorboard.log(probe, writer, step))
    read = events(tmp_path)
    assert set(read) == set(expected[10]) and "relucid/act#2/dead" in read
    for name, points in read.items():
        assert [step for step, _ in points] == list(STEPS)
        for step, value in points:  # TensorBoard keeps float32
            assert value == pytest.approx(expected[step][name], rel=1e-6)


@pytest.fixture
def mlflow(mlflow_uri, tmp_path, monkeypatch):
    mlflow = importlib.import_module("mlflow")
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(mlflow_uri)
    yield mlflow
    mlflow.set_tracking_uri(before)


def test_mlflow(mlflow):
    with mlflow.start_run() as run:
        expected = watched(to_mlflow.log)
    client, own = mlflow.MlflowClient(), run.info.run_id
    names = {name: name.replace("#", "-") for name in expected[10]}
    assert set(client.get_run(own).data.metrics) == set(names.values())
    for name, stored in names.items():
        read = {one.step: one.value for one in client.get_metric_history(own, stored)}
        assert read == {step: expected[step][name] for step in STEPS}

    # A run that is not the active one, and more than the 1,000 metrics that MLflow takes at once.
    other = client.create_run("0").info.run_id
    network = nn.Sequential(*(nn.ReLU() for _ in range(300)))
    with relucid.watch(network, gradients=False) as probe:
        network(batches(1)[0][0])
    to_mlflow.log(probe.records(), 1, run_id=other)
    assert len(client.get_run(other).data.metrics) == 1500
    assert mlflow.active_run() is None


def test_names_that_mlflow_permits(mlflow):
    hostile = "relucid/a//../b#2<é>\n%/dead"
    (name,) = to_mlflow.permitted({hostile: 1.0})
    mlflow.utils.validation._validate_metric_name(name)
    with pytest.raises(ModelError, match="one name 'relucid/a-2/dead' in MLflow"):
        to_mlflow.permitted({"relucid/a#2/dead": 1.0, "relucid/a-2/dead": 2.0})


def test_wandb_offline(tmp_path):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    quiet = wandb.Settings(console="off", silent=True, x_disable_stats=True)
    with wandb.init(mode="offline", dir=tmp_path, project="relucid", settings=quiet) as run:
        expected = watched(lambda probe, step: to_wandb.log(probe, run, step))
    read = {
        step: {name: x for name, x in values.items() if name.startswith("relucid/")}
        for step, values in offline_runs(tmp_path)
    }
    assert read == expected
