"""Whole models accelerated: the same outputs, refusals with reasons, and nothing left by undo."""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

import relucid
from relucid.errors import ModelError
from relucid.records import acceleration_from_json
from relucid.sparse import MLP, Accelerated, CertifiedLinear, PartnerLinear, SkippingLinear
from relucid.sparse.layer import StaleWarning
from support.sparse_models import outputs, sequence

t = pytest.importorskip("transformers")
t.logging.set_verbosity_error()

pytestmark = pytest.mark.usefixtures("quick")
ENGINES = {"certified": CertifiedLinear, "selected": PartnerLinear, "skipping": SkippingLinear}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = {"input_ids": torch.tensor([[3, 1, 4, 1, 5]])}


def opt() -> nn.Module:
    sizes = {"ffn_dim": 64, "vocab_size": 50, "word_embed_proj_dim": 16}
    return t.OPTForCausalLM(t.OPTConfig(**SIZES, **sizes, activation_function="relu"))


def llama(act: str = "relu") -> nn.Module:
    return t.LlamaForCausalLM(
        t.LlamaConfig(**SIZES, intermediate_size=64, vocab_size=50, hidden_act=act)
    )


def t5() -> nn.Module:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 2}
    return t.T5ForConditionalGeneration(
        t.T5Config(**sizes, vocab_size=50, feed_forward_proj="gated-relu")
    )


def encoder() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 64, batch_first=True), 2)


