"""Sees every torch call of a pass and tells which of them are activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from relucid.functions import Activation
from relucid.probes import written
from relucid.probes.book import Book, Opened
from relucid.probes.layers import RULES, Origins, normalised
from relucid.probes.recognise import CALLS, Call, declared_call, of_module, recognise
from relucid.probes.walk import Frame, Paths, Role, Walk

_RECURRENT = (
    "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell",
)
FUSED = {
    **{name: ("gates", f"its gates are computed inside one fused call, {name}") for name in _RECURRENT},
    "multi_head_attention_forward": (
        "softmax", "its softmax is computed inside one fused call, multi_head_attention_forward"
    ),
    "scaled_dot_product_attention": (
        "softmax", "its softmax is computed inside one fused call, scaled_dot_product_attention"
    ),
    "_native_multi_head_attention": ("softmax", "its softmax is computed inside one fused call"),
    "_transformer_encoder_layer_fwd": ("layer", "the whole layer is computed inside one fused call"),
}
"""Calls that hide activations: what is hidden, and the reason given."""


class Finder(TorchFunctionMode):
    """A function mode that hands activation calls to the book, and follows the modules.

    It changes no call: each function runs once, with its own arguments.
    """

    def __init__(self, paths: Paths, book: Book) -> None:
        super().__init__()
        self._paths, self._book = paths, book
        self._origins = Origins(paths.model)
        self.walk = Walk(paths, self._entered, self._left)
        self._verdicts: dict[int, Activation | None] = {}
        self._paused = False

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the call, counting on it if it is an activation."""
        kwargs = kwargs or {}
        if torch.compiler.is_compiling() or not self.walk.stack:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        frame = self.walk.stack[-1]
        opened = None
        if frame.role is not Role.DECLARED:
            opened = self._opened(func, name, args, kwargs, frame)
        result = func(*args, **kwargs)
        if opened is not None and isinstance(result, Tensor):
            opened.close(result)
        if name in RULES:
            self._origins.follow(name, args, kwargs, result, frame.place)
        return result
