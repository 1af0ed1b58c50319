"""Models of the transformers library, built from small configurations without weights."""

import pytest
import torch

from relucid.probes import observe, watch
from support.watching import check_sites, check_undisturbed

t = pytest.importorskip("transformers")
# The library warns of special tokens beyond a small vocabulary, and of fast kernels that it lacks.
t.logging.set_verbosity_error()

ENCODER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LAYERS = {**ENCODER, "intermediate_size": 24}
TEXT = {**LAYERS, "vocab_size": 50}
VISION = {**LAYERS, "image_size": 32, "patch_size": 16}
TWO_SIDED = {
    **{"encoder_layers": 1, "decoder_layers": 2, "d_model": 16},
    **{"encoder_attention_heads": 2, "decoder_attention_heads": 2},
    **{"encoder_ffn_dim": 24, "decoder_ffn_dim": 24},
}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WAVES = {
    **TEXT,
    **{"conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3)},
    **{"num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4},
    **{"num_conv_pos_embedding_groups": 2, "mask_time_length": 2},
}


def ids():
    return torch.arange(12).reshape(2, 6)


def text():
    return {"input_ids": ids()}


def pair():
    return {"input_ids": ids(), "decoder_input_ids": ids() + 1}


def image():
    return {"pixel_values": torch.randn(2, 3, 32, 32)}


def image_and_text():
    return text() | image()


def sound():
    return {"input_features": torch.randn(2, 8, 20), "decoder_input_ids": ids()}


def wave():
    return {"input_values": torch.randn(2, 400)}


def opt(**options):
    sizes = {"ffn_dim": 24, "vocab_size": 50, "word_embed_proj_dim": 16}
    return t.OPTForCausalLM(t.OPTConfig(**ENCODER, **sizes, **options))


def t5(**options):
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    return t.T5ForConditionalGeneration(t.T5Config(**sizes, vocab_size=50, **options))


def bert(**options):
    return t.BertModel(t.BertConfig(**TEXT, **options))


def gpt2(**options):
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50}
    return t.GPT2LMHeadModel(t.GPT2Config(**sizes, **options))


def bloom(**options):
    sizes = {"hidden_size": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50}
    return t.BloomModel(t.BloomConfig(**sizes, **options))


def llama(**options):
    return t.LlamaForCausalLM(t.LlamaConfig(**TEXT, **options))


def gemma(**options):
    config = t.Gemma2Config(**TEXT, num_key_value_heads=1, head_dim=8, **options)
    return t.Gemma2ForCausalLM(config)


def mixtral(**options):
    config = t.MixtralConfig(**TEXT, num_key_value_heads=1, num_local_experts=3, **options)
    return t.MixtralForCausalLM(config)


def nemotron(**options):
    config = t.NemotronConfig(**TEXT, num_key_value_heads=1, **options)
    return t.NemotronForCausalLM(config)


def mamba():
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 50}
    return t.MambaForCausalLM(t.MambaConfig(**sizes, state_size=4, time_step_rank=2))


def vit(**options):
    return t.ViTForImageClassification(t.ViTConfig(**VISION, **options))


def swin(**options):
    sizes = {"embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}
    config = t.SwinConfig(image_size=32, patch_size=4, **sizes, **options)
    return t.SwinForImageClassification(config)


def convnext():
    config = t.ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 2, 1])
    return t.ConvNextForImageClassification(config)


STAGES = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2]}


def resnet():
    return t.ResNetForImageClassification(t.ResNetConfig(**STAGES, layer_type="basic"))


def regnet():
    return t.RegNetForImageClassification(t.RegNetConfig(**STAGES, groups_width=4))


def mobilenet():
    config = t.MobileNetV2Config(depth_multiplier=0.25, image_size=32)
    return t.MobileNetV2ForImageClassification(config)


def mobilevit(**options):
    sizes = {"hidden_sizes": [8, 12, 16], "neck_hidden_sizes": [4, 4, 8, 8, 12, 16, 24]}
    config = t.MobileViTConfig(image_size=32, num_attention_heads=2, **sizes, **options)
    return t.MobileViTModel(config)


