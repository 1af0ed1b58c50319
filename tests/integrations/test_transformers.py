"""The callback in real runs of transformers' Trainer, against plain hooks and runs without it."""

import importlib

import numpy as np
import pytest
import torch
from torch import nn

import relucid
from relucid.demo import load_digits
from relucid.errors import ModelError
from support.hosted import BATCH, SITES, OwnCount, Twice, events, hooks_on, weights_equal

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed")
watching = importlib.import_module("relucid.integrations.transformers")

STEPS = 8


class WithLoss(nn.Module):
    """A network in the form that the Trainer wants."""

    def __init__(self, network):
        super().__init__()
        self.net = network

    def forward(self, pixel_values, labels):
        scores = self.net(pixel_values.flatten(1))
        return {"loss": nn.functional.cross_entropy(scores, labels), "logits": scores}


class Logged(transformers.TrainerCallback):
    """A callback of the user's own that takes logs."""

    def __init__(self):
        self.seen = []

    def on_log(self, args, state, control, logs=None, **others):
        self.seen.append((state.global_step, dict(logs)))


def trainer(model, folder, host=transformers.Trainer, **options):
    digits = load_digits()
    images = digits.train_images.reshape(-1, 1, 8, 8)[: STEPS * BATCH]
    pairs = zip(images, digits.train_labels, strict=False)
    data = [{"pixel_values": image, "labels": label} for image, label in pairs]
    plain = {"max_steps": STEPS, "save_strategy": "no", "report_to": "none", "learning_rate": 0.01}
    quiet = {"disable_tqdm": True, "use_cpu": True, "per_device_train_batch_size": BATCH}
    quiet |= {"dataloader_pin_memory": False}  # for a CPU it warns that there is nothing to gain
    args = transformers.TrainingArguments(output_dir=str(folder), **(plain | quiet | options))
    return host(model, args, train_dataset=data, eval_dataset=data[:BATCH])


def watched(model, folder, every=1, **options):
    host = trainer(model, folder, **options)
    callback = watching.WatchCallback(host, every)
    host.add_callback(callback)
    return host, callback


def test_a_run_reported_to_tensorboard(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    model, plain = WithLoss(Twice()), WithLoss(Twice())
    own, before = OwnCount(model.net), hooks_on(model)
    both = {"logging_steps": 3, "eval_strategy": "steps", "eval_steps": 4}
    host, callback = watched(model, tmp_path / "a", report_to=["tensorboard"], **both)
    host.train()
    trainer(plain, tmp_path / "b", **both).train()

    assert weights_equal(model, plain)
    assert hooks_on(model) == before
    (folder,) = (tmp_path / "a" / "runs").iterdir()
    read = events(folder)
    # The loss is logged after steps 3 and 6, the evaluation after 4 and 8: so are the sites.
    parts = {3: slice(0, 3), 4: slice(3, 4), 6: slice(4, 6), 8: slice(6, 8)}
    for site in SITES:
        expected = {step: np.mean(own.dead[site][part]) for step, part in parts.items()}
        assert dict(read[f"train/relucid/net.{site}/dead"]) == pytest.approx(expected)
    assert "relucid" not in str(host.state.log_history) + capsys.readouterr().out
    seen = callback.probe.records()
    assert seen.mode == "train" and seen.batches == STEPS
    assert relucid.Health.of(seen).checkups[0].findings


def test_a_model_of_transformers_and_a_callback_of_the_users_own(tmp_path):
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        num_channels=1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=10,
    )
    model = transformers.ViTForImageClassification(config)
    host, callback = watched(model, tmp_path, every=3, logging_steps=4)
    host.add_callback(logged := Logged())
    host.train()
    names = [
        one.site.name for one in callback.probe.records().sites if one.site.activation == "gelu"
    ]
    assert len(names) == 2
    for name in names:
        key = f"relucid/{name}/gradient"
        assert [step for step, logs in logged.seen if key in logs] == [4, 8]
    assert list(callback.probe.records().sites[0].history.step) == [0, 3, 6]


