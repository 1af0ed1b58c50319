"""What is asked of a model that was shrunk: planted units, outputs, gradients, its later life."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from relucid.records.receipt import Kind, Receipt
from support.shrink_zoo import Case, Inputs, cast, run


def missing(case: Case, receipt: Receipt) -> list[str]:
    """Name planted units that did not go, and units that are always on and should not have gone."""
    found = []
    for planted in case.planted:
        constant = units(receipt, planted.path, Kind.CONSTANT)
        on = units(receipt, planted.path, Kind.ALWAYS_ON) & set(planted.on)
        stayed = sorted(set(planted.constant) - constant)
        if stayed or len(on) != planted.spare:
            spared = f"{len(on)} of {planted.spare} always on went"
            found.append(f"{case.name}, {planted.path}: {stayed} stayed, {spared}")
    return found


def units(receipt: Receipt, path: str, kind: Kind | None = None) -> set[int]:
    """Return the units of a layer that went."""
    (layer,) = (one for one in receipt.layers if one.path == path)
    return {u for r in layer.removed if kind in (None, r.kind) for u in r.units}


def apart(before: nn.Module, after: nn.Module, inputs: Inputs) -> Tensor:
    """Return for each input the largest difference over the largest size of the first output."""
    wanted, made = (run(model, inputs).flatten(1) for model in (before, after))
    return (wanted - made).abs().amax(1) / wanted.abs().amax(1)


def largest(before: nn.Module, after: nn.Module, batches: Iterator[Inputs]) -> float:
    """Return the largest relative difference over batches."""
    with torch.no_grad():
        return max(float(apart(before, after, batch).max()) for batch in batches)


def random_batches(case: Case, count: int, at_once: int, dtype: torch.dtype) -> Iterator[Inputs]:
    """Yield random inputs of the domain."""
    for seed in range(0, count, at_once):
        yield cast(case.keywords(min(at_once, count - seed), seed + 1), dtype)


def adversarial_batches(
    case: Case, before: nn.Module, after: nn.Module, count: int, at_once: int, dtype: torch.dtype
) -> Iterator[Inputs]:
    """Yield corners of the domain, and each again after gradient ascent on the difference."""
    for seed in range(0, count // 2, at_once):
        batch = cast(case.corners(min(at_once, count // 2 - seed), seed + 1), dtype)
        yield batch
        yield ascended(case, before, after, batch)


@torch.enable_grad()
def ascended(
    case: Case, before: nn.Module, after: nn.Module, start: Inputs, steps: int = 4
) -> dict[str, Tensor]:
    """Move inputs, within the domain, to where the models differ more."""
    moved = {name: x.clone() for name, x in start.items()}
    for _ in range(steps):
        leaves = {name: x.requires_grad_() for name, x in moved.items()}
        wanted, made = run(before, leaves), run(after, leaves)
        difference = (wanted - made).abs().flatten(1).amax(1).sum()
        slopes = torch.autograd.grad(difference, list(leaves.values()))
        moved = {
            name: case.clamped(x.detach() + 0.1 * x.detach().abs().max() * slope.sign())
            for (name, x), slope in zip(leaves.items(), slopes, strict=True)
        }
    return moved


def wrong_gradients(case: Case, after: nn.Module, receipt: Receipt) -> list[str]:
    """Name parameters whose gradients are not slices of the original's.

    Units that are always on and stay take over from those that went: theirs are left out.
    """
    inputs = cast(case.keywords(6, 99), torch.float64)
    old, new = (gradients(model, inputs) for model in (case.model, after))
    known = {one.path: (units(receipt, one.path), set[int]()) for one in receipt.layers}
    for planted in case.planted:
        gone = units(receipt, planted.path)
        for module in filter(None, (planted.path, planted.norm)):
            known[module] = (gone, set(planted.on) - gone)
    wrong, noise = [], 1e-12 * max(float(grad.abs().max()) for grad in old.values())
    for name, small in new.items():
        large, (gone, altered) = old.get(name), known.get(name.rpartition(".")[0], (set(), set()))
        if large is None:  # a bias that took constants in
            continue
        stays = [i for i in range(len(large)) if i not in gone]
        kept = [place for place, i in enumerate(stays) if i not in altered]
        if len(stays) == len(small):
            large, small = large[stays][kept], small[kept]
        if not _is_slice(small, large, 1e-5 * float(old[name].abs().max()) + noise):
            wrong.append(name)
    return wrong


def gradients(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    """Return the gradients of all parameters, computed in float64 on a copy."""
    copied = copy.deepcopy(model).double().eval()
    run(copied, inputs).square().mean().backward()
    return {n: p.grad.detach() for n, p in copied.named_parameters() if p.grad is not None}


def _is_slice(small: Tensor, large: Tensor, tolerance: float) -> bool:
    """Whether rows, or else columns, of one tensor are found in the other in the same order."""
    for dim in range(small.ndim):
        if small.shape[dim] != large.shape[dim]:
            rows, candidates = small.movedim(dim, 0), large.movedim(dim, 0)
            if rows.shape[1:] != candidates.shape[1:]:
                return False
            return _in_order(*(x.reshape(len(x), -1) for x in (rows, candidates)), tolerance)
    return bool(((small - large).abs() <= tolerance).all())


def _in_order(rows: Tensor, candidates: Tensor, tolerance: float, at_once: int = 64) -> bool:
    """Whether all rows are among the candidates, in the same order."""
    done = place = 0
    while done < len(rows):
        some = rows[done : done + at_once]
        others = candidates[place : place + len(some)]
        if len(others) < len(some):
            return False
        like = ((some - others).abs() <= tolerance).all(1)
        alike = int(like.long().cumprod(0).sum())  # before the first candidate that is none of them
        done, place = done + alike, place + alike + (alike < len(some))
    return True


def check_later_life(case: Case, after: nn.Module) -> None:
    """Save, load, train a step, take other batch sizes, export; raise where one does not work."""
    written = io.BytesIO()
    torch.save(after.state_dict(), written)
    written.seek(0)
    loaded = copy.deepcopy(after)
    loaded.load_state_dict(torch.load(written, weights_only=True))
    inputs = case.keywords(5, 7)
    with torch.no_grad():
        assert torch.equal(run(loaded, inputs), run(after, inputs))
        assert run(loaded, case.keywords(1, 8)).shape[0] == 1
    loaded.train()
    step = torch.optim.SGD(loaded.parameters(), lr=1e-3)
    loss = run(loaded, inputs).square().mean()
    loss.backward()
    step.step()
    assert torch.isfinite(loss)
    args, keywords = ((inputs["x"],), {}) if "x" in inputs else ((), inputs)
    exported = torch.export.export(after.eval(), args, keywords, strict=False).module()
    given = exported(*args, **keywords)
    given = given if isinstance(given, Tensor) else given[0]
    assert torch.allclose(given, run(after, inputs), atol=1e-5, rtol=1e-4)


def snapshot(model: nn.Module) -> dict[str, object]:
    """Return all that a model holds: numbers, attributes' names, hooks, modes, classes."""
    held: dict[str, object] = {n: x.detach().clone() for n, x in model.state_dict().items()}
    for path, module in model.named_modules():
        hooks = [len(v) for n, v in vars(module).items() if n.endswith("_hooks")]
        held[f"{path}()"] = (type(module), sorted(vars(module)), hooks, module.training)
    for name, one in model.named_parameters():
        held[f"{name}.grad"] = (one.requires_grad, one.grad is None, id(one))
    return held


def changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Name what differs between two snapshots."""
    return sorted(
        name for name in before.keys() | after.keys()
        if not _same(before.get(name), after.get(name))
    )  # fmt: skip


def _same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return one == other
