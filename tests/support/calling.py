"""Small networks that call their activations in the ways that real code does."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.act, self.last = nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3)

    def forward(self, x):
        return self.last(self.act(self.first(x)))


class ConvNet(nn.Module):
    """In-place ReLU after batch normalisation, pooling, a functional call."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm, self.relu = nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.ReLU(True)
        self.conv2, self.fc = nn.Conv2d(5, 7, 3), nn.Linear(7 * 9, 4)

    def forward(self, x):
        x = F.max_pool2d(self.relu(self.norm(self.conv1(x))), 2)
        x = F.relu(self.conv2(x), inplace=True)
        return self.fc(torch.flatten(x, 1))


class Residual(nn.Module):
    """One shared ``self.relu``, as in ResNet."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return self.relu(out)


class Functional(nn.Module):
    """No activation module at all: functions, methods, in place, clamps and maxima."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 5) / 2)

    def forward(self, x):
        step = x @ self.weight
        a = torch.relu(step) + step.sigmoid() + F.gelu(step) + F.elu(step, 0.5)
        b = step.clamp(min=0) + torch.clip(step, min=0) + torch.clamp_min(step, 0)
        c = torch.maximum(step, torch.zeros(())) + torch.where(step > 0, step, 0.0)
        d = (step * 1).relu_() + F.leaky_relu(step * 1, 0.2, True) + torch.tanh(step)
        return a + b + c + d + step.clamp(0, 6) + step.clamp(min=1e-6) + step.clamp(-1, 1)


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.reentrant = reentrant

    def block(self, x):
        return torch.tanh(self.inner(x))

    def forward(self, x):
        x = F.relu(self.first(x))
        return self.last(checkpoint(self.block, x, use_reentrant=self.reentrant))


class Failing(nn.Module):
    """Breaks inside a submodule when it is told to."""

    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.error = nn.Linear(3, 3), None

        def forward(self, x):
            x = F.relu(self.linear(x))
            if self.error is not None:
                raise self.error
            return x

    def __init__(self):
        super().__init__()
        self.inner = Failing.Inner()

    def forward(self, x):
        return torch.sigmoid(self.inner(x))