def whisper(**options):
    sizes = {"num_mel_bins": 8, "max_source_positions": 10, "max_target_positions": 10}
    config = t.WhisperConfig(
        **TWO_SIDED, **sizes, **TOKENS, vocab_size=50, decoder_start_token_id=1, **options
    )
    return t.WhisperModel(config)


def clip(**options):
    parts = {"text_config": {**TEXT, "max_position_embeddings": 16}, "vision_config": VISION}
    return t.CLIPModel(t.CLIPConfig(**parts, projection_dim=16, **options))


def siglip(**options):
    parts = {"text_config": {**TEXT, "max_position_embeddings": 16}, "vision_config": VISION}
    return t.SiglipModel(t.SiglipConfig(**parts, **options))


def wav2vec2(**options):
    return t.Wav2Vec2Model(t.Wav2Vec2Config(**WAVES, **options))


def encodec():
    sizes = {"num_filters": 4, "upsampling_ratios": [2, 2], "hidden_size": 8, "num_lstm_layers": 1}
    return t.EncodecModel(t.EncodecConfig(**sizes, codebook_size=8, codebook_dim=8))


def segformer(**options):
    sizes = {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16}
    config = t.SegformerConfig(**sizes, num_attention_heads=[1, 2, 2, 2], **options)
    return t.SegformerForSemanticSegmentation(config)


def detr(**options):
    backbone = t.ResNetConfig(**STAGES, layer_type="basic", out_features=["stage2"])
    config = t.DetrConfig(
        **TWO_SIDED, backbone_config=backbone, use_timm_backbone=False, num_queries=5, **options
    )
    return t.DetrForObjectDetection(config)


def attention(where, count=2):
    return tuple(f"{where.format(i)}.softmax" for i in range(count))


CASES = {
    "opt": (opt, text, {"relu"}, attention("model.decoder.layers.{}.self_attn")),
    "t5": (
        t5,
        pair,
        {"relu"},
        attention("encoder.block.{}.layer.0.SelfAttention")
        + attention("decoder.block.{}.layer.0.SelfAttention")
        + attention("decoder.block.{}.layer.1.EncDecAttention"),
    ),
    "bert": (bert, text, {"gelu", "tanh"}, attention("encoder.layer.{}.attention.self")),
    "gpt2": (gpt2, text, {"gelu_tanh"}, attention("transformer.h.{}.attn")),
    "llama": (llama, text, {"silu"}, attention("model.layers.{}.self_attn")),
    "mixtral": (mixtral, text, {"silu", "softmax"}, attention("model.layers.{}.self_attn")),
    "nemotron": (nemotron, text, {"squared_relu"}, attention("model.layers.{}.self_attn")),
    "gemma": (gemma, text, {"gelu_tanh", "softmax", "tanh"}, ()),
    "bloom": (bloom, text, {"gelu_tanh", "softmax"}, ()),
    "mamba": (mamba, text, {"silu", "softplus"}, ()),
    "vit": (vit, image, {"gelu"}, attention("vit.layers.{}.attention")),
    "swin": (
        swin,
        image,
        {"gelu"},
        attention("swin.encoder.layers.0.blocks.{}.attention")
        + attention("swin.encoder.layers.1.blocks.{}.attention"),
    ),
    "convnext": (convnext, image, {"gelu"}, ()),
    "resnet": (resnet, image, {"relu"}, ()),
    "regnet": (regnet, image, {"relu", "sigmoid"}, ()),
    "mobilenet": (mobilenet, image, {"relu6"}, ()),
    "mobilevit": (mobilevit, image, {"silu", "softmax"}, ()),
    "whisper": (
        whisper,
        sound,
        {"gelu"},
        attention("encoder.layers.{}.self_attn", 1)
        + attention("decoder.layers.{}.self_attn")
        + attention("decoder.layers.{}.encoder_attn"),
    ),
    "clip": (
        clip,
        image_and_text,
        {"quick_gelu"},
        attention("vision_model.encoder.layers.{}.self_attn")
        + attention("text_model.encoder.layers.{}.self_attn"),
    ),
    "siglip": (
        siglip,
        image_and_text,
        {"gelu_tanh"},
        attention("vision_model.encoder.layers.{}.self_attn")
        + attention("text_model.encoder.layers.{}.self_attn")
        + ("vision_model.head.attention.softmax",),
    ),
    "wav2vec2": (wav2vec2, wave, {"gelu"}, attention("encoder.layers.{}.attention")),
    "encodec": (
        encodec,
        lambda: {"input_values": torch.randn(1, 1, 240)},
        {"elu"},
        ("encoder.layers.7.lstm.gates", "decoder.layers.1.lstm.gates"),
    ),
    "segformer": (
        segformer,
        image,
        {"gelu", "relu"},
        attention("segformer.stages.{}.blocks.0.attention", 4),
    ),
    "detr": (
        detr,
        image,
        {"relu", "sigmoid"},
        attention("model.encoder.layers.{}.self_attn", 1)
        + attention("model.decoder.layers.{}.self_attn")
        + attention("model.decoder.layers.{}.encoder_attn"),
    ),
}
"""Builder, batch, the activations that it has, and what fused attention hides."""


