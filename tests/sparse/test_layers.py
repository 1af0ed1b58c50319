"""Linear layers that leave out work: what they give is what a plain layer in float64 gives."""

import copy
import io
import math
import re
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relucid.errors import ParameterError
from relucid.kernels.llvm.compile import _module, machine
from relucid.kernels.llvm.products_run import text
from relucid.sparse import calibrate, layer
from relucid.sparse.calibrate import Calibration
from relucid.sparse.certified import CertifiedLinear
from relucid.sparse.layer import StaleWarning
from relucid.sparse.partner import PartnerLinear
from relucid.sparse.products import ListedProduct, SkippingProduct
from relucid.sparse.shadow import most_of, reach_of, shadow_of
from relucid.sparse.skipping import SkippingLinear
from support import fresh

ALWAYS = Calibration(1e9, ((0.0, 0.0), (1.0, 1.0)))
"""Of a machine on which leaving out work always pays."""

SHAPES = [(1, 1, 1), (1, 3, 2), (2, 64, 4), (1, 65, 127), (5, 100, 129), (4, 256, 1000), (9, 33, 7)]
"""Tokens, width, rows: whole blocks and vectors, and all that is left of them."""

DTYPES = [torch.float32, torch.bfloat16]


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """No timing decides here."""
    monkeypatch.setattr(layer, "calibration_of", lambda *told: ALWAYS)


@pytest.fixture(autouse=True)
def ungraded():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def drawn(tokens, width, rows, dtype, share=0.3):
    """An input, weights and a bias at which about a share of the units is above 0."""
    made = torch.Generator().manual_seed(tokens * 1000 + width * 10 + rows)
    x = torch.randn(tokens, width, generator=made).to(dtype)
    weight = (torch.randn(rows, width, generator=made) / width**0.5).to(dtype)
    bias = torch.randn(rows, generator=made) * 0.1 - torch.special.ndtri(torch.tensor(1.0 - share))
    return x, weight, bias.to(dtype).float()


def linear(weight, bias):
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype)
    made.weight.copy_(weight)
    if bias is not None:
        made.bias.copy_(bias)
    return made.eval()


def certified(x, weight, bias, level):
    shadow, z = shadow_of(weight, bias), torch.full((len(x), len(weight)), 7.0, dtype=x.dtype)
    count = ListedProduct(len(x), weight, bias, level, shadow.most, shadow)(x, z)
    return z, count


def skipping(h, rows, bias, limit):
    y = torch.full((len(h), rows.shape[1]), 7.0, dtype=h.dtype)
    return y, SkippingProduct(len(h), rows, bias)(h, y, limit)


def close(found, exact, dtype, width):
    """Whether these are the exact numbers, to what a sum in float32 and one rounding leave."""
    unit = 2.0**-8 if dtype == torch.bfloat16 else 0.0
    room = unit * exact.abs() + 4e-7 * math.sqrt(width) * exact.abs().max().clamp(min=1.0)
    return bool(((found.double() - exact).abs() <= room).all())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestProducts:
    """Against float64, on shapes of every kind."""

    def test_certified(self, shape, dtype):
        x, weight, bias = drawn(*shape, dtype)
        exact = x.double() @ weight.double().T + bias.double()
        z, count = certified(x, weight, bias, 0.0)
        open_ = z != 0.0
        assert not ((exact > 0) & ~open_).any()
        assert int(open_.sum()) <= count < exact.numel() + 1
        assert close(torch.where(open_, z, 0.0), torch.where(open_, exact, 0.0), dtype, shape[1])

    def test_few_are_left_open_without_need(self, shape, dtype):
        x, weight, bias = drawn(*shape, dtype)
        exact = x.double() @ weight.double().T + bias.double()
        _, count = certified(x, weight, bias, 0.0)
        near = exact > -0.03 * weight.double().norm(dim=1) * x.double().norm(dim=1)[:, None]
        assert count <= int(near.sum())

    def test_level(self, shape, dtype):
        x, weight, bias = drawn(*shape, dtype)
        exact = x.double() @ weight.double().T + bias.double()
        z, _ = certified(x, weight, bias, 0.5)
        assert not ((exact > 0.5) & (z == 0.0)).any()
        assert (z[exact < -0.5] == 0.0).all()

    def test_selected(self, shape, dtype):
        x, weight, bias = drawn(*shape, dtype)
        gates = torch.randn(shape[0], shape[2]).to(dtype)
        gates[0, 0] = math.nan  # is open: the product with it is no number either
        product = ListedProduct(shape[0], weight, bias, 0.0, most_of(weight, bias))
        u = torch.full_like(gates, 7.0)
        count = product(x, u, gates)
        wanted = ~(gates <= 0.0)
        exact = x.double() @ weight.double().T + bias.double()
        assert count == int(wanted.sum())
        assert close(u, torch.where(wanted, exact, 0.0), dtype, shape[1])
        assert (u[~wanted] == 0.0).all()

    def test_skipping(self, shape, dtype):
        tokens, width, rows = shape
        h, down, _ = drawn(tokens, rows, width, dtype)
        h, bias = torch.relu(h), torch.randn(width)
        y, active = skipping(h, down.T.contiguous(), bias, h.numel())
        assert active == int((h != 0).sum())
        assert close(y, h.double() @ down.double().T + bias.double(), dtype, rows)

    def test_too_many(self, shape, dtype):
        h = torch.ones(shape[0], shape[2], dtype=dtype)
        rows = torch.ones(shape[2], shape[1], dtype=dtype)
        y, active = skipping(h, rows, torch.zeros(shape[1]), h.numel() - 1)
        assert active == h.numel() and (y == 7.0).all()

    def test_two_threads_give_the_same_bits(self, shape, dtype, monkeypatch):
        monkeypatch.setattr("relucid.sparse.products._ALONE", 0)
        x, weight, bias = drawn(*shape, dtype)
        h = torch.relu(x)
        results = []
        before = torch.get_num_threads()
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append((certified(x, weight, bias, 0.0),
                            skipping(h, weight.T.contiguous(), bias, h.numel())))  # fmt: skip
        torch.set_num_threads(before)
        (one, one_skipped), (two, two_skipped) = results
        assert one[1] == two[1] and torch.equal(one[0], two[0])
        assert one_skipped[1] == two_skipped[1] and torch.equal(one_skipped[0], two_skipped[0])


