"""A character model on tiny-shakespeare, with squared ReLU, trained for the other benchmarks.

``python benchmarks/characters.py [--steps 2000] [--text FILE] [--folder FOLDER]`` trains a plain
transformer (4 layers of width 384, hidden width 3,072: 9.4 million parameters in MLPs, 2.4 in
attention) in bfloat16 autocast, and keeps its weights in a folder of the user's cache. Started
again it goes on where it stopped; with more ``--steps`` than before, too. While it trains it
prints the losses (nats a character) and the share of zeros that each layer's activation makes on
held-out text: nothing but training makes them. 2,000 steps are 2 million characters and a quarter
of an hour of one core of an AMD EPYC; the loss is 1.50 then, 1.65 on held-out text.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs
import torch
from rich.console import Console
from rich.progress import Progress
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

TEXT = Path(__file__).parents[2] / "shared" / "data" / "tiny-shakespeare" / "input.txt"
FOLDER = Path(platformdirs.user_cache_dir("relucid")) / "benchmarks"
BATCH, HELD_OUT = 8, 0.1
RATE, WARM, FALL = 1.5e-3, 100, 0.25
"""The learning rate rises over 100 steps and falls to 0 over the last quarter."""
TOLD, KEPT = 100, 60.0
"""Losses are printed every 100 steps; the state is kept every 60 seconds."""
PLACES = 65_536
"""The longest text, in characters, that a model can go on with."""


@dataclass(frozen=True)
class Sizes:
    """The shape of the network. All weights are float32."""

    vocabulary: int
    context: int = 128
    """Characters that attention sees, the last ones."""
    layers: int = 4
    width: int = 384
    hidden: int = 3072
    heads: int = 6


class Past:
    """The keys and values of the last characters, in memory that is allocated once.

    It is a ring: keys know their place by rotation, so their order does not matter.
    """

    def __init__(self, sizes: Sizes) -> None:
        head = sizes.width // sizes.heads
        shape = (sizes.layers, 1, sizes.heads, sizes.context, head)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.context, self.length = sizes.context, 0

    def extended(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of new characters; return those of all that are kept."""
        begin = self.length % self.context
        end = begin + key.shape[2]
        keys, values = self.keys[layer], self.values[layer]
        keys[:, :, begin:end] = key
        values[:, :, begin:end] = value
        kept = min(self.length + key.shape[2], self.context)
        return keys[:, :, :kept], values[:, :, :kept]


