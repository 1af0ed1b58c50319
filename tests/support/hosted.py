"""What the tests of integrations train in their hosts, and what they read it back with."""

import json
import struct

import torch
from torch import nn

from relucid.demo import load_digits

BATCH = 32
SITES = ("act", "act#2")


class Twice(nn.Module):
    """A network for the digits that calls one ReLU twice: sites ``act`` and ``act#2``."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(64, 32), nn.Linear(32, 32)
            self.scores = nn.Linear(32, 10)
        self.act = nn.ReLU()

    def forward(self, images):
        return self.scores(self.act(self.second(self.act(self.first(images)))))


def batches(count):
    """The first digits, in order."""
    digits = load_digits()
    images, labels = digits.train_images.split(BATCH), digits.train_labels.split(BATCH)
    return list(zip(images, labels, strict=True))[:count]


class OwnCount:
    """Dead units of both calls in each training pass, and the gradients there, by plain hooks."""

    def __init__(self, network):
        self.dead, self.gradients = ({site: [] for site in SITES} for _ in range(2))
        network.register_forward_pre_hook(self._begin)
        network.act.register_forward_pre_hook(self._see)

    def _begin(self, module, args):
        self._names = iter(SITES)

    def _see(self, module, args):
        (z,) = args
        if not z.requires_grad:  # an evaluation
            return
        name = next(self._names)
        self.dead[name].append(int((z <= 0).all(0).sum()))
        z.register_hook(lambda g: self.gradients[name].append(g.double().square().mean().sqrt()))


def weights_equal(a, b):
    """Whether two networks have the same weights to the last bit."""
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(m == n and torch.equal(x, y) for (m, x), (n, y) in pairs)


def hooks_on(network):
    """How many hooks are on any of its modules."""
    kinds = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(m, kind)) for m in network.modules() for kind in kinds)


def events(folder):
    """Everything in TensorBoard's files: name to [(step, value), ...]."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    names = read.Tags()["scalars"]
    return {name: [(e.step, e.value) for e in read.Scalars(name)] for name in names}


def offline_runs(folder):
    """What W&B's one offline run in a folder logged: its own step and the values, in order."""
    import wandb
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # its own process writes, and ends when all is written
    (stored,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    for data in _entries(stored.read_bytes()):
        history = wandb_internal_pb2.Record.FromString(data).history
        if history.item:
            values = {i.key or i.nested_key[0]: json.loads(i.value_json) for i in history.item}
            yield history.step.num, values


def _entries(log):
    """Take apart LevelDB's log format, in which W&B writes, after a header of 7 bytes."""
    block, place, parts = 32768, 7, b""
    while place < len(log):
        if block - place % block < 7:  # too little for a header: the block ends in zeros
            place += block - place % block
            continue
        length, kind = struct.unpack_from("<HB", log, place + 4)
        parts += log[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""