@pytest.mark.parametrize("bits", [256, 128])
def test_narrower_registers(bits, monkeypatch):
    """As other processors have them: the same to a few roundings, the counts the same."""
    shape = (5, 100, 129)
    for dtype in DTYPES:
        x, weight, bias = drawn(*shape, dtype)
        h, rows = torch.relu(x), weight.T.contiguous()
        wanted = certified(x, weight, bias, 0.0), skipping(h, rows, bias, h.numel())
        with monkeypatch.context() as patch:
            patch.setattr(machine(), "vector_bits", bits)
            found = certified(x, weight, bias, 0.0), skipping(h, rows, bias, h.numel())
        for (one, count), (other, same) in zip(found, wanted, strict=True):
            assert count == same and torch.allclose(one, other, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize(
    ("triple", "processor", "instruction"),
    [("x86_64-unknown-linux-gnu", "haswell", "vpmaddwd"),
     ("x86_64-unknown-linux-gnu", "znver4", "vpdpwssd"),
     ("aarch64-unknown-linux-gnu", "neoverse-n1", "smlal")],
)  # fmt: skip
def test_the_shadow_is_multiplied_by_instructions_made_for_it(
    triple, processor, instruction, monkeypatch
):
    from llvmlite import binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    here = machine()
    bits = {"haswell": 256, "znver4": 512}.get(processor, 128)
    with monkeypatch.context() as patch:
        patch.setattr(here, "vector_bits", bits)
        patch.setattr(here, "triple", triple)
        target = binding.Target.from_triple(triple).create_target_machine(cpu=processor, opt=3)
        patch.setattr(here, "target", target)
        code = target.emit_assembly(_module(text("certified", "float32", "K")))
    assert instruction in code
    assert set(re.findall(r"(?:\$|\bbl\s+)([a-z_]\w+)", code)) == {
        f"{name}_K" for name in ("certify1", "certify4", "dots", "measure", "units")
    }  # nothing of another library is called


def gated(dtype=torch.float32, width=100, hidden=260):
    """A gate, an up and a down layer, sparse ones and copies of the plain ones."""
    _, gate, shut = drawn(1, width, hidden, dtype, share=0.1)
    _, up, _ = drawn(2, width, hidden, dtype)
    _, down, shift = drawn(3, hidden, width, dtype)
    plain = linear(gate, shut), linear(up, None), linear(down, shift)
    first, partner, last = copy.deepcopy(plain)
    first = CertifiedLinear(first)
    return plain, (first, PartnerLinear(partner, first), SkippingLinear(last))


def block(layers, x, activation=F.relu):
    gate, up, down = layers
    return down(activation(gate(x)) * up(x))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(100,), (1, 100), (2, 3, 100), (64, 100)], ids=str)
