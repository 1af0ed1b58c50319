"""Gated linear units: a value times an activation of another number."""

from __future__ import annotations

from relucid.functions.families.gated import gelu, silu
from relucid.functions.families.piecewise import relu
from relucid.functions.families.sigmoidal import sigmoid
from relucid.functions.registry import register
from relucid.functions.two_input import TwoInput

FAMILY = "two-input"
SHAZEER = "Shazeer 2020, arXiv:2002.05202"
COSTS = "Two projections instead of one, for which the hidden width is usually cut to 2/3."

glu = register(
    TwoInput(
        name="glu",
        family=FAMILY,
        gate=sigmoid,
        source="Dauphin et al. 2017, arXiv:1612.08083",
        summary="A value times the sigmoid of a gate.",
        cures="Vanishing gradients in gated networks: the value's path is linear.",
        costs=COSTS,
    )
)
reglu = register(
    glu.member(
        "reglu",
        class_name="ReGLU",
        gate=relu,
        source=SHAZEER,
        summary="A value times the ReLU of a gate.",
        cures="As GLU, with exact zeros wherever the gate is shut.",
    )
)
geglu = register(
    glu.member(
        "geglu",
        class_name="GEGLU",
        gate=gelu,
        source=SHAZEER,
        summary="A value times the GELU of a gate.",
        cures="Quality of transformers' feed-forward layers.",
    )
)
swiglu = register(
    glu.member(
        "swiglu",
        class_name="SwiGLU",
        gate=silu,
        source=SHAZEER,
        summary="A value times the SiLU of a gate.",
        cures="Quality of transformers' feed-forward layers; Llama's and PaLM's choice.",
        note="Implementations differ in which half of a packed tensor is the gate. relucid follows "
        "PyTorch's glu: value first, gate second.",
    )
)