def test_resuming_goes_on_and_further_training_too(tmp_path):
    steps = {"save_strategy": "steps", "save_steps": 4}
    host, whole = watched(WithLoss(Twice()), tmp_path, every=3, **steps)
    host.train()
    again, resumed = watched(WithLoss(Twice()), tmp_path, every=3, **steps)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    for site, other in zip(whole.probe.records().sites, resumed.probe.records().sites, strict=True):
        for name in ("step", "dead", "revived", "gradient", "scale", "quiet"):
            expected, found = getattr(site.history, name), getattr(other.history, name)
            np.testing.assert_array_equal(found, expected, err_msg=name)

    moved = (tmp_path / "checkpoint-4").rename(tmp_path / "elsewhere")
    elsewhere = {**steps, "resume_from_checkpoint": str(moved)}
    third, from_elsewhere = watched(WithLoss(Twice()), tmp_path, every=3, **elsewhere)
    third.train(resume_from_checkpoint=str(moved))
    assert from_elsewhere.probe.records().batches == 3
    (moved / watching.FILE).unlink()
    fourth, anew = watched(WithLoss(Twice()), tmp_path, every=3, **elsewhere)
    fourth.train(resume_from_checkpoint=str(moved))
    assert anew.probe.records().batches == 2

    again.train()
    assert list(resumed.probe.records().sites[0].history.step) == [0, 3, 6, 9, 12, 15]


def test_every_part_of_an_accumulated_step_is_watched(tmp_path):
    host, callback = watched(
        WithLoss(Twice()), tmp_path, max_steps=4, gradient_accumulation_steps=2
    )
    host.train()
    assert callback.probe.records().batches == 8


def test_scaled_gradients_are_unscaled(tmp_path):
    def gradients(scaler):
        host, callback = watched(WithLoss(Twice()), tmp_path, max_steps=3, max_grad_norm=0.0)
        host.accelerator.scaler = scaler  # what fp16 sets on a GPU
        host.train()
        return callback.probe.records().sites[0].history.gradient

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, growth_interval=1000)
    np.testing.assert_allclose(gradients(scaler), gradients(None), rtol=1e-5)


def test_after_an_exception_remove_leaves_nothing(tmp_path):
    class Breaks(WithLoss):
        def forward(self, pixel_values, labels):
            found = super().forward(pixel_values, labels)
            if callback.probe.records().batches == 3:
                raise RuntimeError("stop here")
            return found

    host, callback = watched(model := Breaks(Twice()), tmp_path)
    with pytest.raises(RuntimeError, match="stop here"):
        host.train()
    callback.remove()
    assert hooks_on(model) == 0
    assert callback.probe.records().batches == 3


def test_what_cannot_be_watched_is_told(tmp_path):
    host, callback = watched(WithLoss(nn.Linear(64, 10)), tmp_path)
    with pytest.raises(ModelError, match="seen no training begin"):
        callback.probe.records()
    with pytest.raises(ModelError, match="no activation was seen in this WithLoss"):
        host.train()

    class OtherLoss(transformers.Trainer):
        def compute_loss(self, model, inputs, **others):
            return model.net(inputs["pixel_values"].flatten(1)).square().mean()

    host, callback = watched(WithLoss(Twice()), tmp_path, host=OtherLoss)
    with pytest.raises(ModelError, match=r"called this WithLoss.*compute_loss"):
        host.train()


def test_another_model_is_refused(tmp_path):
    host, callback = watched(WithLoss(Twice()), tmp_path, max_steps=1)
    host.train()
    other = trainer(WithLoss(Twice()), tmp_path, max_steps=1)
    other.add_callback(callback)
    with pytest.raises(ModelError, match=r"callback for each model, and search for .* without"):
        other.train()
