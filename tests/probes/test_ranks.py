"""Counts added over two processes of torch.distributed, against one that saw all the data."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from relucid.probes import watch

CASES = ("even", "uneven", "other")
SCRIPT = """
import json, sys
import torch
import torch.distributed as dist
from torch import nn
from relucid.errors import ModelError
from relucid.probes import watch

def merged(rank, case):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(-1))
    if case == "other" and rank == 1:
        model = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3), nn.Softmax(-1))
    with torch.no_grad():
        model[0].bias[:6] -= 1.6  # units that fire seldom
    data = torch.randn(10, 16, 6)
    mine = data[:4] if rank == 0 else data[4 : 10 if case == "uneven" else 8]
    with watch(model, window=2) as probe:
        for batch in mine:
            model(batch).square().sum().backward()
    before = probe.records().sites[0].fired.tolist()
    try:
        found = probe.merge_ranks()
    except ModelError as error:
        return {"error": str(error)}
    again = probe.merge_ranks()
    site, history = found.sites[0], found.sites[0].history
    assert probe.records().sites[0].fired.tolist() == before
    assert again.sites[0].fired.tolist() == site.fired.tolist()
    return {
        "batches": found.batches, "samples": found.samples, "fired": site.fired.tolist(),
        "elements": site.elements, "mean": site.mean.tolist(), "layer": site.layer.name,
        "gradient": site.gradient.rms, "backward": site.gradient.batches,
        "vector": found.sites[1].gradient.rms, "passes": history.passes.tolist(),
        "rate": history.fire_rate.tolist(), "step": history.step.tolist(),
        "scale": history.scale.tolist(), "quiet": history.quiet.tolist(),
    }

rank, meeting, *cases = sys.argv[1:]
dist.init_process_group("gloo", f"file://{meeting}", rank=int(rank), world_size=2)
print(json.dumps({case: merged(int(rank), case) for case in cases}))
dist.barrier()
dist.destroy_process_group()  # else one exit in eighty is an abort: gloo's threads still run
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes finds in each case: to start them takes longer than the cases."""
    meeting = tmp_path_factory.mktemp("ranks") / "meeting"
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(meeting), *CASES],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        done = [rank.communicate(timeout=300) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert all(rank.returncode == 0 for rank in ranks), done
    first, second = (json.loads(out) for out, _ in done)
    return {case: (first[case], second[case]) for case in CASES}


@pytest.mark.parametrize("case", ["even", "uneven"])
def test_sums_over_ranks(ranks, case):
    first, second = ranks[case]
    assert first == second
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(-1))
    with torch.no_grad():
        model[0].bias[:6] -= 1.6
    data = torch.randn(10, 16, 6)[: 10 if case == "uneven" else 8]
    with watch(model) as probe:
        for batch in data:
            model(batch).square().sum().backward()
    site, vector = probe.records().sites
    assert first["batches"] == len(data) and first["samples"] == 16 * len(data)
    assert first["fired"] == site.fired.tolist() and first["elements"] == site.elements
    assert first["layer"] == "0" and first["backward"] == len(data)
    np.testing.assert_allclose(first["mean"], site.mean)
    assert first["gradient"] == pytest.approx(site.gradient.rms)
    assert first["vector"] == pytest.approx(vector.gradient.rms)
    # Pass by pass, each point is that of both ranks' batches, where both had one.
    rate, squares = site.history.fire_rate, site.history.scale**2
    pairs = [[rank for rank in (step, step + 4) if rank < len(data)] for step in range(4)]
    pairs += [[rank] for rank in range(8, len(data))]
    np.testing.assert_allclose(first["rate"], [rate[pair].mean() for pair in pairs])
    np.testing.assert_allclose(first["scale"], [squares[pair].mean() ** 0.5 for pair in pairs])
    assert first["passes"] == [1] * len(pairs), "those of one rank"
    assert first["step"] == list(range(len(pairs)))
    # Since a unit last fired on any rank, whose own passes count.
    fires = (model[0](data) > 0).any(1)
    quiet = [[len(own) - max([0, *(own.nonzero()[:, 0] + 1).tolist()]) for own in fires_on.T]
             for fires_on in (fires[:4], fires[4:])]  # fmt: skip
    assert first["quiet"] == [min(pair) for pair in zip(*quiet, strict=True)]
    assert any(first["quiet"]), "else the case shows nothing"


def test_other_sites_on_a_rank_are_an_error_on_both(ranks):
    first, second = ranks["other"]
    assert first == second
    assert "rank 1 lacks '1': relu() of 8 units" in first["error"]
    assert "rank 1 alone has '1': gelu() of 8 units" in first["error"]


def test_without_a_process_group_it_is_the_own_record():
    with watch(model := nn.ReLU()) as probe:
        model(torch.randn(4, 3))
    np.testing.assert_array_equal(
        probe.merge_ranks().sites[0].fired, probe.records().sites[0].fired
    )
