"""Bounds on real architectures of the transformers library, built small and without weights.

Every unit of every site has finite bounds, or what stopped them is named. The bounds are checked
against what the models compute on other inputs of the domain.
"""

import numpy as np
import pytest
import torch

from relucid.probes import observe

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
FEED = {**SMALL, "intermediate_size": 24}
KEYS = {**FEED, "num_key_value_heads": 1, "vocab_size": 50}
T = transformers


def text(count):
    return {"input_ids": torch.randint(0, 50, (count, 6))}


def both(count):
    return {**text(count), "decoder_input_ids": torch.randint(0, 50, (count, 6))}


def image(count):
    return {"pixel_values": torch.rand(count, 3, 32, 32)}


def sound(count):
    return {"input_values": torch.rand(count, 400)}


def wav2vec2():
    sizes = {"conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3)}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    return T.Wav2Vec2Config(**FEED, **sizes, **positions, vocab_size=50)


CASES = {
    "opt": (lambda: T.OPTConfig(**SMALL, ffn_dim=24, vocab_size=50, word_embed_proj_dim=16), text),
    "bert": (lambda: T.BertConfig(**FEED, vocab_size=50), text),
    "bert_relu": (lambda: T.BertConfig(**FEED, vocab_size=50, hidden_act="relu"), text),
    "gpt2": (lambda: T.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=50, bos_token_id=0,
                                  eos_token_id=0), text),
    "llama": (lambda: T.LlamaConfig(**KEYS), text),
    "nemotron": (lambda: T.NemotronConfig(**KEYS), text),
    "t5": (lambda: T.T5Config(d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
                              vocab_size=50), both),
    "vit": (lambda: T.ViTConfig(**FEED, image_size=32, patch_size=8), image),
    "swin": (lambda: T.SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[2],
                                  num_heads=[2], window_size=4), image),
    "convnext": (lambda: T.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2),
                 image),
    "resnet": (lambda: T.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1],
                                      layer_type="basic"), image),
    "regnet": (lambda: T.RegNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1],
                                      groups_width=8), image),
    "mobilenet": (lambda: T.MobileNetV2Config(depth_multiplier=0.25, image_size=32), image),
    "segformer": (lambda: T.SegformerConfig(hidden_sizes=[8, 16], depths=[1, 1],
                                            num_encoder_blocks=2, num_attention_heads=[1, 2],
                                            sr_ratios=[2, 1], patch_sizes=[7, 3], strides=[4, 2],
                                            mlp_ratios=[2, 2]), image),
    "wav2vec2": (wav2vec2, sound),
}  # fmt: skip


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("case", CASES)
def test_every_unit_is_bounded(case, attention):
    configuration, inputs = CASES[case]
    try:
        model = T.AutoModel.from_config(configuration(), attn_implementation=attention)
    except ValueError:
        pytest.skip("this architecture has no such attention")
    scaled(model)
    record = observe(model, inputs(2), domain=(0.0, 1.0))
    others = observe(model, inputs(64))
    assert record.sites and record.domain.gaps == ()
    extremes = hooked_extremes(model, inputs(64), others)
    for site in record.sites:
        if site.site.units:
            assert np.isfinite(site.bounds.lower).all() and np.isfinite(site.bounds.upper).all()
    for site in others.sites:
        bounds = {s.site.name: s.bounds for s in record.sites}[site.site.name]
        if site.site.units:
            assert (site.mean >= bounds.lower).all() and (site.mean <= bounds.upper).all()
    for name, (least, most) in extremes.items():
        bounds = {s.site.name: s.bounds for s in record.sites}[name]
        assert (least >= bounds.lower.min()) and (most <= bounds.upper.max())


def scaled(model):
    """Make the weights of an untrained model as large as those of a trained one."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "embed" not in name:
                parameter.mul_(5.0)


def hooked_extremes(model, batch, record):
    """Return least and largest input of the sites that are modules, by hooks of our own."""
    found, handles, modules = {}, [], dict(model.named_modules())
    for site in record.sites:
        if site.site.kind == "module" and site.site.units and "#" not in site.site.name:

            def note(module, args, name=site.site.name):
                low, high = found.get(name, (np.inf, -np.inf))
                z = args[0].detach()
                found[name] = min(low, float(z.min())), max(high, float(z.max()))

            handles.append(modules[site.site.name].register_forward_pre_hook(note))
    with torch.no_grad():
        model.eval()(**batch)
    for handle in handles:
        handle.remove()
    return {name: ends for name, ends in found.items()
            if f"{name}#2" not in {s.site.name for s in record.sites}}  # fmt: skip


def test_dead_units_of_a_transformer_are_proved_without_any_domain():
    """After a LayerNorm the bound holds for every input: token ids need no range."""
    config = T.OPTConfig(**SMALL, ffn_dim=24, vocab_size=50, word_embed_proj_dim=16)
    model = T.AutoModel.from_config(config)
    layers = [m for n, m in model.named_modules() if n.endswith("fc1")]
    with torch.no_grad():
        for number, layer in enumerate(layers):
            layer.bias[number + 3], layer.bias[10] = -5.0, 5.0
    record = observe(model, text(2), domain={})
    for number, site in enumerate(s for s in record.sites if s.site.activation == "relu"):
        assert np.flatnonzero(site.bounds.dead).tolist() == [number + 3]
        assert np.flatnonzero(site.bounds.on).tolist() == [10]


def test_a_mixture_of_experts_says_what_stops_the_proof():
    config = T.MixtralConfig(**{**KEYS, "num_local_experts": 4})
    record = observe(T.AutoModel.from_config(config), text(2), domain={})
    assert record.domain.gaps
    bounded = [s for s in record.sites if s.site.units]
    unknown = [s for s in bounded if s.bounds is None or np.isinf(s.bounds.upper).any()]
    assert unknown and sum(g.units for g in record.domain.gaps) >= len(unknown)
