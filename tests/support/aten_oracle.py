"""An independent witness of activation calls: it sees operators below PyTorch's Python face.

It shares nothing with the probe. It knows activations by the names of ATen's operators (and of
the few that may be one, by their values), and the running module by global hooks of its own.
"""

from collections import Counter
from dataclasses import dataclass

import torch
from torch.nn.modules import module as global_hooks
from torch.utils._python_dispatch import TorchDispatchMode

ELEMENTWISE = {
    *("relu", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh"),
    *("leaky_relu", "elu", "celu", "mish", "softplus", "_prelu_kernel", "threshold", "atan"),
    *("hardshrink", "softshrink", "log_sigmoid_forward", "rrelu_with_noise"),
}
VECTORS = {"_softmax", "_log_softmax", "glu"}
ATTENTIONS = {
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_native_multi_head_attention",
    "_transformer_encoder_layer_fwd",
    "_safe_softmax",  # of scaled_dot_product_attention where no fused kernel fits
}
RECURRENT = {"mkldnn_rnn_layer", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell"}
FUSED_MODULES = (torch.nn.RNNBase, torch.nn.RNNCellBase, torch.nn.MultiheadAttention)


@dataclass(frozen=True)
class Seen:
    """One operator: the path of the module that runs, its name, and how many numbers it reads."""

    path: str
    operator: str
    elements: int


class AtenOracle(TorchDispatchMode):
    """Notes the activation operators that reach the dispatcher while it is entered.

    ``open`` are those that a function mode can see, in the order of the calls. ``hidden`` counts,
    by path, those inside attention and recurrent layers that PyTorch calls as one.
    """

    def __init__(self, model):
        super().__init__()
        self._names = {id(module): path for path, module in model.named_modules()}
        self._stack = []
        self.open, self.hidden = [], Counter()

    def __enter__(self):
        self._hooks = [
            global_hooks.register_module_forward_pre_hook(self._enter),
            global_hooks.register_module_forward_hook(self._leave, always_call=True),
        ]
        return super().__enter__()

    def __exit__(self, *error):
        for hook in self._hooks:
            hook.remove()
        return super().__exit__(*error)

    def by_path(self):
        """How many calls each module makes."""
        return Counter(seen.path for seen in self.open)

    def _enter(self, module, args):
        self._stack.append(module)

    def _leave(self, module, args, output):
        while self._stack.pop() is not module:
            pass

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        operator = func.overloadpacket.__name__.rstrip("_")
        operands = [x for x in args if isinstance(x, torch.Tensor)]
        before = operands[0].clone() if operator in _WRITTEN and operands else None
        result = func(*args, **(kwargs or {}))
        self._note(operator, args, operands, before, result)
        return result

    def _note(self, operator, args, operands, before, result):
        running = next((m for m in reversed(self._stack) if id(m) in self._names), None)
        path = self._names.get(id(running), "")
        inside = isinstance(running, FUSED_MODULES) and operator in ELEMENTWISE | VECTORS
        if inside or operator in ATTENTIONS or operator in RECURRENT:
            self.hidden[path] += 1
        elif self._is_activation(operator, args, operands, before, result):
            elements = max(x.numel() for x in operands)
            self.open.append(Seen(path, operator, elements))

    def _is_activation(self, operator, args, operands, before, result):
        if not operands or not operands[-1].is_floating_point():
            return False
        if isinstance(operands[0], torch.nn.Parameter):
            return False  # a scale kept positive is no activation
        if operator in ELEMENTWISE | VECTORS:
            return True
        return operator in _WRITTEN and _WRITTEN[operator](args, operands, before, result)


def _rectifying_clamp(args, operands, before, result):
    low, high = (*args[1:], None)[:2]
    return low is not None and low == 0 and high in (None, 6)


def _rectified(args, operands, before, result):
    """Whether the result is some operand with its negative values at zero; both signs occur."""
    candidates = [before, *operands[1:]]
    return any(
        bool((z < 0).any()) and torch.equal(z * (z > 0), result)
        for z in candidates
        if z.is_floating_point() and z.shape == result.shape
    )


_WRITTEN = {
    **dict.fromkeys(("clamp", "clamp_min"), _rectifying_clamp),
    **dict.fromkeys(("maximum", "fmax", "where"), _rectified),
}
