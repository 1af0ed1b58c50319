"""Products and networks that skip zeros, beside dense ones and the stock ways of PyTorch.

``python benchmarks/zeros.py [second] [networks] [grid] [--threads 1 2] [--seconds 1]`` measures

* ``second``: the product of a hidden layer with given zeros, one token, in float32;
* ``networks``: whole feed-forward blocks, one token, with Gaussian weights and biases that make
  units zero with a given probability: plain and gated, float32 and bfloat16;
* ``grid``: plain blocks of width 1,024 over batch sizes, shares of zeros and dtypes.

All sides of a row are timed in turn in one process, and the weights of each are rotated through
copies of more than 200 MB. At batch 1 a turn is eight calls, each on another copy: as in a loop
that writes text, a side's own code is in cache and its weights are not. A ratio is the median of
the quotients within the iterations. The dense side takes part twice: where that ratio is not in
0.97 to 1.03 the row is measured again, at most three times, and then discarded. Outputs are
compared with float64 in the same run. Results are kept in ``results/zeros``: a rerun measures what
this code has not, or was discarded; ``--again`` all. What relucid remembers of the machine's speed
is forgotten before a run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from zeros_rows import AGAIN, DENSE, PARTS, RELUCID, UNCERTIFIED, Row, Setting, measure, settings

from relucid.bench.machine import this_machine
from relucid.bench.statistics import geometric_mean
from relucid.records.serialise import decode, encode
from relucid.report.files import write_atomically
from relucid.verify import fingerprint, versions
from relucid.verify.machine import processor, slug

RESULTS = Path(__file__).with_name("results") / "zeros"
MEASURED = (
    "kernels/llvm/*.py",
    *(f"sparse/{name}.py" for name in ("calibrate", "certified", "layer", "partner", "products")),
    *(f"sparse/{name}.py" for name in ("shadow", "skipping")),
)
"""What decides how fast the engines are."""
FIRST_USE = """
import time, torch
from relucid.sparse.certified import CertifiedLinear
from relucid.sparse.skipping import SkippingLinear
torch.set_num_threads(1)
up, down = torch.nn.Linear(1024, 4096), torch.nn.Linear(4096, 1024)
for parameter in (*up.parameters(), *down.parameters()):
    parameter.requires_grad_(False)
begun = time.perf_counter()
first, second = CertifiedLinear(up).eval(), SkippingLinear(down).eval()
second(torch.relu(first(torch.randn(1, 1024))))
print(time.perf_counter() - begun)
"""


def first_use() -> tuple[float, float]:
    """Seconds of making and calling a block's engines in a new process, calibration included.

    With an empty folder for what is remembered, and in the process after that.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", FIRST_USE]
        cold, warm = (
            float(subprocess.check_output(command, env={**os.environ, "RELUCID_CACHE": folder}))
            for _ in range(2)
        )
    return cold, warm


class Kept:
    """The rows of this code and machine, in a file that is written after each."""

    def __init__(self, folder: Path) -> None:
        self.rows: dict[Setting, Row] = {}
        self.first_use: list[float] = []
        self._code = fingerprint(versions(), MEASURED)
        self._machine = encode(this_machine())
        self.path = folder / f"{date.today()}-{slug(processor())}.json"
        for path in folder.glob("*.json"):
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["code"] == self._code and document["machine"]["cpu"] == processor():
                rows = (decode(Row, row) for row in document["rows"])
                self.rows = {row.setting: row for row in rows}
                self.first_use, self.path = document["first_use"], path

    def add(self, row: Row) -> None:
        """Keep a row."""
        self.rows[row.setting] = row
        self.write()

    def write(self) -> None:
        """Write all rows, one a line."""
        head = {"code": self._code, "machine": self._machine, "first_use": self.first_use}
        rows = ",\n".join(json.dumps(encode(row), allow_nan=False) for row in self.rows.values())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, f'{json.dumps(head)[:-1]}, "rows": [\n{rows}\n]}}\n')


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first column is a name."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def name_of(setting: Setting) -> str:
    """What a row is of, without its share of zeros."""
    kind = "gated " if setting.gated else ""
    threads = f", {setting.threads} threads" if setting.threads > 1 else ""
    return f"{kind}{setting.width} x {setting.hidden} {setting.dtype}{threads}"


def measured_line(row: Row) -> list[str]:
    """The figures of a row beside its stock ways."""
    speed, best = row.speedups, row.best_stock
    ours = speed[RELUCID]
    plain = speed.get(UNCERTIFIED)
    return [
        name_of(row.setting),
        f"{row.zeros:.3f}",
        f"{row.times[DENSE].median / 1e3:,.0f}",
        f"{row.times[RELUCID].median / 1e3:,.0f}",
        f"{ours.median:.2f} ({ours.low:.2f} to {ours.high:.2f})",
        "" if plain is None else f"{plain.median:.2f}",
        "" if not best else f"{best} {speed[best].median:.2f}",
        "" if row.over_stock is None else f"{row.over_stock.median:.2f}",
        f"{speed[AGAIN].median:.3f}" + (" discarded" if row.discarded else ""),
        f"{row.errors[RELUCID]:.1e} ({row.errors[DENSE]:.1e})",
    ]


HEADS = (
    "weights", "zeros", "dense, µs", "relucid, µs", "times dense (quartiles)", "no certificates",
    "best stock", "over best stock", "control", "error (dense's)",
)  # fmt: skip


