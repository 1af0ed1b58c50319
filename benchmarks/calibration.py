"""How often ``relucid compare`` claims a difference where there is none.

``python benchmarks/calibration.py [--repetitions 200] [--steps 150] [--json calibration.json]``
compares ReLU with itself under another name, over and over, with five new seeds each time. The
other name starts from other weights, or the differences would all be zero. In at most 5% of the
repetitions, but for chance, may it be called better or worse. Then a candidate that is planted
worse (its layers begin with a bias of -3, which leaves most units dead) has to be ranked last with
an interval that excludes no difference.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from functools import partial

import torch
from rich.console import Console
from rich.progress import track
from scipy.stats import binomtest
from torch import nn
from torch.nn.functional import cross_entropy

import relucid
from relucid.compare.asking import experiment_of
from relucid.compare.engines import stacked
from relucid.compare.ranking import ranking
from relucid.compare.subject import Subject
from relucid.demo import load_digits
from relucid.records.comparison import Candidate, Standing, Verdict


@relucid.activation(source="ReLU again, to compare it with itself")
def other_name(m, x):
    """ReLU under another name."""
    return m.maximum(x, 0.0)


@relucid.activation(source="ReLU again, whose layers are given a bias that kills units")
def planted(m, x):
    """ReLU, for the candidate that is made worse."""
    return m.maximum(x, 0.0)


def build(activation) -> nn.Module:
    """An MLP; what differs between candidates is said by the name of the activation."""
    name = activation().declared.name
    if name == "other_name":
        torch.rand(1)  # all that follows is drawn from other random numbers
    model = nn.Sequential(nn.Linear(64, 32), activation(), nn.Linear(32, 10))
    if name == "planted":
        nn.init.constant_(model[0].bias, -3.0)
    return model


def standings(among: tuple[str, ...], seeds: range, steps: int) -> tuple[Standing, ...]:
    """Compare once."""
    digits = load_digits()
    data = (digits.train_images, digits.train_labels)
    optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
    subject = Subject("digits", build, data, cross_entropy, optimizer, "accuracy")
    experiment = experiment_of(subject, among, seeds=tuple(seeds), steps=steps)
    runs = list(stacked.run(experiment, experiment.jobs()))
    candidates = [Candidate(name, 1) for name in among]
    return ranking(runs, candidates, among[0], "accuracy")


def main() -> None:
    """Repeat, and print how often a difference was claimed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    verdicts: Counter[str] = Counter()
    for i in track(range(asked.repetitions), "Comparing", console=Console(stderr=True)):
        found = standings(("relu", "other_name"), range(5 * i, 5 * i + 5), asked.steps)
        verdicts[next(s.verdict for s in found if s.candidate == "other_name")] += 1
    claims = verdicts[Verdict.BETTER] + verdicts[Verdict.WORSE]
    chance = binomtest(claims, asked.repetitions, 0.05, alternative="greater").pvalue
    last = standings(("relu", "other_name", "planted"), range(5), asked.steps)[-1]
    part = claims / asked.repetitions
    print(f"Differences claimed: {claims} of {asked.repetitions} ({part:.1%})")
    print(f"So many or more by chance, were it exactly 5%: {chance:.2f}")
    print(f"Ranked last: {last.candidate}, {last.verdict}, {last.difference}")
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump({"claims": claims, "repetitions": asked.repetitions}, file)


if __name__ == "__main__":
    main()
