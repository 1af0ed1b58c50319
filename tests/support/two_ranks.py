"""Two processes that train together over gloo, each watching its model."""

import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from relucid.probes import watch

WORLD = 2


def network():
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(8, 8), nn.SiLU())
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), inner, nn.Linear(8, 2))


def data_parallel():
    return nn.parallel.DistributedDataParallel(network())


def fully_sharded():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model, mesh = network(), init_device_mesh("cpu", (WORLD,))
    fully_shard(model[2], mesh=mesh)
    return fully_shard(model, mesh=mesh)


def run_both():
    """Train both kinds in two processes; return what each rank found, by kind."""
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_rank, (folder,), nprocs=WORLD)
        for path in sorted(Path(folder).glob("*.pt")):
            report[path.stem] = torch.load(path, weights_only=True)
    return report


def _rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    for build in (data_parallel, fully_sharded):
        torch.save(_found(build(), rank), f"{folder}/{build.__name__}-{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def _found(model, rank):
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(rank))
    plain, hooks = _step(model, x), _hooks(model)
    with watch(model, values=None) as probe:
        watched = _step(model, x)
    again = _step(model, x)
    record = probe.records()
    return {
        "equal": all(map(torch.equal, plain, watched)) and all(map(torch.equal, plain, again)),
        "clean": _hooks(model) == hooks,
        "sites": {s.site.name: [s.samples, s.gradient.batches] for s in record.sites},
        "fired": [torch.from_numpy(s.fired).tolist() for s in record.sites],
        "layers": [s.layer.name for s in record.sites],
        "weights": [s.layer.weight_rms for s in record.sites],
        "unobserved": [one.name for one in record.unobserved],
    }


def _hooks(model):
    """FSDP's own included."""
    return [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]


def _step(model, x):
    model.zero_grad()
    out = model(x)
    out.square().sum().backward()
    gradients = (p.grad for p in model.parameters())
    return [out.detach(), *(_whole(g).clone() for g in gradients)]


def _whole(gradient):
    return gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