def turns(places: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of rotary embedding (Su et al. 2021, arXiv:2104.09864)."""
    frequencies = 1e4 ** -torch.linspace(0.0, 1.0, width // 2, dtype=torch.float64)
    angles = torch.outer(torch.arange(places, dtype=torch.float64), frequencies)
    cosines, sines = angles.cos().float(), angles.sin().float()
    return torch.cat([cosines, cosines], 1), torch.cat([-sines, sines], 1)


class Attention(nn.Module):
    """Causal self-attention with rotary embedding."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.mixed = nn.Linear(sizes.width, 3 * sizes.width, bias=False)
        self.out = nn.Linear(sizes.width, sizes.width, bias=False)

    def forward(
        self, x: Tensor, turned: tuple[Tensor, Tensor], layer: int, past: Past | None
    ) -> Tensor:
        """Attend to the characters up to each one, those of the past too."""
        batch, length, width = x.shape
        mixed = self.mixed(x).view(batch, length, 3, self.heads, width // self.heads)
        both, value = mixed.permute(2, 0, 3, 1, 4).split([2, 1])
        other = both.roll(both.shape[-1] // 2, -1)
        query, key = torch.addcmul(both * turned[0], other, turned[1]).to(value.dtype).unbind()
        value = value[0]
        if past is not None:
            key, value = past.extended(layer, key, value)
        causal = length > 1
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        found: Tensor = self.out(seen.transpose(1, 2).reshape(batch, length, width))
        return found


class Feedforward(nn.Module):
    """``down(relu(up(x))**2)``, as in Primer (So et al. 2021, arXiv:2109.08668)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.up = nn.Linear(sizes.width, sizes.hidden)
        self.down = nn.Linear(sizes.hidden, sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        """Of shape (..., width), as x."""
        found: Tensor = self.down(functional.relu(self.up(x)).square())
        return found


class Block(nn.Module):
    """One layer, normalised before each half."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(sizes.width)
        self.attention = Attention(sizes)
        self.before_feedforward = nn.LayerNorm(sizes.width)
        self.feedforward = Feedforward(sizes)

    def forward(
        self, x: Tensor, turned: tuple[Tensor, Tensor], layer: int, past: Past | None
    ) -> Tensor:
        """Add both halves to the stream."""
        x = x + self.attention(self.before_attention(x), turned, layer, past)
        return x + self.feedforward(self.before_feedforward(x))


class Characters(nn.Module):
    """Tells the next character."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embed = nn.Embedding(sizes.vocabulary, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.normalise = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, sizes.vocabulary, bias=False)
        cosines, sines = turns(PLACES, sizes.width // sizes.heads)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
        for block in self.blocks:  # each layer begins as the identity
            for layer in (block.attention.out, block.feedforward.down):
                nn.init.zeros_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, numbers: Tensor, past: Past | None = None) -> Tensor:
        """Logits of what follows each character.

        Args:
            numbers: int64 of shape (batch, length); with a past that is not empty, of length 1.
            past: what was seen before, to which these characters are added.

        Returns:
            float32 of shape (batch, length, vocabulary).

        """
        begin = 0 if past is None else past.length
        end = begin + numbers.shape[1]
        x, turned = self.embed(numbers), (self.cosines[begin:end], self.sines[begin:end])
        for layer, block in enumerate(self.blocks):
            x = block(x, turned, layer, past)
        if past is not None:
            past.length = end
        found: Tensor = self.head(self.normalise(x))
        return found


@dataclass(frozen=True)
class Corpus:
    """A text as numbers of its characters."""

    alphabet: str
    training: Tensor
    held_out: Tensor

    @classmethod
    def read(cls, path: Path) -> Corpus:
        """Read a text; its last tenth is held out."""
        if not path.exists():
            raise SystemExit(f"{path} is missing: pass --text with any plain text of a megabyte")
        text = path.read_text(encoding="utf-8")
        alphabet = "".join(sorted(set(text)))
        numbers = torch.tensor([alphabet.index(character) for character in text])
        held_out = int(len(numbers) * HELD_OUT)
        return cls(alphabet, numbers[:-held_out], numbers[-held_out:])

    def numbers(self, text: str) -> Tensor:
        """Return text as int64 of shape (1, length)."""
        return torch.tensor([[self.alphabet.index(character) for character in text]])

    def text(self, numbers: Tensor) -> str:
        """Return the characters with these numbers."""
        return "".join(self.alphabet[number] for number in numbers.flatten().tolist())


def windows(text: Tensor, starts: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Pieces of a text, and what follows each character; both (starts, length)."""
    pieces = text[starts[:, None] + torch.arange(length + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def loss_of(model: nn.Module, pieces: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of the next character, in nats."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(pieces[0])
    return functional.cross_entropy(logits.float().flatten(0, 1), pieces[1].flatten())


@torch.no_grad()
def judged(model: Characters, corpus: Corpus, pieces: int = 16) -> tuple[float, list[float]]:
    """Held-out loss, and by layer the share of zeros of the activation."""
    length = model.sizes.context
    starts = torch.linspace(0, len(corpus.held_out) - length - 1, pieces).long()
    zeros: list[float] = []

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        zeros.append((inputs[0] == 0).float().mean().item())

    handles = [block.feedforward.down.register_forward_hook(count) for block in model.blocks]
    loss = loss_of(model, windows(corpus.held_out, starts, length)).item()
    for handle in handles:
        handle.remove()
    return loss, zeros


def rate(step: int, steps: int) -> float:
    """The learning rate of a step."""
    return RATE * min(1.0, (step + 1) / WARM, (steps - step) / (FALL * steps))


class Training:
    """A model on its way, and where it is kept."""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        torch.manual_seed(0)
        self.corpus, self.folder, self.step = corpus, folder, 0
        self.model = Characters(Sizes(len(corpus.alphabet)))
        matrices = [p for p in self.model.parameters() if p.ndim == 2]
        others = [p for p in self.model.parameters() if p.ndim != 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others}]
        self.optimizer = torch.optim.AdamW(groups, RATE, (0.9, 0.95), weight_decay=0.0, fused=True)
        if (folder / "state.pt").exists():
            state = torch.load(folder / "state.pt", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]

    def advance(self, steps: int) -> float:
        """Take the next of so many steps; return its loss."""
        draw = torch.Generator().manual_seed(self.step)
        length, text = self.model.sizes.context, self.corpus.training
        starts = torch.randint(len(text) - length, (BATCH,), generator=draw)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, steps)
        self.optimizer.zero_grad()
        loss = loss_of(self.model, windows(text, starts, length))
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def keep(self) -> None:
        """Write weights and state; an interruption leaves the old ones or the new."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "state.partial"
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save({**state, "step": self.step}, partial)
        partial.replace(self.folder / "state.pt")
        sizes = {name: str(size) for name, size in asdict(self.model.sizes).items()}
        partial = self.folder / "model.partial"
        save_file(self.model.state_dict(), partial, {**sizes, "step": str(self.step)})
        partial.replace(self.folder / "model.safetensors")


def train(corpus: Corpus, folder: Path, steps: int) -> Characters:
    """Train up to a step, and return the model in evaluation mode."""
    training, console = Training(corpus, folder), Console(stderr=True)
    kept, mean = time.monotonic(), 0.0
    with Progress(console=console) as progress:
        task = progress.add_task("Training", total=steps, completed=training.step)
        while training.step < steps:
            loss = training.advance(steps)
            mean = loss if mean == 0.0 else 0.95 * mean + 0.05 * loss
            progress.update(task, completed=training.step)
            if training.step % TOLD == 0 or training.step == steps:
                held_out, zeros = judged(training.model, corpus)
                shares = " ".join(f"{share:.3f}" for share in zeros)
                console.print(
                    f"step {training.step}: loss {mean:.3f}, held out {held_out:.3f}; "
                    f"zeros by layer {shares}"
                )
            if time.monotonic() - kept > KEPT or training.step == steps:
                training.keep()
                kept = time.monotonic()
    return training.model.eval()


def trained(corpus: Corpus, folder: Path = FOLDER) -> Characters:
    """Return the model that was trained last."""
    file = folder / "model.safetensors"
    if not file.exists():
        raise SystemExit(f"{file} is missing: run python benchmarks/characters.py first")
    model = Characters(Sizes(len(corpus.alphabet)))
    model.load_state_dict(load_file(file))
    return model.eval().requires_grad_(False)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--text", type=Path, default=TEXT)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train(Corpus.read(given.text), given.folder, given.steps)


if __name__ == "__main__":
    main()
