"""PyTorch's and the transformers library's encoders, against those configured with the new one."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import relucid
from support.watching import seed, state, tensors

t = pytest.importorskip("transformers")
t.logging.set_verbosity_error()

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LAYERS = {**SIZES, "intermediate_size": 24}


def _ids() -> Tensor:
    return torch.arange(12).reshape(2, 6)


def _bert(act: str) -> nn.Module:
    return t.BertModel(t.BertConfig(**LAYERS, vocab_size=50, hidden_act=act))


def _gpt2(act: str) -> nn.Module:
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50}
    return t.GPT2LMHeadModel(t.GPT2Config(**sizes, activation_function=act))


def _llama(act: str) -> nn.Module:
    return t.LlamaForCausalLM(t.LlamaConfig(**LAYERS, vocab_size=50, hidden_act=act))


def _opt(act: str) -> nn.Module:
    sizes = {"ffn_dim": 24, "vocab_size": 50, "word_embed_proj_dim": 16}
    return t.OPTForCausalLM(t.OPTConfig(**SIZES, **sizes, activation_function=act))


def _vit(act: str) -> nn.Module:
    config = t.ViTConfig(**LAYERS, image_size=32, patch_size=16, hidden_act=act)
    return t.ViTForImageClassification(config)


def _t5(act: str) -> nn.Module:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    return t.T5ForConditionalGeneration(t.T5Config(**sizes, vocab_size=50, feed_forward_proj=act))


TEXT = {"input_ids": _ids()}
CASES: dict[str, tuple[Any, str, str, dict[str, Tensor], int]] = {
    "bert": (_bert, "gelu", "gelu", TEXT, 2),
    "gpt2": (_gpt2, "gelu_new", "gelu_tanh", TEXT, 2),
    "llama": (_llama, "silu", "silu", TEXT, 2),
    "opt": (_opt, "relu", "relu", TEXT, 2),
    "vit": (_vit, "gelu", "gelu", {"pixel_values": torch.randn(2, 3, 32, 32)}, 2),
    "t5": (_t5, "relu", "relu", {**TEXT, "decoder_input_ids": _ids() + 1}, 4),
}


@pytest.mark.parametrize("sought", [False, True], ids=["structure", "example"])
@pytest.mark.parametrize("case", CASES)
def test_a_swap_equals_the_configuration(case: str, sought: bool) -> None:
    build, word, old, batch, count = CASES[case]
    seed()
    model = build(word).eval()
    truth = build("mish").eval()
    truth.load_state_dict(model.state_dict())
    before, keys = state(model), list(model.state_dict())
    expected = list(tensors(model(**batch)))
    swapped = relucid.swap(model, old, to=nn.Mish, example=batch if sought else None)
    assert len(swapped.changed) == count and not swapped.refused
    assert list(model.state_dict()) == keys
    for mine, its in zip(tensors(model(**batch)), tensors(truth(**batch)), strict=True):
        assert torch.equal(mine, its)
    swapped.undo()
    assert state(model) == before
    for mine, its in zip(tensors(model(**batch)), expected, strict=True):
        assert torch.equal(mine, its)


def test_everything_lists_the_softmax_that_stays() -> None:
    swapped = relucid.swap(_bert("gelu").eval(), to="relu", example=TEXT)
    assert {c.old for c in swapped.changed} == {"gelu", "tanh"}
    assert [r.path.rpartition(".")[2] for r in swapped.refused] == ["softmax"] * 2


def _encoder(act: Any, nested: bool = True) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(16, 2, 24, 0.0, act, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)


@pytest.mark.parametrize("old", ["relu", F.gelu, nn.ReLU()])
@pytest.mark.parametrize("training", [True, False])
def test_pytorchs_encoder_takes_its_fused_path_no_longer(old: Any, training: bool) -> None:
    """It would go on computing the old function in evaluation mode, in fused code."""
    seed()
    x, padding = torch.randn(2, 5, 16), torch.tensor([[0] * 5, [0, 0, 0, 1, 1]]).bool()
    model = _encoder(old).train(training)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nested tensors, that they are a prototype
        expected, before = model(x, src_key_padding_mask=padding), state(model)
    truth = _encoder(F.silu, nested=False).train(training)
    truth.load_state_dict(model.state_dict())
    swapped = relucid.swap(model, to=nn.SiLU)
    assert [c.path for c in swapped.changed] == ["layers.0.activation", "layers.1.activation"]
    with torch.no_grad():
        found = model(x, src_key_padding_mask=padding)
        wanted = truth(x, src_key_padding_mask=padding)
    assert torch.equal(found[~padding], wanted[~padding])
    swapped.undo()
    assert state(model) == before and model.use_nested_tensor
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        again = model(x, src_key_padding_mask=padding)
    torch.testing.assert_close(again[~padding], expected[~padding])


def test_the_fused_path_computes_what_was_put_in() -> None:
    seed()
    model, x = _encoder("relu").eval(), torch.randn(2, 5, 16)
    relucid.swap(model, "relu", to="gelu")
    assert [layer.activation_relu_or_gelu for layer in model.layers] == [2, 2]
    truth = _encoder("gelu").eval()
    truth.load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(model(x), truth(x))
