"""Models that are trained in parallel: replicas in threads, and processes over gloo."""

import threading

import pytest
import torch
from torch import nn

from relucid.probes import watch
from support import two_ranks
from support.calling import ConvNet, Mlp


def test_data_parallel_without_a_gpu_runs_the_module_itself():
    model, x = nn.DataParallel(Mlp(), device_ids=[]), torch.randn(4, 6)
    with watch(model) as probe:
        model(x)
    assert [s.site.name for s in probe.records().sites] == ["module.act"]


def test_data_parallel_over_several_devices_is_listed():
    model = nn.DataParallel(Mlp(), device_ids=[])
    model.device_ids = [0, 1]
    (missed,) = watch(model).records().unobserved
    assert missed.name == "DataParallel" and "watch the module inside" in missed.reason


def replica(module):
    """Copy a module as DataParallel does, weights in the graph, hooks shared."""
    copied = module._replicate_for_data_parallel()
    for name, child in module._modules.items():
        copied._modules[name] = replica(child)
    for name, parameter in module._parameters.items():
        setattr(copied, name, None if parameter is None else parameter * 1)
    return copied


def test_the_module_inside_data_parallel_is_counted_in_its_replicas():
    """One replica at a time is sampled. Each sampled is counted whole."""
    model, passes = ConvNet(), 3

    def scatter():
        found = {}

        def work(i, copied):
            found[i] = copied(torch.randn(2, 1, 12, 12))

        threads = [threading.Thread(target=work, args=(i, replica(model))) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        torch.cat([found[0], found[1]]).sum().backward()

    with watch(model, values=None) as probe:
        for _ in range(passes):
            scatter()
    record = probe.records()
    assert passes <= record.batches <= 2 * passes
    assert [s.site.name for s in record.sites] == ["relu", "relu#2"]
    assert {s.samples for s in record.sites} == {2 * record.batches}
    assert {s.gradient.batches for s in record.sites} == {record.batches}
    assert [s.layer.name for s in record.sites] == ["conv1", "conv2"]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.fixture(scope="module")
def ranks():
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this build of PyTorch has no gloo")
    return two_ranks.run_both()


def sites_alone(rank):
    """The same counts from the plain network, in one process."""
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(rank))
    with watch(model := two_ranks.network(), values=None) as probe:
        model(x)
    return probe.records().sites


@pytest.mark.parametrize("rank", range(two_ranks.WORLD))
@pytest.mark.parametrize(
    ("kind", "prefix"), [("data_parallel", "module."), ("fully_sharded", "")], ids=["DDP", "FSDP2"]
)
def test_processes_that_train_together(ranks, kind, prefix, rank):
    """Same numbers, and each rank counts the sites of its own part of the batch."""
    found, alone = ranks[f"{kind}-{rank}"], sites_alone(rank)
    assert found["equal"] and found["clean"] and not found["unobserved"]
    assert found["sites"] == {f"{prefix}{s.site.name}": [4, 1] for s in alone}
    assert found["fired"] == [s.fired.tolist() for s in alone]
    assert found["layers"] == [f"{prefix}{s.layer.name}" for s in alone]


def test_weights_that_fsdp_has_freed_are_read_from_each_ranks_part(ranks):
    """Mean squares of the two equal parts average to that of the whole."""
    parts = [ranks[f"fully_sharded-{rank}"]["weights"] for rank in range(two_ranks.WORLD)]
    whole = [s.layer.weight_rms for s in sites_alone(0)]
    for one, other, expected in zip(*parts, whole, strict=True):
        assert one != other
        assert ((one**2 + other**2) / 2) ** 0.5 == pytest.approx(expected, rel=1e-6)
