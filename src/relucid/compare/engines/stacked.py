"""Many runs at once, as one batched network: weights, gradients and optimizer states are stacked.

On small networks most of a training step is not arithmetic but calls, and one call for all models
takes little longer than one for one. Each model has the initial weights, batches and steps that
:func:`~relucid.compare.training.train` gives it; results differ by rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relucid.compare.cost import kept_bytes
from relucid.compare.engines.refusal import refused
from relucid.compare.engines.rehearsal import alone
from relucid.compare.engines.together import Report, Together
from relucid.compare.experiment import Experiment, Job
from relucid.compare.training import prepare
from relucid.errors import RelucidError
from relucid.probes.batches import samples_in
from relucid.probes.tensors import bytes_of
from relucid.records.comparison import Trained

MEMORY = 2**27
"""Bytes that the runs trained at once may take, about.

More do not pay. A step of the digits' CNN takes 1.4 ms a model for 30 models and 1.8 to 2.3 for 60:
tensors above some 8 MB come fresh from the system, page by page, at each use.
"""


def run(
    experiment: Experiment,
    jobs: Sequence[Job],
    *,
    report: Report | None = None,
    memory: int = MEMORY,
) -> Iterator[Trained]:
    """Yield runs as they end: those that diverge or are given up at once, the others together.

    ``report`` is told each point of a curve, and says True where that run is to be given up: it
    takes no time from then on. As many runs are stacked as fit into ``memory`` bytes.

    Raises :class:`~relucid.errors.EngineError` before any training, where models differ in more
    than activations, or a run in the stack would not be what it is by itself.
    """
    _check_batches(experiment)
    size = _fitting(experiment, jobs, memory)
    for first in range(0, len(jobs), size):
        yield from Together(experiment, jobs[first : first + size]).all(report)


def check(experiment: Experiment, jobs: Sequence[Job]) -> None:
    """Raise the error that :func:`run` would raise, for one run of each candidate."""
    _check_batches(experiment)
    Together(experiment, list({job.candidate: job for job in jobs}.values()))


def _check_batches(experiment: Experiment) -> None:
    if not experiment.samples.batch:
        raise refused("batches differ in their shapes")


def _fitting(experiment: Experiment, jobs: Sequence[Job], memory: int) -> int:
    """Return how many runs may be stacked, in parts of nearly one size."""
    largest = max(1, memory // next(filter(None, (_bytes(experiment, job) for job in jobs)), 1))
    parts = -(-len(jobs) // largest)
    return -(-len(jobs) // max(parts, 1))


def _bytes(experiment: Experiment, job: Job) -> int:
    """Estimate what one run takes: its model thrice over, and what a batch leaves in it.

    0 for a run that fails at the first batch.
    """
    samples = experiment.samples
    try:
        learner = prepare(experiment, job)
        alone(learner, next(samples.in_order(job.seed)), experiment.subject.loss)
    except RelucidError:
        return 0
    model, kept = bytes_of(learner.model), kept_bytes(learner, experiment)
    rows = max(map(samples_in, samples.held_out), default=0)
    return 6 * model + 2 * kept * max(1, -(-rows // samples.batch))
