"""The zoo that shrink is tested on: real architectures, small, with planted units.

Every case says which units can be proved to be constant or always on, from the way in which they
were planted, not from what relucid finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from support import shrink_networks as networks
from support.planting import FULL, Planted, empty, plant, plant_after_norm, scramble

WORDS, LENGTH, WIDTH = 50, 6, 16
Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A model with planted units, in evaluation mode."""

    name: str
    model: nn.Module
    planted: tuple[Planted, ...]
    shape: tuple[int, ...] | None = None
    """Of one sample; None where the inputs are ids of words."""
    domain: tuple[float, float] | None = None
    two_sided: bool = False
    """Whether it has a decoder with ids of its own."""

    def inputs(self, count: int, seed: int = 0) -> Any:
        """Return random inputs of the domain, as relucid takes them."""
        return (drawn := self.keywords(count, seed)).get("x", drawn)

    def keywords(self, count: int, seed: int = 0) -> dict[str, Tensor]:
        """Return random inputs by name; those of images are called x."""
        generator = torch.Generator().manual_seed(seed)
        if self.shape is not None:
            low, high = self.domain or (-3.0, 3.0)
            return {"x": low + (high - low) * torch.rand(count, *self.shape, generator=generator)}
        names = ["input_ids", "decoder_input_ids"][: 1 + self.two_sided]
        return {n: torch.randint(1, WORDS, (count, LENGTH), generator=generator) for n in names}

    def corners(self, count: int, seed: int = 0) -> dict[str, Tensor]:
        """Return corners of the domain; of words, embeddings of any size in place of ids."""
        generator = torch.Generator().manual_seed(seed)
        if self.shape is not None:
            low, high = self.domain or (-3.0, 3.0)
            chosen = torch.randint(0, 2, (count, *self.shape), generator=generator)
            return {"x": torch.where(chosen.bool(), high, low)}
        names = ["inputs_embeds", "decoder_inputs_embeds"][: 1 + self.two_sided]
        size = 10.0 ** torch.randint(-2, 4, (count, 1, 1), generator=generator)
        return {n: size * torch.randn(count, LENGTH, WIDTH, generator=generator) for n in names}

    def clamped(self, x: Tensor) -> Tensor:
        """Bring inputs back into the domain."""
        return x if self.domain is None else x.clamp(*self.domain)


def cast(inputs: Inputs, dtype: torch.dtype) -> dict[str, Tensor]:
    """Give numbers this dtype, and leave ids."""
    return {name: x.to(dtype) if x.is_floating_point() else x for name, x in inputs.items()}


def run(model: nn.Module, inputs: Inputs) -> Tensor:
    """Return the (first) output of a model."""
    given = model(inputs["x"]) if "x" in inputs else model(**inputs)
    return given if isinstance(given, Tensor) else given[0]


def mlp() -> Case:
    model, ones = scramble(networks.mlp()), torch.ones(16)
    first = plant(model, ones, "0", constant=(1, 4, 5, 30), on=(0, 8, 9, 31))
    second = plant(model, ones, "2", constant=(3, 7), on=(10, 11, 12, 13))
    full = plant(model, ones, "2", constant=(0, 20), bias=FULL)
    planted = (first, replace(second, constant=second.constant + full.constant))
    return Case("MLP", model, planted, (16,), (-1.0, 1.0))


def lenet() -> Case:
    model, ones = scramble(networks.LeNet()), torch.ones(1, 28, 28)
    return Case("LeNet", model, (
        plant(model, ones, "conv1", constant=(2,)),
        plant(model, ones, "conv2", constant=(0, 9, 15)),
        plant(model, ones, "fc1", constant=(1, 2, 40), on=(5, 6, 7, 8)),
        plant(model, ones, "fc2", constant=(3, 31), on=(0, 10, 20, 30)),
    ), (1, 28, 28), (0.0, 1.0))  # fmt: skip


def vgg() -> Case:
    model, ones = scramble(networks.vgg()), torch.ones(3, 8, 8)
    return Case("VGG-like", model, (
        plant(model, ones, "0", constant=(1, 5), on=(2, 3, 8, 9), norm="1"),
        plant(model, ones, "3", constant=(0, 7), norm="4"),
        plant(model, ones, "7", constant=(4, 15), on=(0, 1, 2, 3), norm="8"),
        plant(model, ones, "10", constant=(6,), norm="11"),
        plant(model, ones, "15", constant=(0, 1, 2), on=(20, 21, 22, 23)),
    ), (3, 8, 8), (0.0, 1.0))  # fmt: skip


def resnet() -> Case:
    model, ones = scramble(networks.ResNet()), torch.ones(3, 6, 6)
    inner = [
        plant(model, ones, f"blocks.{i}.conv1", (1, 3), (4, 5, 6, 7), f"blocks.{i}.bn1")
        for i in range(3)
    ]
    # A channel of the sum goes where all summands are constant before the next layer reads it.
    stem = plant(model, ones, "conv1", constant=(9,), norm="bn1")
    added = plant(model, ones, "blocks.0.conv2", constant=(9,), norm="blocks.0.bn2")
    return Case("ResNet-like", model, (stem, *inner, added), (3, 6, 6), (0.0, 1.0))