def grid_table(rows: Sequence[Row]) -> str:
    """Times dense by batch and dtype, and by share of zeros."""
    zeros = sorted({row.setting.zeros for row in rows})
    found = {(r.setting.dtype, r.setting.batch, r.setting.zeros): r for r in rows}
    lines = []
    for dtype, batch in dict.fromkeys((dtype, batch) for dtype, batch, _ in found):
        cells = (found.get((dtype, batch, share)) for share in zeros)
        shown = ("" if r is None or r.discarded else f"{ours(r):.2f}" for r in cells)
        lines.append([f"{dtype}, batch {batch}", *shown])
    return table(["times dense", *map(str, zeros)], lines)


def ours(row: Row) -> float:
    """The dense time over relucid's."""
    return row.speedups[RELUCID].median


@dataclass(frozen=True)
class Target:
    """What the rows that it is about have to reach, each or (``mean``) on geometric average."""

    title: str
    about: Callable[[Setting], bool]
    figure: Callable[[Row], float]
    bound: float
    mean: bool = False

    def told(self, rows: Sequence[Row]) -> str:
        """The verdict in a line."""
        figures = {r.setting: self.figure(r) for r in rows if self.about(r.setting)}
        if not figures:
            return f"{self.title}: not measured"
        worst = min(figures, key=lambda setting: figures[setting])
        figure = geometric_mean(figures.values()) if self.mean else figures[worst]
        verdict = "met" if figure >= self.bound else "MISSED"
        where = "" if self.mean else f" at {name_of(worst)}, zeros {worst.zeros:g}"
        if worst.part == "grid" and not self.mean:
            where += f", batch {worst.batch}"
        return (
            f"{verdict}: {self.title}: {figure:.2f} of {self.bound:g}{where} ({len(figures)} rows)"
        )


def over_stock(row: Row) -> float:
    """The best stock way's time over relucid's."""
    assert row.over_stock is not None
    return row.over_stock.median


def network(dtype: str, zeros: float, gated: bool = False) -> Callable[[Setting], bool]:
    """Choose rows of whole blocks."""
    wanted = ("networks", dtype, zeros, gated)
    return lambda s: (s.part, s.dtype, s.zeros, s.gated) == wanted


def second(threads: int, zeros: bool) -> Callable[[Setting], bool]:
    """Choose rows of the second product, with zeros or without."""
    return lambda s: s.part == "second" and s.threads == threads and (s.zeros > 0) == zeros


TARGETS = (
    Target("second product, times dense x (1 - zeros)", second(1, True),
           lambda row: ours(row) * (1 - row.setting.zeros), 0.8),
    Target("second product, over best stock", second(1, True), over_stock, 1.0),
    Target("second product without zeros, times dense", second(1, False), ours, 0.95),
    Target("second product, two threads, over best stock", second(2, True), over_stock, 1.5),
    Target("block, zeros 0.9, times dense", network("float32", 0.9), ours, 3.0),
    Target("block, zeros 0.95, times dense", network("float32", 0.95), ours, 3.5),
    Target("gated block, zeros 0.9, times dense", network("float32", 0.9, True), ours, 3.0),
    Target("bfloat16 block, zeros 0.9, times dense", network("bfloat16", 0.9), ours, 1.5),
    Target("grid, worst cell, times dense", lambda s: s.part == "grid", ours, 0.95),
    Target("grid, mean, times dense", lambda s: s.part == "grid", ours, 1.5, mean=True),
)  # fmt: skip


def wrong(row: Row) -> bool:
    """Whether relucid is further from float64 than the dense network by more than is allowed."""
    allowed = 1e-6 if row.setting.dtype == "float32" else 2.0**-8
    return row.errors[RELUCID] > row.errors[DENSE] + allowed


def show(kept: Kept, parts: Sequence[str]) -> int:
    """Print tables and verdicts; return how many rows have wrong outputs."""
    rows = [row for row in kept.rows.values() if row.setting.part in parts]
    for part in PARTS:
        of_part = [row for row in rows if row.setting.part == part]
        if of_part and part != "grid":
            print(f"## {part}\n\n{table(HEADS, [measured_line(row) for row in of_part])}")
        elif of_part:
            print(f"## {part}\n\n{grid_table(of_part)}")
    counted = [row for row in rows if not row.discarded]
    for target in TARGETS:
        print(f"- {target.told(counted)}")
    print(f"- {len(rows) - len(counted)} of {len(rows)} rows discarded")
    if kept.first_use:
        cold, warm = kept.first_use
        print(f"- first use of a block, calibration included: {cold:.2f} s, then {warm:.2f} s")
    broken = [row.setting for row in rows if wrong(row)]
    for setting in broken:
        print(f"- WRONG OUTPUT: {setting}")
    return len(broken)


def run(kept: Kept, wanted: Sequence[Setting], seconds: float, again: bool) -> None:
    """Measure the rows that are not there."""
    missing = [
        s for s in wanted if again or s not in kept.rows or kept.rows[s].discarded
    ]  # fmt: skip
    with Progress(console=Console(stderr=True)) as progress:
        for setting in progress.track(missing, description="Measuring"):
            kept.add(measure(setting, seconds))


def main() -> int:
    """Measure, keep and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), help="by default all")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the second")
    parser.add_argument("--seconds", type=float, default=1.0, help="for a row")
    parser.add_argument("--again", action="store_true", help="measure all rows again")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    given = parser.parse_args()
    parts = given.parts or PARTS
    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
    kept = Kept(given.results)
    if not kept.first_use or given.again:
        kept.first_use = list(first_use())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RELUCID_CACHE"] = folder
        with torch.inference_mode():
            run(kept, list(settings(parts, given.threads)), given.seconds, given.again)
    kept.write()
    return int(show(kept, parts) > 0)


if __name__ == "__main__":
    raise SystemExit(main())