def test_a_gated_block(shape, dtype):
    plain, sparse = gated(dtype)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    y = block(sparse, x)
    exact = block([copy.deepcopy(one).double() for one in plain], x.double())
    assert y.shape == x.shape and y.dtype == dtype
    own = (block(plain, x).double() - exact).abs().max()
    assert (y.double() - exact).abs().max() <= own + 1e-6 * exact.abs().max()
    assert [one.seen.sparse for one in sparse] == [1, 1, 1]
    assert sparse[0].seen.share < 0.2 and sparse[1].seen.share <= sparse[0].seen.share


def test_an_activation_in_place_does_not_mislead_the_partner():
    plain, sparse = gated()
    x = torch.randn(3, 100)
    y = block(sparse, x, lambda z: F.relu(z, inplace=True).square_())
    assert torch.allclose(y, block(plain, x, lambda z: F.relu(z).square()), atol=1e-5)


def test_a_partner_without_its_gate_computes_in_full():
    plain, (gate, up, _) = gated()
    x = torch.randn(3, 100)
    assert torch.equal(up(x), plain[1](x)) and "gate" in up.seen.reason
    gate(x)
    other = x.clone()
    other[0, 0] += 1.0
    assert torch.equal(up(other), plain[1](other)) and up.seen.sparse == 0
    assert gate.gates is None


ODD = {
    "nan": (math.nan, 0),
    "inf": (math.inf, 5),
    "-inf": (-math.inf, 99),
    "overflows": (3e38, 7),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_number_comes_out_as_in_full(kind):
    plain, sparse = gated()
    value, at = ODD[kind]
    x = torch.randn(2, 100)
    x[1, at] = value
    found, wanted = block(sparse, x), block(plain, x)
    assert torch.equal(found.isnan(), wanted.isnan()) and torch.equal(found.isinf(), wanted.isinf())
    assert "finite" in sparse[0].seen.reason
    h = torch.zeros(2, 260)
    h[0, 3], h[1, 4] = value, 1.0
    found, wanted = sparse[2](h), plain[2](h)
    assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_zeros_and_tiny_inputs():
    plain, sparse = gated()
    for x in (torch.zeros(2, 100), torch.full((2, 100), 1e-45), torch.full((2, 100), -1e-38)):
        assert torch.allclose(block(sparse, x), block(plain, x), atol=1e-6)


def in_full(layers, x):
    """Whether a layer gave what PyTorch's product of the same memory gives, to the bit, and why."""
    plain, sparse = layers
    before, y = sparse.seen.dense, sparse(x)
    if not isinstance(sparse, SkippingLinear):  # whose memory is in another order
        assert torch.equal(y, plain(x))
    assert torch.allclose(y, plain(x), atol=1e-5) and y.shape == plain(x).shape
    assert sparse.seen.dense == before + 1
    return sparse.seen.reason


@pytest.mark.parametrize("which", [0, 2])
class TestInFull:
    """What is computed in full, to the bit, and what is said about it."""

    @pytest.fixture
    def layers(self, which):
        with torch.inference_mode(False), torch.no_grad():
            plain, sparse = gated()
        return plain[which], sparse[which]

    @pytest.fixture
    def x(self, layers):
        return torch.relu(torch.randn(2, layers[0].in_features))

    def test_training(self, layers, x):
        layers[1].train()
        assert "eval()" in in_full(layers, x)

    def test_gradients(self, layers, x):
        with torch.inference_mode(False), torch.enable_grad():
            assert "inference_mode" in in_full(layers, x.clone())
            layers[1](x.clone()).sum().backward()
        assert layers[1].weight.grad is not None

    def test_gradients_of_the_bias_alone(self, layers, x):
        with torch.inference_mode(False), torch.enable_grad():
            layers[1].weight.requires_grad_(False)
            assert "inference_mode" in in_full(layers, x.clone())
            layers[1](x.clone()).sum().backward()
        assert torch.equal(layers[1].bias.grad, torch.full_like(layers[1].bias, 2.0))

    def test_many_tokens_and_none(self, layers, x):
        assert "64" in in_full(layers, x.repeat(33, 1))
        assert "none" in in_full(layers, x[:0])

    def test_wrong_shape(self, layers, x):
        with pytest.raises(RuntimeError, match="shapes"):
            layers[1](x[:, 1:])

    def test_autocast(self, layers, x):
        with torch.autocast("cpu", torch.bfloat16):
            assert "throughout" in in_full(layers, x)

    @pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
    def test_transforms(self, layers, x):
        plain, sparse = layers
        assert torch.allclose(torch.vmap(sparse)(x), plain(x), atol=1e-6)
        with torch.inference_mode(False):
            row, tangent = x[0].clone(), torch.ones(x.shape[1])
            _, found = torch.func.jvp(sparse, (row,), (tangent,))
        assert torch.allclose(found, tangent @ plain.weight.T, atol=1e-4)

    def test_weights_that_are_not_finite(self, layers, x):
        with torch.inference_mode(False), torch.no_grad():
            for one in layers:
                one.weight[3, 5] = math.inf
            layers[1].refresh()
        plain, sparse = layers
        assert torch.equal(sparse(x).isnan(), plain(x).isnan()) and sparse.seen.sparse == 0

    def test_other_types(self, layers, x):
        plain, sparse = layers[0].double(), layers[1].double()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StaleWarning)
            assert "float32" in in_full((plain, sparse), x.double())

    def test_it_never_pays(self, layers, x, monkeypatch):
        monkeypatch.setattr(
            layer, "calibration_of", lambda *told: Calibration(1.0, ((0.0, 2.0), (1.0, 3.0)))
        )
        assert "faster on this machine" in in_full(layers, x)
        assert "faster on this machine" in in_full(layers, x)
        plain, sparse = layers
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.allclose(sparse(x), plain(x), atol=1e-2)
        assert torch.allclose(torch.vmap(sparse)(x), plain(x), atol=1e-6)
        with torch.inference_mode(False), torch.enable_grad():
            sparse(x.clone()).sum().backward()
        assert torch.allclose(sparse.weight.grad, x.sum(0).expand_as(plain.weight), atol=1e-5)
        with pytest.raises(RuntimeError, match="shapes"):
            sparse(x.view(-1, 2))


