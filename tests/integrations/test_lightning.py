"""The callback in real runs of Lightning, against plain hooks and a run without it."""

import importlib

import numpy as np
import pytest
import torch

import relucid
from relucid.errors import ModelError
from support.hosted import SITES, OwnCount, events, hooks_on, offline_runs, weights_equal

# Advice of Lightning on machines with several cores.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' does not have many workers:UserWarning")


@pytest.fixture(scope="module")
def hosts():
    """Lightning, and what it trains: loaded by the worker alone that comes to these tests."""
    for name in ("lightning", "pytorch_lightning"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    return importlib.import_module("support.in_lightning")


def test_a_run_with_three_loggers(hosts, tmp_path, mlflow_uri):
    for name in ("tensorboard", "wandb"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    model, plain = hosts.Digits(), hosts.Digits()
    own = OwnCount(model.net)
    board = hosts.lightning.loggers.TensorBoardLogger(tmp_path, name="", version="")
    flow = hosts.lightning.loggers.MLFlowLogger(tracking_uri=mlflow_uri)
    bias = hosts.lightning.loggers.WandbLogger(save_dir=tmp_path, offline=True)
    loggers = [board, flow, bias]
    hosts.trainer(hosts.WatchCallback(), logger=loggers, log_every_n_steps=3).fit(
        model, hosts.data()
    )
    bias.experiment.finish()
    hosts.trainer().fit(plain, hosts.data())

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


def test_the_module_itself_is_watched_and_only_in_training(hosts):
    model, callback = hosts.Validated(), hosts.WatchCallback(every=2)
    own = OwnCount(model.net)
    before = hooks_on(model)
    hosts.trainer(callback, max_epochs=2).fit(model, hosts.data(), hosts.data(3))
    assert hooks_on(model) == before
    seen = callback.probe.records()
    assert seen.mode == "train" and seen.batches == hosts.STEPS
    assert [one.site.name for one in seen.sites] == ["net.act", "net.act#2"]
    assert list(seen.sites[1].history.dead) == own.dead["act#2"][::2]
    findings = relucid.Health.of(seen).checkups[0].findings
    assert {"dead_units", "dying"} <= {one.rule for one in findings}


def test_a_checkpoint_and_a_further_fit_go_on(hosts, tmp_path):
    whole, begun, resumed = (hosts.WatchCallback(every=2) for _ in range(3))
    hosts.trainer(whole, max_epochs=2).fit(hosts.Digits(), hosts.data(5))
    host, model = hosts.trainer(begun), hosts.Digits()
    host.fit(model, hosts.data(5))
    host.save_checkpoint(tmp_path / "one.ckpt")
    again = hosts.trainer(resumed, max_epochs=2)
    again.fit(hosts.Digits(), hosts.data(5), ckpt_path=tmp_path / "one.ckpt", weights_only=True)
    for site, other in zip(whole.probe.records().sites, resumed.probe.records().sites, strict=True):
        for name in ("step", "dead", "revived", "gradient", "scale", "quiet"):
            expected, found = getattr(site.history, name), getattr(other.history, name)
            np.testing.assert_array_equal(found, expected, err_msg=name)
    hosts.trainer(begun).fit(model, hosts.data(5))
    assert begun.probe.records().batches == whole.probe.records().batches == 5


def test_one_log_a_step_where_gradients_accumulate(hosts, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    callback = hosts.WatchCallback()
    logger = hosts.lightning.loggers.TensorBoardLogger(tmp_path, name="", version="")
    host = hosts.trainer(callback, logger=logger, log_every_n_steps=1, accumulate_grad_batches=2)
    host.fit(hosts.Digits(), hosts.data(6))
    assert [step for step, _ in events(tmp_path)["relucid/net.act/gradient"]] == [0, 1, 2]
    assert callback.probe.records().batches == 6


def test_scaled_gradients_are_unscaled(hosts):
    def gradients(scale):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
        callback = hosts.WatchCallback()
        precision = hosts.lightning.plugins.MixedPrecision("16-mixed", "cpu", scaler)
        hosts.trainer(callback, plugins=[precision]).fit(hosts.Digits(), hosts.data(3))
        return callback.probe.records().sites[0].history.gradient

    np.testing.assert_allclose(gradients(2.0**12), gradients(1.0), rtol=0.02)


def test_an_exception_leaves_nothing(hosts):
    class Breaks(hosts.Digits):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)
            if index == 3:
                raise RuntimeError("stop here")
            return loss

    model, callback = Breaks(), hosts.WatchCallback()
    with pytest.raises(RuntimeError, match="stop here"):
        hosts.trainer(callback).fit(model, hosts.data())
    assert hooks_on(model) == 0
    assert callback.probe.records().batches == 4


def test_the_older_name_of_the_package(hosts):
    model, callback = hosts.digits_of(hosts.older.LightningModule)(), hosts.WatchCallback()
    hosts.trainer(callback, host=hosts.older.Trainer).fit(model, hosts.data(3))
    assert callback.probe.records().batches == 3


@pytest.mark.parametrize(
    ("model", "module", "cure"),
    [
        ("Two", None, r"\['net', 'other'\]: WatchCallback\(module=\.\.\.\)"),
        ("Two", "third", r"no module 'third' to watch; it has \['net', 'other'\]"),
        ("Linear", None, "no activation was seen in this Linear"),
        ("Forward", None, r"no training step has called this Forward; .* \['net'\], say which"),
    ],
)
def test_what_cannot_be_watched_is_told_at_once(hosts, model, module, cure):
    with pytest.raises(ModelError, match=cure):
        hosts.trainer(hosts.WatchCallback(module=module)).fit(
            getattr(hosts, model)(), hosts.data(2)
        )


def test_a_named_part_is_watched(hosts):
    parts = [hosts.WatchCallback(module="net"), hosts.WatchCallback(module="net.first")]
    with pytest.raises(ModelError, match="no activation was seen in this Linear"):
        hosts.trainer(*parts, log_every_n_steps=1).fit(hosts.Two(), hosts.data(2))
    assert [one.site.name for one in parts[0].probe.records().sites] == list(SITES)


def test_one_callback_for_two_models_is_refused(hosts):
    callback = hosts.WatchCallback()
    with pytest.raises(ModelError, match="seen no training begin"):
        callback.probe.records()
    hosts.trainer(callback).fit(hosts.Digits(), hosts.data(2))
    with pytest.raises(ModelError, match="make a new callback for each model"):
        hosts.trainer(callback).fit(hosts.Digits(), hosts.data(2))
