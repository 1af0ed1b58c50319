"""Models of the transformers library, built from small configurations without weights.

The witness is independent: it counts activation operators below PyTorch's Python face.
"""

import pytest
import torch

from relucid.probes import observe, watch
from support.aten_oracle import AtenOracle

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
IDS = torch.arange(12).reshape(2, 6)


def bert(attention, activation="gelu"):
    config = transformers.BertConfig(
        **SMALL, intermediate_size=24, vocab_size=50, hidden_act=activation
    )
    return transformers.AutoModel.from_config(config, attn_implementation=attention)


def gpt2(attention, activation="gelu_new"):
    config = transformers.GPT2Config(
        n_embd=16, n_layer=2, n_head=2, vocab_size=50, activation_function=activation
    )
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def opt(attention):
    config = transformers.OPTConfig(**SMALL, ffn_dim=24, vocab_size=50, word_embed_proj_dim=16)
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def llama(attention):
    config = transformers.LlamaConfig(**SMALL, intermediate_size=24, vocab_size=50)
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def vit(attention):
    config = transformers.ViTConfig(
        **SMALL, intermediate_size=24, image_size=8, patch_size=4, num_labels=3
    )
    return transformers.AutoModelForImageClassification.from_config(
        config, attn_implementation=attention
    )


TEXT, IMAGE = {"input_ids": IDS}, {"pixel_values": torch.randn(2, 3, 8, 8)}
CASES = {
    "bert": (bert, TEXT, "gelu", 24, "encoder.layer.0.intermediate.intermediate_act_fn", 1),
    "gpt2": (gpt2, TEXT, "gelu_tanh", 64, "transformer.h.0.mlp.act", 0),
    "opt": (opt, TEXT, "relu", 24, "model.decoder.layers.0.activation_fn", 0),
    "llama": (llama, TEXT, "silu", 24, "model.layers.0.mlp.act_fn", 0),
    "vit": (vit, IMAGE, "gelu", 24, None, 0),
}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("case", CASES)
def test_sites_agree_with_the_operators_below(case, attention):
    build, batch, activation, units, name, others = CASES[case]
    model = build(attention).eval()
    with torch.no_grad(), AtenOracle() as oracle:
        model(**batch)
    record = observe(model, batch)
    elementwise = [s for s in record.sites if s.site.activation == activation]
    softmaxes = [s for s in record.sites if s.site.activation == "softmax"]
    fused = [u for u in record.unobserved if u.name.endswith(".softmax")]
    assert len(elementwise) == 2 and all(s.site.units == units for s in elementwise)
    assert name is None or name in {s.site.name for s in elementwise}
    assert all(s.site.kind == "module" and s.samples == 2 for s in elementwise)
    assert len(softmaxes if attention == "eager" else fused) == 2
    assert len(record.sites) == 4 + others - 2 * (attention == "sdpa")
    assert len(record.sites) + len(fused) == oracle.activations + oracle.attentions
    assert len(record.unobserved) == len(fused)


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_the_same_to_the_last_bit(case):
    build, batch, *_ = CASES[case]
    model = build("sdpa").eval()

    def run():
        model.zero_grad()
        output = model(**batch)
        value = output[0]
        value.square().sum().backward()
        return value.detach(), [p.grad for p in model.parameters() if p.grad is not None]

    plain, gradients = run()
    with watch(model):
        watched, watched_gradients = run()
    assert torch.equal(plain, watched)
    assert all(map(torch.equal, gradients, watched_gradients))


def test_layers_of_gpt2_are_named_although_they_are_no_linear_modules():
    record = observe(gpt2("sdpa"), TEXT)
    layers = [s.layer for s in record.sites]
    assert [(x.name, x.kind, x.fan_in) for x in layers] == [
        ("transformer.h.0.mlp.c_fc", "Conv1D", 16),
        ("transformer.h.1.mlp.c_fc", "Conv1D", 16),
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("gelu", "gelu"),
        ("gelu_new", "gelu_tanh"),
        ("gelu_fast", "gelu_tanh"),
        ("gelu_python", "gelu"),
        ("gelu_pytorch_tanh", "gelu_tanh"),
        ("gelu_accurate", "gelu_tanh"),
        ("quick_gelu", "quick_gelu"),
        ("silu", "silu"),
        ("mish", "mish"),
        ("relu2", "squared_relu"),
        ("relu6", "relu6"),
        ("leaky_relu", "leaky_relu"),
        ("tanh", "tanh"),
    ],
)
def test_the_librarys_own_activations(word, expected):
    model = gpt2("sdpa", word)
    torch.nn.init.normal_(model.transformer.h[0].mlp.c_fc.weight, std=1.0)
    torch.nn.init.normal_(model.transformer.h[1].mlp.c_fc.weight, std=1.0)
    record = observe(model, TEXT)
    assert [s.site.activation for s in record.sites] == [expected] * 2
    assert [s.site.name for s in record.sites] == [f"transformer.h.{i}.mlp.act" for i in (0, 1)]


def test_loss_of_a_dictionary_batch():
    batch = {"input_ids": IDS, "labels": IDS}
    record = observe(llama("sdpa"), [batch, batch], lambda out, _: out.loss)
    assert record.loss > 0 and record.samples == 4
    assert all(s.gradient.batches == 2 for s in record.sites)


def test_generation_counts_each_pass():
    model = llama("sdpa").eval()
    with watch(model) as probe:
        model.generate(IDS, max_new_tokens=3, do_sample=False, pad_token_id=0)
    record = probe.records()
    assert record.batches == 3 and record.sites[0].elements == 2 * (6 + 1 + 1)
