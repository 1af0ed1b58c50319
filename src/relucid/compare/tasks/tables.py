"""Tables as CSV: a class or a number, told from the other columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from relucid.compare.subject import Subject
from relucid.compare.tasks.networks.choose import Build, chosen
from relucid.compare.tasks.networks.dense import mlp
from relucid.compare.tasks.networks.optimizer import adam
from relucid.compare.tasks.reading.delimited import Table, is_table, read_table
from relucid.compare.tasks.reading.encode import Encoded, encode
from relucid.compare.tasks.reading.folder import files_at, listed
from relucid.compare.tasks.reading.limits import check_enough, plain
from relucid.compare.tasks.reading.target import Predict, Target, read_target
from relucid.errors import DataError, ParameterError

TITLE = "tables (.csv, .tsv, gzip or not)"
NAMES = ()


def find(path: Path) -> Sequence[Path]:
    """Return the files that are called tables."""
    return [file for file in files_at(path) if is_table(file)]


def subject(
    what: str,
    *,
    model: str = "mlp",
    target: str | int | None = None,
    samples: int = 50_000,
    predict: Predict | None = None,
    header: bool | None = None,
) -> Subject:
    """Tell one column of a table from the others.

    A target of words is a class. So is one of at most 20 different whole numbers with 5 rows each
    on average; one of other numbers is a number, which is standardised: a squared error of 1 is
    that of the mean. Rows without a target are left out.

    Args:
        what: the file, or a folder that holds one table.
        model: ``"mlp"``.
        target: the name of the column, or its number from 1; None is the last.
        samples: the most rows that are kept; of more than 40 columns, the most that have 2
            million cells.
        predict: ``"class"`` or ``"number"``, to decide it.
        header: whether the first row names the columns; None looks at what is in it.

    Raises:
        DataError: where the file is damaged (with the line) or nothing can be learnt from it.
        ParameterError: for an option that makes no sense.

    """
    if predict not in (None, "class", "number"):
        raise ParameterError(f"predict must be 'class' or 'number', not {predict!r}")
    path = _one(Path(what))
    table = read_table(path, header, samples)
    check_enough(len(table.places), path, "rows")
    place = _place(path, table, target)
    name = table.names[place]
    goal = read_target(table.columns[place], predict, f"{path}, target {name!r}")
    encoded = _encoded(path, table, place, goal)
    networks: dict[str, Build] = {
        "mlp": partial(mlp, inputs=encoded.inputs.shape[1], outputs=goal.outputs)
    }
    used = len(table.names) - 1 - len(encoded.left_out)
    return Subject(
        f"{plain(path.name)}: {name} ({goal.described}) from {used} columns, {model.upper()}",
        chosen(networks, model, TITLE),
        (torch.from_numpy(encoded.inputs), goal.values),
        functional.mse_loss if goal.is_number else functional.cross_entropy,
        adam,
        "loss" if goal.is_number else "accuracy",
    )


def _one(path: Path) -> Path:
    files = find(path) if path.is_dir() else [path]
    if len(files) != 1:
        raise DataError(
            f"{str(path)!r} holds {listed(files) or 'no table'}; give the one table to learn from"
        )
    return files[0]


def _place(path: Path, table: Table, target: str | int | None) -> int:
    """Return where the target is: by its name, else by its number from 1."""
    if target is None:
        return len(table.names) - 1
    if str(target) in table.names:
        return table.names.index(str(target))
    number = int(target) if str(target).isdecimal() else 0
    if not 1 <= number <= len(table.names):
        raise DataError(
            f"{str(path)!r} has no column {target!r}; give target= one of "
            f"{', '.join(map(repr, table.names[:20]))} or a number from 1 to {len(table.names)}"
        )
    return number - 1


def _encoded(path: Path, table: Table, place: int, target: Target) -> Encoded:
    rows = np.flatnonzero(target.known)
    columns = {
        name: [cells[row] for row in rows]
        for index, (name, cells) in enumerate(zip(table.names, table.columns, strict=True))
        if index != place
    }
    encoded = encode(columns, [table.places[row] for row in rows])
    if encoded.inputs.shape[1] == 0:
        reasons = "; ".join(f"{name!r}: {why}" for name, why in encoded.left_out.items())
        raise DataError(f"{str(path)!r}: no column tells anything of the target ({reasons})")
    return encoded
