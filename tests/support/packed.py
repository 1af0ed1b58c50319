"""Networks whose saved activations are packed, and their gradients."""

import torch
from torch import nn
from torch.nn import functional as F

import relucid


class Squared(nn.Module):
    def forward(self, x):
        return F.relu(x).square()


def dense():
    return nn.Sequential(
        nn.Linear(24, 96), nn.ReLU(), nn.Dropout(0.5), nn.Linear(96, 96), Squared(),
        nn.Linear(96, 24), nn.LayerNorm(24), nn.Linear(24, 3),
    )  # fmt: skip


def convolutional():
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8),
        nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2), nn.Flatten(), nn.Linear(200, 5),
    )  # fmt: skip


def own_modules():
    return nn.Sequential(
        nn.Linear(24, 96), relucid.nn.ReLU(), nn.Linear(96, 96), relucid.nn.ReLU(inplace=True),
        nn.Linear(96, 96), relucid.nn.GELU(), nn.Linear(96, 3),
    )  # fmt: skip


class Masked(nn.Module):
    """Attention written out: masked_fill, softmax, dropout, transposed and expanded tensors."""

    def __init__(self):
        super().__init__()
        self.into = nn.Linear(24, 72)

    def forward(self, x):
        q, k, v = self.into(x.view(4, 8, 24)).chunk(3, -1)
        scores = q @ k.transpose(1, 2) * x.new_full((1,), 0.2).expand(8, 8)
        hidden = torch.ones(8, 8, dtype=torch.bool).triu(1)
        weights = F.dropout(scores.masked_fill(hidden, -torch.inf).softmax(-1), 0.3)
        return torch.where(v > 0, weights @ v, v * 2)


class Smooth(nn.Module):
    """Each of the functions whose output can be computed anew, and two that share an input."""

    def __init__(self):
        super().__init__()
        self.ahead = nn.Sequential(
            nn.Linear(24, 96), nn.GELU(), nn.Linear(96, 96), nn.LayerNorm(96, eps=1e-6),
            nn.Linear(96, 96), nn.Softplus(), nn.Linear(96, 96), nn.LayerNorm(96, bias=False),
        )  # fmt: skip
        self.one, self.other, self.last = nn.Linear(96, 96), nn.Linear(96, 96), nn.Linear(96, 5)

    def forward(self, x):
        x = self.ahead(x)
        gate = self.one(x)
        x = x + self.other(F.silu(gate) * x + F.mish(gate) * x)
        return self.last(F.gelu(x, approximate="tanh"))


NETWORKS = {
    "dense": (dense, (32, 24)),
    "convolutional": (convolutional, (6, 2, 14, 14)),
    "own modules": (own_modules, (32, 24)),
    "attention": (Masked, (32, 24)),
    "smooth": (Smooth, (32, 24)),
}


def gradients(model, x, around, backward=torch.Tensor.backward):
    model.zero_grad()
    x = x.clone().requires_grad_()
    torch.manual_seed(5)
    with around:
        y = model(x)
        loss = (y * torch.linspace(-1, 1, y.numel()).view(y.shape).to(y.dtype)).sum()
    backward(loss)
    return [loss.detach(), x.grad, *(p.grad for p in model.parameters())]


def equal(some, others):
    return all(
        a.dtype == b.dtype and a.stride() == b.stride() and torch.equal(a, b)
        for a, b in zip(some, others, strict=True)
    )


def built(name, dtype=torch.float32):
    build, shape = NETWORKS[name]
    torch.manual_seed(0)
    return build().to(dtype), torch.randn(shape).to(dtype)


class Saves(torch.autograd.Function):
    """Saves tensors as they are, and hands out what came back."""

    @staticmethod
    def forward(ctx, x, tensors, out):
        ctx.save_for_backward(*tensors)
        ctx.out = out
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        ctx.out.extend(ctx.saved_tensors)
        return grad, None, None


def round_trip(make):
    """What comes back of the tensors that ``make`` makes and lets go, and the record."""
    out, packed = [], relucid.pack()
    with packed:
        y = Saves.apply(torch.ones(1, requires_grad=True), make(), out)
    y.backward()
    return out, packed.record()


def bits(x):
    return x.contiguous().view(torch.uint8) if x.dtype is not torch.bool else x