def test_too_few_zeros_are_noticed_and_looked_at_again(monkeypatch):
    half = Calibration(1.0, ((0.0, 0.0), (1.0, 2.0)))
    monkeypatch.setattr(layer, "calibration_of", lambda *told: half)
    plain, (_, _, down) = gated()
    dense, sparse = torch.ones(1, 260), torch.zeros(1, 260)
    ways = []
    for x in [dense] * 20 + [sparse] * 30:
        before = down.seen.sparse
        assert torch.allclose(down(x), plain[2](x), atol=1e-4)
        ways.append(down.seen.sparse > before)
    assert not any(ways[:20]) and all(ways[-10:])


def test_changed_weights_are_noticed():
    with torch.inference_mode(False), torch.no_grad():
        plain, (gate, up, down) = gated()
    x = torch.randn(2, 100)
    block((gate, up, down), x)
    with torch.inference_mode(False), torch.no_grad():
        for one in (*plain, gate, up, down):
            one.weight.mul_(-1.0)
    with pytest.warns(StaleWarning, match="refresh"):
        assert torch.equal(gate(x), plain[0](x))
    assert torch.equal(gate(x), plain[0](x))  # it is said once
    gate.refresh()
    y = block((gate, up, down), x)
    assert torch.allclose(y, block(plain, x), atol=1e-5)
    assert gate.seen.sparse == 1 and down.seen.sparse == 2


def test_the_plain_layer_comes_back():
    plain, sparse = gated()
    strides = [one.weight.stride() for one in plain]
    for before, one, stride in zip(plain, sparse, strides, strict=True):
        weight = one.weight
        after = one.restored()
        assert type(after) is nn.Linear and after.weight is weight
        assert after.weight.stride() == stride and torch.equal(after.weight, before.weight)
        assert not after.training


def test_copies_and_state():
    with torch.inference_mode(False), torch.no_grad():
        plain, sparse = gated()
    model, made = nn.ModuleList(plain), nn.ModuleList(sparse)
    assert made.state_dict().keys() == model.state_dict().keys()
    x = torch.randn(2, 100)
    wanted = block(made, x)
    file = io.BytesIO()
    torch.save(made, file)
    file.seek(0)
    for again in (copy.deepcopy(made), torch.load(file, weights_only=False)):
        assert again[1].gate is again[0]
        assert torch.equal(block(again, x), wanted)
        assert again[2].seen.sparse == 2
    other = nn.ModuleList([linear(torch.randn_like(one.weight), one.bias) for one in plain])
    with torch.inference_mode(False), torch.no_grad():
        made.load_state_dict(other.state_dict())
    with pytest.warns(StaleWarning):
        assert torch.allclose(block(made, x), block(other, x), rtol=1e-4, atol=1e-2)


