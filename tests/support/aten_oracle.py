"""An independent witness of activation calls: it sees operators below PyTorch's Python face."""

from collections import Counter

from torch.utils._python_dispatch import TorchDispatchMode

ACTIVATIONS = {
    *("relu", "relu_", "gelu", "silu", "silu_", "sigmoid", "sigmoid_", "tanh", "tanh_"),
    *("clamp_min", "clamp_min_", "hardswish", "hardswish_", "hardsigmoid", "hardtanh"),
    *("hardtanh_", "leaky_relu", "leaky_relu_", "elu", "elu_", "mish", "softplus", "prelu"),
    *("_prelu_kernel", "threshold", "threshold_", "hardshrink", "softshrink", "_softmax"),
    *("_log_softmax", "glu", "log_sigmoid_forward", "rrelu_with_noise"),
}
ATTENTIONS = {"_scaled_dot_product_flash_attention_for_cpu", "_native_multi_head_attention"}


class AtenOracle(TorchDispatchMode):
    """Counts the operators that reach the dispatcher while it is entered."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))

    @property
    def activations(self):
        return sum(n for name, n in self.calls.items() if name in ACTIVATIONS)

    @property
    def attentions(self):
        return sum(n for name, n in self.calls.items() if name in ATTENTIONS)
