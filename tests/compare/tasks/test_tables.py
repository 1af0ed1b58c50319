"""Tables beside an independent reading, and everything that may be wrong with them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from relucid.compare.subject import Subject
from relucid.compare.tasks import task
from relucid.errors import DataError, ParameterError
from support.task_files import real, run

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text, newline="")
        return path

    return write


def _scaled(values: list[float]) -> list[float]:
    return list((np.array(values) - np.mean(values)) / np.std(values))


def _inputs(subject: Subject) -> np.ndarray:
    values: np.ndarray = subject.data[0].double().numpy()
    return values


SIZES = [3.5, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0, 5.0, 3.0, 5.5]
COLOURS = ["red", "blue", "red", "red", "green", "blue", "red", "blue", "red", "red"]
GOALS = ["yes", "no", "no", "yes", "yes", "no", "no", "yes", "yes", "no"]


def test_numbers_words_and_classes(write: Write) -> None:
    rows = [f"{s},{c},{g}\n" for s, c, g in zip(SIZES, COLOURS, GOALS, strict=True)]
    subject = task(write("size,colour,goal\n" + "".join(rows)))
    inputs = _inputs(subject)
    np.testing.assert_allclose(inputs[:, 0], _scaled(SIZES), rtol=1e-6)
    # red, then blue by their frequency, and the one that occurs once behind them
    for column, colour in enumerate(("red", "blue", "green"), start=1):
        assert inputs[:, column].tolist() == [float(c == colour) for c in COLOURS]
    assert inputs.shape[1] == 4
    assert subject.data[1].tolist() == [int(goal == "yes") for goal in GOALS]
    assert subject.metric == "accuracy" and subject.loss is functional.cross_entropy
    assert subject.name == "table.csv: goal (2 classes) from 2 columns, MLP"


def test_a_number_is_standardised(write: Write, tmp_path: Path) -> None:
    goals = [0.5, 2.5, 1.5, 9.5, 3.5, 2.0, 4.0, 8.0, 1.0, 7.0]
    subject = task(write("".join(f"{s};{g}\r\n" for s, g in zip(SIZES, goals, strict=True))))
    assert subject.metric == "loss" and subject.loss is functional.mse_loss
    assert subject.name == "table.csv: column 2 (number) from 1 columns, MLP"
    assert subject.data[1].shape == (10, 1)
    with pytest.raises(ParameterError, match="must be 'loss', not 'accuracy'"):
        task(tmp_path / "table.csv", metric="accuracy")
    np.testing.assert_allclose(subject.data[1].flatten(), _scaled(goals), rtol=1e-5)


@pytest.mark.parametrize("unknown", ["", "NA", "nan", "?", "null", " N/A ", "inf", "what"])
def test_a_missing_number_is_the_mean_and_told(write: Write, unknown: str) -> None:
    cells = [*map(str, SIZES)]
    cells[4] = unknown
    rows = "".join(f"{cell},{i % 2}\n" for i, cell in enumerate(cells))
    inputs = _inputs(task(write("size,goal\n" + rows), header=True))
    present = [size for size in SIZES if size != 9.0]
    np.testing.assert_allclose(np.delete(inputs[:, 0], 4), _scaled(present), atol=1e-6)
    assert inputs[4, 0] == 0.0
    assert inputs[:, 1].tolist() == [0.0] * 4 + [1.0] + [0.0] * 5


def test_a_missing_word_is_a_word(write: Write) -> None:
    rows = "".join(f"{'' if i % 3 else 'x'},{i % 2}\n" for i in range(12))
    inputs = _inputs(task(write("word,goal\n" + rows)))
    assert inputs[:, 0].tolist() == [float(i % 3 > 0) for i in range(12)]
    assert inputs.shape[1] == 2


def test_columns_that_tell_nothing_are_left_out(write: Write) -> None:
    rows = "".join(f"{i + 1},7,name{i},{s},{i % 2}\n" for i, s in enumerate(SIZES))
    subject = task(write("id,same,name,size,goal\n" + rows))
    assert _inputs(subject).shape == (10, 1)
    np.testing.assert_allclose(_inputs(subject)[:, 0], _scaled(SIZES), rtol=1e-6)
    assert "from 1 columns" in subject.name
    only = "".join(f"7,{i % 2}\n" for i in range(10))
    with pytest.raises(DataError, match=r"no column tells anything .*'same': it holds one value"):
        task(write("same,goal\n" + only))


def test_ten_thousand_words_share_an_input(write: Write) -> None:
    words = [f"w{i % 10_000}" if i % 5 else f"often{i % 4}" for i in range(15_000)]
    rows = "".join(f"{word},{i % 2}\n" for i, word in enumerate(words))
    inputs = _inputs(task(write("word,goal\n" + rows)))
    assert inputs.shape == (15_000, 32)
    assert (inputs.sum(1) == 1.0).all()
    assert inputs[:, 0].sum() == inputs[:, 3].sum() == words.count("often0")


@pytest.mark.parametrize(
    ("goals", "kind"),
    [
        ([i % 3 for i in range(30)], "3 classes"),
        ([i % 3 + 0.5 for i in range(30)], "number"),
        ([i % 21 for i in range(210)], "number"),  # 20 different ones at most
        ([i % 20 for i in range(100)], "20 classes"),  # 5 rows each
        ([i % 20 for i in range(99)], "number"),
        ([f"{i % 2}.0" for i in range(30)], "2 classes"),
    ],
)
def test_the_rule_for_class_or_number(write: Write, goals: list[object], kind: str) -> None:
    path = write("size,goal\n" + "".join(f"{i * i},{g}\n" for i, g in enumerate(goals)))
    assert f"({kind})" in task(path).name
    assert "(number)" in task(path, predict="number").name
    assert "classes)" in task(path, predict="class").name


@pytest.mark.parametrize("target", ["goal", "2", 2])
def test_the_target_by_name_or_number(write: Write, target: object) -> None:
    path = write("size,goal,other\n" + "".join(f"{s},{i % 2},{-s}\n" for i, s in enumerate(SIZES)))
    subject = task(path, target=target)
    assert subject.data[1].tolist() == [0, 1] * 5
    np.testing.assert_allclose(_inputs(subject)[:, 1], -_inputs(subject)[:, 0], rtol=1e-6)


@pytest.mark.parametrize("target", ["Goal", "0", 4, "-1"])
def test_a_target_that_there_is_not(write: Write, target: object) -> None:
    path = write("size,goal,other\n" + "1,2,3\n2,3,4\n" * 5)
    with pytest.raises(DataError, match=r"no column .*'size', 'goal', 'other' or a number from 1"):
        task(path, target=target)


def test_rows_without_a_target_are_left_out(write: Write) -> None:
    rows = "".join(f"{i * i},{'nan' if i in (3, 7) else i % 2}\n" for i in range(14))
    subject = task(write("size,goal\n" + rows))
    assert subject.data[1].tolist() == [i % 2 for i in range(14) if i not in (3, 7)]
    kept = [float(i * i) for i in range(14) if i not in (3, 7)]
    np.testing.assert_allclose(_inputs(subject)[:, 0], _scaled(kept), rtol=1e-6, atol=1e-7)
    assert "2 classes, 2 rows without it left out" in subject.name


@pytest.mark.parametrize(
    ("first", "named"),
    [
        ("size,goal", True),
        ("3,goal", False),  # a number names no column
        (",goal", True),  # as pandas writes its index: below it are numbers
    ],
)
def test_a_header_is_known(write: Write, first: str, named: bool) -> None:
    path = write(first + "\n" + "".join(f"{i * i % 11},{'ab'[i % 2]}\n" for i in range(12)))
    assert len(task(path).data[1]) == (12 if named else 13)
    assert len(task(path, header=True).data[1]) == 12


def test_words_that_repeat_are_no_header(write: Write) -> None:
    path = write(
        "x,x,a\n" + "".join(f"{'xyz'[i % 3]},{'xy'[i % 2]},{'ab'[i % 2]}\n" for i in range(12))
    )
    assert len(task(path).data[1]) == 13


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiters_quotes_and_gzip(tmp_path: Path, mark: str) -> None:
    rows = [f'"a{mark}""b""\nc"{mark}{i * i}{mark}{i % 2}' for i in range(12)]
    path = tmp_path / "table.csv.gz"
    path.write_bytes(
        gzip.compress("\n".join([f"word{mark}size{mark}goal", *rows, "", ""]).encode())
    )
    subject = task(path)
    assert len(subject.data[1]) == 12
    assert "goal (2 classes) from 1 columns" in subject.name  # the words are all the same


def test_a_draw_keeps_rows_whole(write: Write) -> None:
    values = [(i * 37) % 1009 for i in range(1000)]
    path = write("up,down,goal\n" + "".join(f"{v},{-v},{int(v > 500)}\n" for v in values))
    subject = task(path, samples=100)
    inputs, goals = _inputs(subject), subject.data[1].numpy()
    assert len(goals) == 100
    np.testing.assert_allclose(inputs[:, 0], -inputs[:, 1], rtol=1e-6)
    assert inputs[goals == 0, 0].max() < inputs[goals == 1, 0].min()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; give a table"),
        ("\n\n", "is empty; give a table"),
        ("a\n1\n2\n", "the first row has 1 cells; a table for a task has 2"),
        ("size,goal\n1,2\n", "1 rows are too few .* at least 50"),
        ("size,goal\n" + "1,2\n" * 12 + "1,2,3\n" * 3, "line 14 has 3 cells, and the first row 2"),
        ("size,goal\n" + '"x\ny",2\n' * 6 + "1\n", "line 14 has 1 cells"),
        ("a,b,a\n" + "1,2,3\n" * 12, "columns 1 and 3 are both called 'a'; rename one"),
        ("size,goal\n" + "1,x\n2,x\n" * 6, "'goal': all 12 samples are of one class, 'x'"),
        ("size,goal\n" + "1,0.5\n2,0.5\n" * 6, "'goal': it is 0.5 in all rows"),
        ("size,goal\n" + "1,\n2,NaN\n" * 6, "'goal': 0 rows with a target are too few"),
        ("size,goal\n" + "1,nan\n2,3\n" * 6, "'goal': 6 rows with a target are too few"),
        ("size,goal\n" + '1,2\n"3,4\n' + "5,6\n" * 400_000, "longer than|field larger than"),
        ("size,goal\n1," + "9" * 2**21, "line 2 is longer than 1,048,576 characters"),
        ("size,goal\n1,\0\n", "line 2 holds a byte 0"),
        ("a," * 10_000 + "a\n", "the first row has 10001 cells; a table for a task has 2 to 10000"),
        (
            "size,goal\n" + "".join(f"{i % 7},w{i}\n" for i in range(1001)),
            "1001 different values are no classes .at most 1000.; choose another target",
        ),
    ],
)
def test_tables_that_cannot_be_learnt(write: Write, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        task(write(text))


def test_words_are_no_number(write: Write) -> None:
    path = write("size,goal\n" + "1,x\n2,y\n" * 6)
    with pytest.raises(DataError, match="'goal': it holds 'x', and is no number"):
        task(path, predict="number")
    with pytest.raises(ParameterError, match="'class' or 'number', not 'both'"):
        task(path, predict="both")


def test_two_tables_in_a_folder(tmp_path: Path) -> None:
    for name in ("a.csv", "b.tsv"):
        (tmp_path / name).write_text("size,goal\n")
    with pytest.raises(DataError, match=r"holds 'a.csv', 'b.tsv'; give the one table"):
        task(tmp_path)


def test_bytes_that_are_no_utf8_are_latin(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = b"".join(
        b"%s,%d\n" % (b"Caf\xe9" if i % 2 else "Café".encode(), i % 3) for i in range(12)
    )
    path.write_bytes(b"\xef\xbb\xbfGr\xf6\xdfe,goal\n" + b"1,0\n" + rows)
    subject = task(path, target="Größe")
    assert "Größe (2 classes)" in subject.name


def test_huge_numbers_stay_finite(write: Write) -> None:
    rows = "".join(f"{(-1) ** i * 10.0 ** (300 + i % 8)},{i % 2}\n" for i in range(20))
    inputs = _inputs(task(write("size,goal\n" + rows)))
    assert np.isfinite(inputs).all()
    assert np.isclose(inputs.std(), 1.0)


def test_control_characters_do_not_reach_the_terminal(write: Write) -> None:
    subject = task(write("size,\x1b[31mgoal\n" + "1,2\n3,4\n" * 5 + "5,4\n"))
    assert subject.name.isprintable()


def test_a_class_and_a_number_are_learnt(write: Write) -> None:
    generator = np.random.default_rng(0)
    points = generator.normal(size=(400, 2))
    rows = "".join(
        f"{a:.4f},{b:.4f},{'in' if a * b > 0 else 'out'},{a * b:.4f}\n" for a, b in points
    )
    path = write("a,b,kind,product\n" + rows)
    _, last = run(task(path, target="product"), 200)
    assert last.loss < 0.4  # 1 is that of the mean
    (path.parent / "kind.csv").write_text(
        "".join(f"{line[: line.rfind(',')]}\n" for line in rows.splitlines())
    )
    _, last = run(task(path.parent / "kind.csv"), 200)
    assert last.quality > 0.85


def test_credit_default_is_read_exactly_and_learnt() -> None:
    path = real("credit-default") / "credit_default.csv"
    stored = np.loadtxt(path, delimiter=",", skiprows=1)
    subject = task(path)
    # The first column counts the rows.
    np.testing.assert_allclose(
        _inputs(subject),
        (stored[:, 1:-1] - stored[:, 1:-1].mean(0)) / stored[:, 1:-1].std(0),
        rtol=1e-5,
        atol=1e-6,
    )
    assert np.array_equal(subject.data[1], stored[:, -1])
    first, last = run(subject, 150)
    # 22.1% of the clients default: the entropy of that is 0.528, and 0.779 the larger class.
    assert last.loss < 0.47 < 0.528 < first.loss
    assert last.quality > 0.80


def test_a_column_of_credit_default_is_told_as_a_number() -> None:
    path = real("credit-default") / "credit_default.csv"
    subject = task(path, target="X12", samples=5000)
    assert subject.data[1].dtype == torch.float32
    _, last = run(subject, 200)
    assert last.loss < 0.3


def test_pandas_reads_the_same(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "table.csv"
    rows = [
        f'{i % 4},"{"ab"[i % 2]}, x",{"" if i % 5 == 0 else i * 0.37},{i % 3}' for i in range(40)
    ]
    path.write_text("\n".join(["n,word,part,goal", *rows]))
    frame = pandas.read_csv(path)
    subject = task(path)
    part = (frame["part"] - frame["part"].mean()) / frame["part"].std(ddof=0)
    expected = np.stack(
        [
            (frame["n"] - frame["n"].mean()) / frame["n"].std(ddof=0),
            frame["word"] == "a, x",
            frame["word"] == "b, x",
            part.fillna(0.0),
            frame["part"].isna(),
        ],
        axis=1,
    ).astype(float)
    np.testing.assert_allclose(_inputs(subject), expected, rtol=1e-5, atol=1e-6)
    assert subject.data[1].tolist() == frame["goal"].tolist()