def densenet() -> Case:
    model, ones = scramble(networks.densenet()), torch.ones(3, 6, 6)
    inner = [
        plant(model, ones, f"{i}.conv1", (0, 11), (2, 3, 4, 5), f"{i}.norm2") for i in (1, 2, 7, 8)
    ]
    # Channel 2 of the first layer is channel 10 of all that read it, and dead in each.
    plant(model, ones, "2.conv1", constant=(10,), norm="2.norm1")
    plant(model, ones, "3", constant=(10,))
    return Case("DenseNet-like", model, (Planted("1.conv2", (2,)), *inner), (3, 6, 6), (0.0, 1.0))


def unet() -> Case:
    model, ones = scramble(networks.UNet()), torch.ones(3, 8, 8)
    names = ("down1", "down2", "middle", "side2", "side1")
    return Case("U-Net", model, tuple(
        plant(model, ones, f"{name}.{i}", (1, 6), (0, 2, 3, 4) if i == 0 else ())
        for name in names for i in (0, 2)
    ), (3, 8, 8), (0.0, 1.0))  # fmt: skip


def mobilenet() -> Case:
    model, ones = scramble(networks.mobilenet()), torch.ones(3, 8, 8)
    planted = []
    for i in (3, 4, 5):
        wide = plant(model, ones, f"{i}.expand", constant=(0, 5), norm=f"{i}.norm1")
        dead = plant(model, ones, f"{i}.depth", constant=(7,), norm=f"{i}.norm2")
        full = plant(model, ones, f"{i}.depth", constant=(11,), norm=f"{i}.norm2", bias=FULL)
        together = wide.constant + dead.constant + full.constant  # a filter for each channel
        planted += [Planted(wide.path, together), Planted(dead.path, together)]
    last = plant(model, ones, "6", constant=(1, 30), on=(2, 3, 4, 5), norm="7")
    return Case("MobileNet-like", model, (*planted, last), (3, 8, 8), (0.0, 1.0))


SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
SPECIAL = {
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "vocab_size": WORDS,
    "use_cache": False,
}


def opt() -> Case:
    t = _transformers()
    config = t.OPTConfig(**SIZES, **SPECIAL, ffn_dim=24, word_embed_proj_dim=WIDTH)
    model = scramble(t.OPTForCausalLM(config))
    layers = [f"model.decoder.layers.{i}" for i in range(2)]
    return Case("OPT", model, tuple(
        plant_after_norm(model, f"{one}.fc1", f"{one}.final_layer_norm", (0, 9), (2, 3, 4, 5))
        for one in layers
    ))  # fmt: skip


def bert() -> Case:
    t = _transformers()
    # With BERT's own 1e-12 the rounding of a norm has no useful bound in float32; RoBERTa has this.
    options = {"intermediate_size": 24, "hidden_act": "relu", "layer_norm_eps": 1e-5}
    model = scramble(t.BertModel(t.BertConfig(**SIZES, vocab_size=WORDS, **options)))
    layers = [f"encoder.layer.{i}" for i in range(2)]
    return Case("BERT with ReLU", model, tuple(
        plant_after_norm(model, f"{one}.intermediate.dense", f"{one}.attention.output.LayerNorm",
                         (1, 23), (6, 7, 8, 9))
        for one in layers
    ))  # fmt: skip


def t5(gated: bool) -> Case:
    t = _transformers()
    sizes = {"d_model": WIDTH, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    kind = {"feed_forward_proj": "gated-relu" if gated else "relu"}
    special = {"vocab_size": WORDS, "use_cache": False, "decoder_start_token_id": 0}
    config = t.T5Config(**sizes, **kind, **special)
    model = scramble(t.T5ForConditionalGeneration(config))
    planted = []
    for side, place in (("encoder", 1), ("decoder", 2)):
        for i in range(2):
            feed = f"{side}.block.{i}.layer.{place}.DenseReluDense"
            if gated:  # without a bias only a unit of no weights is provably dead
                empty(model, f"{feed}.wi_0", (0, 3))
                empty(model, f"{feed}.wi_1", (8,))
                planted += [Planted(f"{feed}.{name}", (0, 3, 8)) for name in ("wi_0", "wi_1")]
            else:
                planted.append(empty(model, f"{feed}.wi", (0, 3, 20)))
    return Case("T5, gated" if gated else "T5", model, tuple(planted), two_sided=True)


def gated() -> Case:
    t = _transformers()
    sizes = {"intermediate_size": 24, "hidden_act": "relu", "mlp_bias": True}
    model = scramble(t.LlamaForCausalLM(t.LlamaConfig(**SIZES, **SPECIAL, **sizes)))
    planted = []
    for i in range(2):
        layer = f"model.layers.{i}"
        gate = plant_after_norm(
            model, f"{layer}.mlp.gate_proj", f"{layer}.post_attention_layernorm", (1, 5, 17)
        )
        planted += [gate, Planted(f"{layer}.mlp.up_proj", gate.constant)]
    return Case("Gated MLP (Llama with ReLU)", model, tuple(planted))


def _transformers() -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers


ZOO: dict[str, Callable[[], Case]] = {
    "mlp": mlp, "lenet": lenet, "vgg": vgg, "resnet": resnet, "densenet": densenet, "unet": unet,
    "mobilenet": mobilenet, "opt": opt, "bert": bert, "t5": lambda: t5(False),
    "t5-gated": lambda: t5(True), "gated": gated,
}  # fmt: skip


def case(name: str, dtype: torch.dtype = torch.float32) -> Case:
    """Build a case, always the same; planted in float64, so that sums of rows are exact."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        planted = ZOO[name]()
    return replace(planted, model=planted.model.to(dtype))
