"""Seconds and memory of shrinking a model of OPT-125M's size, with random weights.

``python benchmarks/shrink_large.py [--layers 12] [--tokens 16] [--double]`` builds transformers'
``OPTForCausalLM`` with its default sizes (12 layers, width 768, 125 million parameters, 501 MB in
float32), gives in each layer 64 of the 3,072 units a bias below their bound, and shrinks it without
a domain. Memory is the process's largest resident size (``getrusage``) over that before the call,
when all is imported (by a small model that was shrunk first) and the model stands; the model itself
is added. It runs on one thread. The targets are 60 s and three times the memory of the model.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from relucid.shrink import shrink

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.planting import plant_after_norm

PLANTED = tuple(range(0, 3072, 48))
SECONDS, MEMORY = 60.0, 3.0


def opt(layers: int, **sizes: int) -> nn.Module:
    """Build a model with planted units."""
    torch.manual_seed(0)
    config: Any = transformers.OPTConfig(num_hidden_layers=layers, use_cache=False, **sizes)
    model: nn.Module = transformers.OPTForCausalLM(config).eval()
    for i in range(layers if not sizes else 0):
        layer = f"model.decoder.layers.{i}"
        plant_after_norm(model, f"{layer}.fc1", f"{layer}.final_layer_norm", PLANTED)
    return model


def resident() -> int:
    """Return the bytes that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> int:
    """Measure and print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--double", action="store_true", help="in float64")
    given = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    small = opt(1, hidden_size=16, word_embed_proj_dim=16, ffn_dim=24, num_attention_heads=2)
    shrink(small, {"input_ids": torch.ones(2, 4, dtype=torch.long)})
    model = opt(given.layers)
    model = model.double() if given.double else model
    own = sum(x.numel() * x.element_size() for x in model.parameters())
    ids = torch.randint(3, 50_000, (1, given.tokens))
    before, wall, busy = resident(), time.perf_counter(), time.process_time()
    shrunk = shrink(model, {"input_ids": ids})
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    share = (peak - before + own) / own
    megabytes = [f"{x / 1e6:.0f} MB" for x in (own, peak - before, before)]
    apart = ", ".join(f"{a.inputs} {a.largest:.1e}" for a in shrunk.receipt.agreements)
    print(f"{megabytes[0]} of parameters; {wall:.1f} s, {busy:.1f} s of processor time")
    print(f"peak {megabytes[1]} over the {megabytes[2]} before: {share:.2f} times the model")
    print(f"{shrunk.receipt.removed} units removed, {len(PLANTED) * given.layers} planted; {apart}")
    for refusal in shrunk.receipt.refused:
        print(f"  {refusal.units} units of {refusal.path} stay: {refusal.why}")
    return int(busy > SECONDS or share > MEMORY)


if __name__ == "__main__":
    raise SystemExit(main())
