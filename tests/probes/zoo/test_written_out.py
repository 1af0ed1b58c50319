"""Classic networks, written out as their papers and tutorials do."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from support.watching import check_sites, check_undisturbed


class LeNet(nn.Module):
    """LeCun et al. 1998: tanh, average pooling."""

    def __init__(self):
        super().__init__()
        self.c1, self.c3, self.c5 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Conv2d(16, 120, 5)
        self.f6, self.out = nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.avg_pool2d(torch.tanh(self.c1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.c3(x)), 2)
        x = self.c5(x).tanh().flatten(1)
        return self.out(torch.tanh(self.f6(x)))


def alexnet():
    """Krizhevsky et al. 2012, narrow: in-place ReLU, dropout."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Flatten(), nn.Dropout(), nn.Linear(12 * 16, 32), nn.ReLU(inplace=True)),
        *(nn.Dropout(), nn.Linear(32, 32), nn.ReLU(inplace=True), nn.Linear(32, 10)),
    )


def vgg():
    """Simonyan and Zisserman 2015, narrow, with batch normalisation; one ReLU for all layers."""
    relu, layers, channels = nn.ReLU(inplace=True), [], 3
    for width in (8, "M", 12, 12, "M", 16, 16, "M"):
        if width == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), relu]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 16, 24), relu, nn.Linear(24, 10))


class DenseLayer(nn.Module):
    def __init__(self, channels, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 8, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, growth, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, *features):
        x = self.conv1(self.relu(self.norm1(torch.cat(features, 1))))
        return self.conv2(self.relu(self.norm2(x)))


class DenseNet(nn.Module):
    """Huang et al. 2017: concatenated features, one activation module called twice a layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.block = nn.ModuleList(DenseLayer(6 + 4 * i, 4) for i in range(3))
        self.norm, self.head = nn.BatchNorm2d(18), nn.Linear(18, 10)

    def forward(self, x):
        features = [self.stem(x)]
        for layer in self.block:
            features.append(layer(*features))
        x = F.relu(self.norm(torch.cat(features, 1)), inplace=True)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


def double_convolution(inputs, outputs):
    return nn.Sequential(
        *(nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.1, inplace=True)),
        *(nn.Conv2d(outputs, outputs, 3, padding=1), nn.LeakyReLU(0.1, inplace=True)),
    )


class UNet(nn.Module):
    """Ronneberger et al. 2015: skips and transposed convolutions."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = double_convolution(3, 6), double_convolution(6, 12)
        self.up, self.join = nn.ConvTranspose2d(12, 6, 2, 2), double_convolution(12, 6)
        self.out = nn.Conv2d(6, 1, 1)

    def forward(self, x):
        skip = self.down1(x)
        x = self.up(self.down2(F.max_pool2d(skip, 2)))
        return self.out(self.join(torch.cat([skip, x], 1))).sigmoid()


class Tagger(nn.Module):
    """A bidirectional LSTM tagger; its gates run inside one call."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.lstm = nn.LSTM(8, 6, num_layers=2, bidirectional=True, dropout=0.5, batch_first=True)
        self.hidden, self.tags = nn.Linear(12, 9), nn.Linear(9, 5)

    def forward(self, words):
        out, _ = self.lstm(self.embedding(words))
        return F.log_softmax(self.tags(F.elu(self.hidden(out))), dim=-1)


class WrittenGru(nn.Module):
    """A GRU in plain operations: here the gates can be seen."""

    def __init__(self):
        super().__init__()
        self.of_input, self.of_state = nn.Linear(3, 15), nn.Linear(5, 15)

    def forward(self, x):
        state = x.new_zeros(len(x), 5)
        for now in x.unbind(1):
            r, u, n = self.of_input(now).chunk(3, 1)
            hr, hu, hn = self.of_state(state).chunk(3, 1)
            reset, update = torch.sigmoid(r + hr), torch.sigmoid(u + hu)
            state = torch.lerp(torch.tanh(n + reset * hn), state, update)
        return state


class GraphConvolution(nn.Module):
    """Kipf and Welling 2017: a sparse adjacency matrix, a plain weight; clamp as ReLU."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(5, 8)), nn.Parameter(torch.randn(8, 3))

    def forward(self, nodes, adjacency):
        x = torch.sparse.mm(adjacency, nodes @ self.first).clamp(min=0)
        return F.softmax(torch.sparse.mm(adjacency, F.dropout(x) @ self.second), dim=1)


class Recommender(nn.Module):
    """Naumov et al. 2019 (DLRM): embedding bags, dot products of features, two towers."""

    def __init__(self):
        super().__init__()
        self.bags = nn.ModuleList(nn.EmbeddingBag(20, 6, mode="sum") for _ in range(2))
        self.bottom = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())

    def forward(self, dense, sparse):
        x = self.bottom(dense)
        features = torch.stack(
            [x, *(bag(ids) for bag, ids in zip(self.bags, sparse, strict=True))], 1
        )
        products = torch.bmm(features, features.transpose(1, 2))
        row, column = torch.tril_indices(3, 3, -1)
        return self.top(torch.cat([x, products[:, row, column]], 1))


class Positional(nn.Module):
    """Let a Sequential be called with ``x=``, as the other models are."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


def images(*shape):
    return {"x": torch.randn(2, *shape)}


def words():
    return {"words": torch.arange(10).reshape(2, 5)}


def ring():
    return {
        "nodes": torch.randn(6, 5),
        "adjacency": (torch.eye(6).roll(1, 0) + torch.eye(6)).to_sparse(),
    }


def clicks():
    return {"dense": torch.randn(3, 4), "sparse": torch.randint(0, 20, (2, 3, 4))}


CASES = {
    "lenet": (LeNet, partial(images, 1, 32, 32), ()),
    "alexnet": (alexnet, partial(images, 3, 32, 32), ()),
    "vgg": (vgg, partial(images, 3, 32, 32), ()),
    "densenet": (DenseNet, partial(images, 3, 12, 12), ()),
    "unet": (UNet, partial(images, 3, 12, 12), ()),
    "tagger": (Tagger, words, ["lstm.gates"]),
    "gru": (WrittenGru, partial(images, 4, 3), ()),
    "graph": (GraphConvolution, ring, ()),
    "recommender": (Recommender, clicks, ()),
}


def built(case):
    build, batch, unobserved = CASES[case]
    model = build()
    model = Positional(model) if isinstance(model, nn.Sequential) else model
    return model, batch(), unobserved


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES)
def test_sites_are_the_operators_below(case, training):
    model, batch, unobserved = built(case)
    check_sites(model.train(training), batch, unobserved)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_disturbed(case, training):
    model, batch, _ = built(case)
    record = check_undisturbed(model.train(training), batch)
    assert all(site.gradient is not None for site in record.sites)


def test_layers_and_units_of_a_vgg():
    """The one ReLU is told apart by its calls, each with the convolution before it."""
    record = check_sites(*built("vgg"))
    assert [s.site.name for s in record.sites] == [
        f"model.2{end}" for end in ("", "#2", "#3", "#4", "#5", "#6")
    ]
    assert [s.site.units for s in record.sites] == [8, 12, 12, 16, 16, 24]
    layers = [s.layer.name for s in record.sites]
    assert layers == [f"model.{i}" for i in (0, 4, 7, 11, 14, 19)]
    assert record.sites[0].layer.normalised_by == "model.1"