@pytest.mark.parametrize("case", CASES)
def test_sites_are_the_operators_below(case):
    build, batch, activations, unobserved = CASES[case]
    record = check_sites(build().eval(), batch(), unobserved)
    assert {s.site.activation for s in record.sites} == activations


@pytest.mark.parametrize("case", ["bert", "gpt2", "opt", "llama", "vit", "t5", "clip"])
def test_eager_attention_hides_nothing(case):
    """The same networks with the softmax of their attention written out."""
    build, batch, activations, unobserved = CASES[case]
    model = build()
    model.set_attn_implementation("eager")
    record = check_sites(model.eval(), batch())
    softmaxes = {s.site.name for s in record.sites if s.site.activation == "softmax"}
    assert softmaxes == set(unobserved)
    assert {s.site.activation for s in record.sites} == activations | {"softmax"}


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_disturbed(case):
    """In training mode: dropout, batch statistics, masks drawn at random."""
    build, batch, *_ = CASES[case]
    check_undisturbed(build().train(), batch())


def test_layers_of_gpt2_are_named_although_they_are_no_linear_modules():
    record = observe(gpt2(), text())
    layers = [s.layer for s in record.sites]
    assert [(x.name, x.kind, x.fan_in) for x in layers] == [
        ("transformer.h.0.mlp.c_fc", "Conv1D", 16),
        ("transformer.h.1.mlp.c_fc", "Conv1D", 16),
    ]


def test_units_are_channels_although_padding_was_cut_off():
    record = observe(wav2vec2(), wave())
    site = next(s.site for s in record.sites if "pos_conv_embed" in s.site.name)
    assert (site.units, site.unit_axis) == (16, 1)


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
    model = gpt2(activation_function=word)
    torch.nn.init.normal_(model.transformer.h[0].mlp.c_fc.weight, std=1.0)
    torch.nn.init.normal_(model.transformer.h[1].mlp.c_fc.weight, std=1.0)
    record = observe(model, text())
    assert [s.site.activation for s in record.sites] == [expected] * 2
    assert [s.site.name for s in record.sites] == [f"transformer.h.{i}.mlp.act" for i in (0, 1)]


def test_loss_of_a_dictionary_batch():
    batch = {"input_ids": ids(), "labels": ids()}
    record = observe(llama(), [batch, batch], lambda out, _: out.loss)
    assert record.loss > 0 and record.samples == 4
    assert all(s.gradient.batches == 2 for s in record.sites)


def test_generation_counts_each_pass():
    model = llama().eval()
    with watch(model) as probe:
        model.generate(ids(), max_new_tokens=3, do_sample=False, pad_token_id=0)
    record = probe.records()
    assert record.batches == 3 and record.sites[0].elements == 2 * (6 + 1 + 1)