PLAIN, GATED = ("certified", "skipping"), ("certified", "selected", "skipping")
Case = tuple[Callable[[], nn.Module], Any, tuple[str, ...]]
MODELS: dict[str, Case] = {
    "sequence": (lambda: sequence(8, 32, 8), torch.randn(3, 8), PLAIN),
    "OPT": (opt, TEXT, PLAIN),
    "Llama": (llama, TEXT, GATED),
    "Llama, squared, bfloat16": (lambda: llama("relu2").bfloat16(), TEXT, GATED),
    "T5": (t5, {**TEXT, "decoder_input_ids": TEXT["input_ids"]}, GATED * 2),
    "nn.TransformerEncoder": (encoder, torch.randn(2, 5, 16), PLAIN * 2),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_computes_the_same_and_undo_leaves_nothing(name: str) -> None:
    build, example, ways = MODELS[name]
    model = build().eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    before, text = outputs(model, example), str(model)
    modules = dict(model.named_modules())
    optimized = list(model.parameters())
    accelerated = relucid.accelerate(model, example)
    report = accelerated.report
    assert tuple(layer.way for layer in report.layers) == ways and not report.kept
    assert all(type(accelerated.layers[one.path]) is ENGINES[one.way] for one in report.layers)
    assert {block.function for block in report.blocks} == {"relu"}
    assert all(a is b for a, b in zip(model.parameters(), optimized, strict=True))
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(seen.sparse or seen.dense for seen in accelerated.seen.values())
    after = outputs(model, example)
    rough = 0.05 if before.dtype is torch.bfloat16 else 1e-5
    torch.testing.assert_close(after, before, atol=rough * float(before.abs().max()), rtol=0.0)
    assert all(seen.sparse for seen in accelerated.seen.values())
    accelerated.undo()
    accelerated.undo()
    assert dict(model.named_modules()) == modules and str(model) == text
    assert all(value.is_contiguous() for value in model.state_dict().values())
    assert torch.equal(outputs(model, example), before)


def test_the_report_says_what_was_expected_and_measured() -> None:
    model, x = sequence(8, 32, 8), torch.randn(3, 8)
    with torch.no_grad():
        zeros = float((model[:2](x) == 0).float().mean())
    report = relucid.accelerate(model, x).report
    (block,) = report.blocks
    first, last = block.layers
    assert (first.path, first.inputs, first.outputs) == ("0", 8, 32)
    assert block.zeros == pytest.approx(zeros)
    assert last.alone is not None and last.example is not None
    # What the test's own calibration says: 250 + 1000 times the share, of 1000.
    assert last.alone.gain == pytest.approx(1000.0 / (250.0 + 1000.0 * (1.0 - zeros)))
    assert (last.alone.tokens, last.example.tokens) == (1, 3)
    assert first.extra_bytes and report.extra_bytes == first.extra_bytes
    assert report.latency is not None and report.latency.pairs == 7
    assert report.expected is not None and report.expected > 1.0
    assert report.difference is not None and report.difference < 1e-5
    assert "(3, 8)" in report.example and report.certify


def test_the_report_is_shown_and_written() -> None:
    model = nn.Sequential(sequence(8, 32, 8), nn.GELU(), nn.Linear(8, 8).double()).float()
    accelerated = relucid.accelerate(model, torch.randn(1, 8))
    assert acceleration_from_json(accelerated.to_json()) == accelerated.report
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    accelerated.show(console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("Sequential: 2 layers replaced in 1 block of relu", "certified", "8 to 32",
                  "times as fast", "more memory"):  # fmt: skip
        assert words in told
    assert max(map(len, told.splitlines())) <= 80
    assert "2 layers replaced" in repr(accelerated)


def test_without_certificates_only_the_last_layers_are_replaced() -> None:
    model = llama().eval()
    report = relucid.accelerate(model, TEXT, certify=False).report
    assert {layer.way for layer in report.layers} == {"skipping"} and report.extra_bytes == 0


def test_a_layer_between_two_activations_has_one_of_both_roles() -> None:
    """The one by which it reads less: of its input, or of its weights in 8 bits."""
    x = torch.randn(16, 8)
    for before, after, way in ((-3.0, 3.0, "skipping"), (0.6, -3.0, "certified")):
        model = sequence(8, 32, 32, 8)
        with torch.no_grad():
            model[0].bias += before
            model[2].bias += after
        assert relucid.accelerate(model, x).layers["2"].way == way


def test_training_mode_computes_in_full_and_says_so() -> None:
    model, x = sequence(8, 32, 8).train(), torch.randn(3, 8)
    accelerated = relucid.accelerate(model, x)
    assert "training mode" in accelerated.report.notes[-1]
    assert all(module.training for module in model.modules())
    for layer in accelerated.layers.values():
        layer.refresh()
    model(x).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert {seen.sparse for seen in accelerated.seen.values()} == {0}
    assert "training" in accelerated.seen["0"].reason


def test_changed_weights_are_noticed_and_taken_by_refresh() -> None:
    model, x = sequence(8, 32, 8), torch.randn(3, 8)
    accelerated = relucid.accelerate(model, x)
    other = sequence(8, 32, 8)
    model.load_state_dict(other.state_dict())
    with pytest.warns(StaleWarning, match="refresh"):
        torch.testing.assert_close(outputs(model, x), outputs(other, x))
    accelerated.refresh()
    torch.testing.assert_close(outputs(model, x), outputs(other, x))
    assert accelerated.seen["0"].sparse == 1
    accelerated.undo()
    assert torch.equal(outputs(model, x), outputs(other, x))


def test_copies_and_files_work_as_before() -> None:
    model, x = llama().eval(), TEXT
    expected = outputs(model, x)
    accelerated = relucid.accelerate(model, x)
    for other in (copy.deepcopy(model), _saved(model)):
        torch.testing.assert_close(outputs(other, x), expected, atol=1e-5, rtol=1e-5)
        gates = [m for m in other.modules() if isinstance(m, PartnerLinear)]
        assert gates and all(one.gate in set(other.modules()) for one in gates)
    plain = llama().eval()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(outputs(plain, x), expected)
    accelerated.undo()


def _saved(model: nn.Module) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_threads_share_a_model() -> None:
    model = llama().eval()
    examples = [{"input_ids": torch.tensor([[i, i + 1, 7 * i % 50]])} for i in range(6)]
    expected = [outputs(model, one) for one in examples]
    relucid.accelerate(model, examples[0])
    wrong: list[int] = []

    def serve(index: int) -> None:
        for _ in range(5):
            made = outputs(model, examples[index])
            if not torch.allclose(made, expected[index], atol=1e-5):
                wrong.append(index)

    threads = [threading.Thread(target=serve, args=(i,)) for i in range(len(examples))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong


def test_as_a_context_it_undoes_at_the_end() -> None:
    model = sequence(8, 32, 8)
    with relucid.accelerate(model) as accelerated:
        assert isinstance(accelerated, Accelerated) and isinstance(model[2], SkippingLinear)
    assert type(model[2]) is nn.Linear
    again = relucid.accelerate(model)
    once_more = relucid.accelerate(model)
    assert not once_more.layers and "already" in once_more.report.kept[0].why
    model[2] = nn.Linear(32, 8)
    with pytest.raises(ModelError, match="acceleration cannot be undone: '2'"):
        again.undo()


def test_a_model_that_would_compute_something_else_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planted: a first layer that zeroes what it must not."""
    monkeypatch.setattr(CertifiedLinear, "forward", lambda self, x: torch.zeros(len(x), 32))
    model = sequence(8, 32, 8)
    with pytest.raises(ModelError, match="does not compute the same"):
        relucid.accelerate(model, torch.randn(2, 8))
    assert type(model[0]) is type(model[2]) is nn.Linear and model[2].weight.is_contiguous()


def test_no_trace_on_the_model_and_its_random_numbers() -> None:
    model, x = sequence(8, 32, 8), torch.randn(3, 8)
    state = torch.get_rng_state()
    relucid.accelerate(model, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not model.training


def test_under_inference_mode_weights_stay_such_as_can_be_trained() -> None:
    model = sequence(8, 32, 8)
    with torch.inference_mode():
        accelerated = relucid.accelerate(model, torch.randn(3, 8))
    assert accelerated.layers
    model(torch.randn(3, 8)).sum().backward()
    accelerated.undo()
    assert all(p.grad is not None and not p.is_inference() for p in model.parameters())


def test_a_checkup_names_the_layers_and_prescribes_it() -> None:
    model, x = sequence(16, 4096, 16), torch.randn(64, 16)
    with torch.no_grad():
        model[0].bias -= 1.0
    (finding,) = [f for f in relucid.checkup(model, x).findings if f.rule == "exploitable_zeros"]
    assert "layers 0 and 2 could leave out" in finding.meaning and "up to" in finding.title
    (code,) = [one.code for one in finding.prescriptions]
    space: dict[str, Any] = {"model": model, "data": x}
    exec(code, space)
    assert space["accelerated"].layers.keys() == {"0", "2"}


def test_a_checkup_of_an_accelerated_model_sees_what_it_sees_without() -> None:
    """The layers compute in full while their operations are watched."""
    model, x = sequence(8, 32, 8), torch.randn(64, 8)
    (before,) = relucid.checkup(model, x).observation.sites
    with relucid.accelerate(model, x) as accelerated:
        (after,) = relucid.checkup(model, x).observation.sites
        assert after.layer is not None and before.layer is not None and after.reader is not None
        assert replace(after.layer, kind="Linear") == before.layer
        assert after.variance == pytest.approx(before.variance)
        assert "watched" in accelerated.seen["0"].reason
        with torch.device("cpu"):
            outputs(model, x)
        assert accelerated.seen["0"].sparse == 1


def test_activations_are_not_swapped_under_layers_that_rely_on_their_zeros() -> None:
    model = sequence(8, 32, 8)
    with relucid.accelerate(model), pytest.raises(ModelError, match=r"'0' leaves out.*undo that"):
        relucid.swap(model, "relu", to="gelu")
    assert relucid.swap(model, "relu", to="gelu").changed
    holder = nn.Sequential(MLP(8, 16), nn.ReLU())
    swapped = relucid.swap(holder, "relu", to="gelu")
    assert [one.path for one in swapped.changed] == ["1"]
    assert "make another MLP" in swapped.refused[0].why
