"""The callback in real runs of Lightning, against plain hooks and a run without it."""

import importlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import relucid
from relucid.errors import ModelError
from support.hosted import (
    SITES,
    OwnCount,
    Twice,
    batches,
    events,
    hooks_on,
    offline_runs,
    weights_equal,
)

lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
older = pytest.importorskip("pytorch_lightning", reason="pytorch_lightning is not installed")
WatchCallback = importlib.import_module("relucid.integrations.lightning").WatchCallback

STEPS = 8

# Advice of Lightning on machines with several cores.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' does not have many workers:UserWarning")


def digits_of(host):
    """A LightningModule without forward, around the network, for either name of the package."""

    class Digits(host):
        def __init__(self):
            super().__init__()
            self.net = Twice()

        def scores_of(self, images):
            return self.net(images)

        def training_step(self, batch, index):
            loss = nn.functional.cross_entropy(self.scores_of(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Digits


Digits = digits_of(lightning.LightningModule)


class CallsItself(Digits):
    """The same, with a forward that training calls."""

    def forward(self, images):
        return self.net(images)

    def scores_of(self, images):
        return self(images)


class Validated(CallsItself):
    """The same, evaluated too."""

    def validation_step(self, batch, index):
        self.scores_of(batch[0])


def data(count=STEPS):
    return DataLoader(batches(count), batch_size=None)


def trainer(*callbacks, host=lightning.Trainer, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    plain = {"max_epochs": 1, "accelerator": "cpu", "enable_checkpointing": False}
    return host(callbacks=list(callbacks), **(quiet | plain | options))


def test_a_run_with_three_loggers(tmp_path):
    for name in ("tensorboard", "mlflow", "sqlalchemy", "wandb"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    model, plain = Digits(), Digits()
    own = OwnCount(model.net)
    board = lightning.loggers.TensorBoardLogger(tmp_path, name="", version="")
    flow = lightning.loggers.MLFlowLogger(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    bias = lightning.loggers.WandbLogger(save_dir=tmp_path, offline=True)
    loggers = [board, flow, bias]
    trainer(WatchCallback(), logger=loggers, log_every_n_steps=3).fit(model, data())
    bias.experiment.finish()
    trainer().fit(plain, data())

    assert weights_equal(model, plain)
    parts = {2: slice(0, 3), 5: slice(3, 6), 7: slice(6, 8)}  # the last is the end of training
    read, runs = events(tmp_path), [values for _, values in offline_runs(tmp_path)]
    assert [step for step, _ in read["loss"]] == [2, 5]
    for site in SITES:
        name, metric = f"relucid/net.{site}/dead", f"relucid/net.{site.replace('#', '-')}/dead"
        expected = {step: np.mean(own.dead[site][part]) for step, part in parts.items()}
        assert dict(read[name]) == pytest.approx(expected)
        stored = flow.experiment.get_metric_history(flow.run_id, metric)
        assert {one.step: one.value for one in stored} == pytest.approx(expected)
        stored = {one["trainer/global_step"]: one[name] for one in runs if name in one}
        assert stored == pytest.approx(expected)


def test_the_module_itself_is_watched_and_only_in_training():
    model, callback = Validated(), WatchCallback(every=2)
    own = OwnCount(model.net)
    before = hooks_on(model)
    trainer(callback, max_epochs=2).fit(model, data(), data(3))
    assert hooks_on(model) == before
    seen = callback.probe.records()
    assert seen.mode == "train" and seen.batches == STEPS
    assert [one.site.name for one in seen.sites] == ["net.act", "net.act#2"]
    assert list(seen.sites[1].history.dead) == own.dead["act#2"][::2]
    findings = relucid.Health.of(seen).checkups[0].findings
    assert {"dead_units", "dying"} <= {one.rule for one in findings}


def test_a_checkpoint_and_a_further_fit_go_on(tmp_path):
    whole, begun, resumed = (WatchCallback(every=2) for _ in range(3))
    trainer(whole, max_epochs=2).fit(Digits(), data(5))
    host, model = trainer(begun), Digits()
    host.fit(model, data(5))
    host.save_checkpoint(tmp_path / "one.ckpt")
    again = trainer(resumed, max_epochs=2)
    again.fit(Digits(), data(5), ckpt_path=tmp_path / "one.ckpt", weights_only=True)
    for site, other in zip(whole.probe.records().sites, resumed.probe.records().sites, strict=True):
        for name in ("step", "dead", "revived", "gradient", "scale", "quiet"):
            expected, found = getattr(site.history, name), getattr(other.history, name)
            np.testing.assert_array_equal(found, expected, err_msg=name)
    trainer(begun).fit(model, data(5))
    assert begun.probe.records().batches == whole.probe.records().batches == 5


def test_one_log_a_step_where_gradients_accumulate(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    callback = WatchCallback()
    logger = lightning.loggers.TensorBoardLogger(tmp_path, name="", version="")
    host = trainer(callback, logger=logger, log_every_n_steps=1, accumulate_grad_batches=2)
    host.fit(Digits(), data(6))
    assert [step for step, _ in events(tmp_path)["relucid/net.act/gradient"]] == [0, 1, 2]
    assert callback.probe.records().batches == 6


def test_scaled_gradients_are_unscaled():
    def gradients(scale):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
        callback = WatchCallback()
        precision = lightning.plugins.MixedPrecision("16-mixed", "cpu", scaler)
        trainer(callback, plugins=[precision]).fit(Digits(), data(3))
        return callback.probe.records().sites[0].history.gradient

    np.testing.assert_allclose(gradients(2.0**12), gradients(1.0), rtol=0.02)


def test_an_exception_leaves_nothing():
    class Breaks(Digits):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)
            if index == 3:
                raise RuntimeError("stop here")
            return loss

    model, callback = Breaks(), WatchCallback()
    with pytest.raises(RuntimeError, match="stop here"):
        trainer(callback).fit(model, data())
    assert hooks_on(model) == 0
    assert callback.probe.records().batches == 4


def test_the_older_name_of_the_package():
    model, callback = digits_of(older.LightningModule)(), WatchCallback()
    trainer(callback, host=older.Trainer).fit(model, data(3))
    assert callback.probe.records().batches == 3


class Two(Digits):
    """Two networks and no forward."""

    def __init__(self):
        super().__init__()
        self.other = Twice()


class Linear(CallsItself):
    """No activation."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(64, 10)


class Forward(CallsItself):
    """Has a forward, and training does not call it."""

    def scores_of(self, images):
        return self.net(images)


@pytest.mark.parametrize(
    ("model", "module", "cure"),
    [
        (Two, None, r"\['net', 'other'\]: WatchCallback\(module=\.\.\.\)"),
        (Two, "third", r"no module 'third' to watch; it has \['net', 'other'\]"),
        (Linear, None, "no activation was seen in this Linear"),
        (Forward, None, r"no training step has called this Forward; .* \['net'\], say which"),
    ],
)
def test_what_cannot_be_watched_is_told_at_once(model, module, cure):
    with pytest.raises(ModelError, match=cure):
        trainer(WatchCallback(module=module)).fit(model(), data(2))


def test_a_named_part_is_watched():
    parts = [WatchCallback(module="net"), WatchCallback(module="net.first")]
    with pytest.raises(ModelError, match="no activation was seen in this Linear"):
        trainer(*parts, log_every_n_steps=1).fit(Two(), data(2))
    assert [one.site.name for one in parts[0].probe.records().sites] == list(SITES)


def test_one_callback_for_two_models_is_refused():
    callback = WatchCallback()
    with pytest.raises(ModelError, match="seen no training begin"):
        callback.probe.records()
    trainer(callback).fit(Digits(), data(2))
    with pytest.raises(ModelError, match="make a new callback for each model"):
        trainer(callback).fit(Digits(), data(2))
