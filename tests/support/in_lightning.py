"""The digits' network in the hands of Lightning, which takes seconds to import."""

import lightning.pytorch as lightning
import pytorch_lightning as older  # noqa: F401  # for the tests, under its older name
import torch
from torch import nn
from torch.utils.data import DataLoader

from relucid.integrations.lightning import WatchCallback as WatchCallback
from support.hosted import Twice, batches

STEPS = 8


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