ON_META = """
import torch
from torch import nn
from relucid.sparse import layer
from relucid.sparse.calibrate import Calibration
from relucid.sparse.certified import CertifiedLinear
from relucid.sparse.partner import PartnerLinear
from relucid.sparse.skipping import SkippingLinear

for dtype in (torch.float32, torch.bfloat16):
    gate, up, down = (nn.Linear(*size, dtype=dtype) for size in ((64, 90), (64, 90), (90, 64)))
    x = torch.randn(2, 64).to(dtype)
    with torch.inference_mode():
        wanted = down(torch.relu(gate(x)) * up(x))
        with torch.device("meta"):
            first = CertifiedLinear(gate)
            partner, last = PartnerLinear(up, first), SkippingLinear(down)
            for one in (first, partner, last):
                one.eval().calibrate(2)
            layer.calibration_of = lambda *told: Calibration(1e9, ((0.0, 0.0), (1.0, 1.0)))
            for one in (first, partner, last):
                one._calibrations.clear()
            found = last(torch.relu(first(x)) * partner(x))
    assert [one.seen.sparse for one in (first, partner, last)] == [1, 1, 1]
    assert torch.allclose(found, wanted, atol=1e-2)
"""


def test_all_memory_is_on_the_cpu_whatever_the_default_device():
    # In a process of its own: memory on another device ends it.
    ended = fresh.run(ON_META)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_memory_of_the_shadow():
    _, (gate, _, down) = gated(width=512, hidden=2048)
    assert gate.extra_bytes / (gate.weight.numel() * 4) == pytest.approx(0.25, rel=0.1)
    assert down.extra_bytes == 0
    assert down.weight.untyped_storage().nbytes() == down.weight.numel() * 4
    _, (gate, _, down) = gated(torch.bfloat16, width=512, hidden=2048)
    assert gate.extra_bytes / (gate.weight.numel() * 2) == pytest.approx(0.5, rel=0.1)
    assert down.extra_bytes == down.weight.numel() * 2


def test_a_negative_level_is_refused():
    with pytest.raises(ParameterError, match="at least 0"):
        CertifiedLinear(nn.Linear(3, 4), level=-1.0)


def test_products_of_whole_numbers_stay_in_32_bits():
    for width in (1, 64, 1024, 4096, 131072):
        assert 127 <= reach_of(width) < 2**15
        assert 127 * reach_of(width) * width < 2**31
    assert reach_of(1 << 20) == 0


@pytest.mark.parametrize(
    ("width", "number", "bias"),
    [(8, math.nan, 0.0), (8, math.inf, 0.0), (8, 1.0, -math.inf), (8, 1.0, 3e38),
     (1 << 20, 1.0, 0.0), (133_144, 1.0, 0.0)],  # in whole blocks too wide: 133,184
)  # fmt: skip
def test_what_has_no_shadow(width, number, bias):
    weight = torch.ones(1, width)
    assert shadow_of(weight[:, :8], torch.zeros(1)) is not None
    weight[0, -1] = number
    assert shadow_of(weight, torch.tensor([bias])) is None


def test_calibration(monkeypatch, tmp_path):
    """Taken once, then recalled, but not where other work disturbed it."""
    monkeypatch.setenv("RELUCID_CACHE", str(tmp_path))
    _, layers = gated()
    for one in layers:
        with monkeypatch.context() as patch:
            patch.setattr(calibrate, "_DISTURBED", 0.5)
            calibrate.calibration_of(one, 2, 1)
            assert calibrate.load(calibrate._key(one, 2, 1)) is None
            patch.setattr(calibrate, "_DISTURBED", math.inf)
            made = calibrate.calibration_of(one, 2, 1)
            assert made.dense > 0.0 and len(made.points) == len(calibrate.SHARES)
            assert all(0.0 <= share <= 1.0 for share, _ in made.points)
            patch.setattr(calibrate, "_measure", None)  # now it must not be taken again
            assert calibrate.calibration_of(one, 2, 1) == made
    with pytest.raises(TypeError), monkeypatch.context() as patch:  # of another number it is
        patch.setattr(calibrate, "_measure", None)
        calibrate.calibration_of(layers[0], 4, 1)


def test_limits_and_gains():
    """They are those of the lines through the points."""
    half = Calibration(10.0, ((0.0, 0.0), (0.5, 8.5), (1.0, 20.0)))
    assert half.limit == pytest.approx(0.5)
    assert half.gain(0.25) == pytest.approx(10.0 / 4.25) and half.gain(0.8) == 1.0
    assert Calibration(10.0, ((0.0, 9.9), (0.5, 20.0))).limit == -1.0
