"""The store: read back by Optuna itself, and by other processes, of which some are killed."""

import math
import multiprocessing
import os
import signal
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy

import relucid
from relucid.compare import store as store_module
from relucid.compare.experiment import Choice, Job
from relucid.compare.store import Store
from relucid.compare.training import train
from relucid.errors import MissingDependencyError, StoreError
from relucid.records.comparison import Ending, Point, Trained
from support import postgres, stored_runs
from support.engines import PATIENCE
from support.stored_runs import NAMES, carry_out, timeless, tiny

NAN = math.nan
CURVE = (Point(0, 0.7, 0.5, NAN), Point(2, 0.6, 0.6, 0.65), Point(4, 0.5, 0.75, 0.55))
ENDINGS = (
    Trained("relu", 0, Ending.COMPLETE, CURVE, dead=0.25, sparsity=0.5, gradient=1.5, seconds=2.0),
    Trained("elu", 0, Ending.PRUNED, CURVE[:2], "given up after 2 steps"),
    Trained("gelu", 2**62 + 1, Ending.DIVERGED, (CURVE[0], Point(2, NAN, NAN, math.inf)), "NaN"),
    Trained("silu", 1, Ending.FAILED, (), "the worker\ndied \x00"),
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "runs.db"


@pytest.fixture(scope="module")
def server():
    with postgres.server() as started:
        yield started


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def where(request, tmp_path):
    """A new store of each kind."""
    if request.param == "SQLite":
        return str(tmp_path / "runs.db")
    return request.getfixturevalue("server").database()


@pytest.fixture(scope="module")
def uninterrupted():
    """The final table of a comparison that nothing disturbs, without a store."""
    return {job: timeless(train(tiny(), job)) for job in tiny().jobs()}


def studies(where):
    """Return all studies as Optuna reads them, by the beginnings of their names."""
    url = str(where) if "://" in str(where) else f"sqlite:///{where}"
    storage = optuna.storages.RDBStorage(
        url.replace("postgresql:", "postgresql+psycopg:"),
        engine_kwargs={"poolclass": sqlalchemy.NullPool},
    )
    names = optuna.get_all_study_names(storage)
    return {n.partition(":")[0]: optuna.load_study(study_name=n, storage=storage) for n in names}


def jobs_of(study):
    return Counter(Job(t.params["candidate"], t.params["seed"]) for t in study.trials)


def tables(store):
    return {job: timeless(trained) for job, trained in store.done().items()}


# What is kept


def test_runs_of_all_endings_are_read_back(where):
    experiment = tiny(seeds=[0, 1, 2**62 + 1], metric="accuracy")
    store = Store.open(where, experiment)
    for trained in ENDINGS:
        store.add(trained)
    for again in (store, Store.open(where, experiment)):
        complete, pruned, diverged, _ = ENDINGS
        assert repr(list(again.done().values())) == repr([complete, diverged])
        assert repr(list(again.done(pruned=True).values())) == repr([complete, pruned, diverged])
        assert list(again.done()) == [Job("relu", 0), Job("gelu", 2**62 + 1)]


def test_optuna_has_what_its_dashboard_shows(where):
    store = Store.open(where, tiny(seeds=[0, 1, 2**62 + 1], metric="accuracy"))
    for trained in ENDINGS:
        store.add(trained)
    (study,) = studies(where).values()
    assert study.direction.name == "MAXIMIZE"
    assert study.metric_names == ["accuracy"]
    assert study.best_trial.params == {"candidate": "relu", "seed": 0}
    complete, pruned, diverged, failed = study.trials
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED", "FAIL", "FAIL"]
    assert (complete.value, pruned.value, diverged.value, failed.value) == (0.75, 0.6, None, None)
    assert complete.intermediate_values == {0: 0.5, 2: 0.6, 4: 0.75}
    assert math.isnan(diverged.intermediate_values[2])
    assert complete.duration.total_seconds() == 2.0
    assert complete.user_attrs["dead"] == 0.25
    assert pruned.user_attrs["why"] == "given up after 2 steps"
    assert set(complete.distributions["candidate"].choices) == set(NAMES)


def test_a_loss_is_to_be_small(file):
    Store.open(file, tiny())
    (study,) = studies(file).values()
    assert study.direction.name == "MINIMIZE"


def test_a_run_is_kept_once_and_the_one_that_got_further_counts(file):
    store = Store.open(file, tiny())
    failed = Trained("relu", 0, Ending.FAILED, (), "out of memory")
    pruned = Trained("relu", 0, Ending.PRUNED, CURVE[:2], "given up")
    complete = Trained("relu", 0, Ending.COMPLETE, CURVE)
    for trained in (failed, failed, pruned, failed, complete, pruned, complete):
        store.add(trained)
    (study,) = studies(file).values()
    assert [t.state.name for t in study.trials] == ["FAIL", "PRUNED", "COMPLETE"]
    assert repr(store.done()) == repr({Job("relu", 0): complete})


# What counts as the same experiment


def test_more_seeds_and_candidates_go_on_from_what_is_there(where):
    few = tiny(NAMES[:2], seeds=[0, 1])
    assert len(list(carry_out(where, few))) == 4
    assert list(carry_out(where, tiny(NAMES[:2], seeds=[1, 0, 2]))) == [
        Job("relu", 2),
        Job("elu", 2),
    ]
    more = tiny(NAMES[:3], seeds=[0])
    assert list(carry_out(where, more)) == [Job("gelu", 0)]
    assert list(carry_out(where, few)) == []
    kept = Store.open(where, more).done()
    assert kept.keys() == {Job(name, seed) for name in ("relu", "elu") for seed in range(3)} | {
        Job("gelu", 0)
    }


def studies_named(file):
    return optuna.get_all_study_names(f"sqlite:///{file}")


def test_another_formula_under_the_same_name_is_another_candidate(file):
    def with_slope(slope):
        @relucid.activation(source="this test")
        def bent(m, x):
            return m.where(x > 0, x, slope * x)

        experiment = tiny(["relu"], seeds=[0])
        return replace(experiment, choices=(*experiment.choices, Choice("bent", bent)))

    assert len(list(carry_out(file, with_slope(0.1)))) == 2
    assert list(carry_out(file, with_slope(0.1))) == []
    assert list(carry_out(file, with_slope(0.2))) == [Job("bent", 0)]


# Killed, and several at once


FORKS = multiprocessing.get_context("forkserver")


@contextmanager
def processes(*arguments):
    """Start processes that wait for :func:`go`, and see that none is left.

    They are forks of one that has loaded all that they need, which takes longer than their runs.
    """
    needed = ("alembic.command", "optuna", "torch._dynamo")
    FORKS.set_forkserver_preload(["support.stored_runs", *needed])
    with pytest.MonkeyPatch.context() as patch:  # Python 3.11 does not hand sys.path on
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        started = [_started(*parts) for parts in arguments]
    try:
        yield started
    finally:
        for process, pipe in started:
            process.kill()
            process.join()
            pipe.close()


def _started(where, *parts):
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=stored_runs.main, args=(theirs, str(where), *parts))
    process.start()
    theirs.close()  # so that ours is at its end when the process is
    return process, ours


def go(*started):
    """Let processes begin, all at once."""
    for _, pipe in started:
        assert pipe.recv() == set()
    for _, pipe in started:
        pipe.send("go")


def end_by_sigkill(process):
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL


def finish(where, experiment, uninterrupted, kept, at_once=False):
    """Do the rest here, and see that nothing was done twice and all is as if undisturbed."""
    jobs = experiment.jobs()
    assert list(carry_out(where, experiment)) == jobs[kept:]
    study = studies(where)[experiment.subject.name]
    counts = jobs_of(study)
    assert counts.keys() == set(jobs)
    assert at_once or set(counts.values()) == {1}
    assert all(trial.state.is_finished() for trial in study.trials)
    assert tables(Store.open(where, experiment)) == {job: uninterrupted[job] for job in jobs}


def test_a_process_that_is_killed_while_it_writes_keeps_what_is_done(file, uninterrupted):
    for at, kept in (("middle:4", 3), ("commit:3", 5)):
        with processes((file, "tiny", 1, at)) as (started,):
            go(started)
            end_by_sigkill(started[0])
        (study,) = studies(file).values()
        assert len(study.trials) == kept
    finish(file, tiny(seeds=[0]), uninterrupted, kept=5)


def test_a_process_that_is_killed_keeps_what_is_done(where, uninterrupted):
    with processes((where, "tiny", 5)) as (started,):
        go(started)
        process, pipe = started
        for _ in range(20):
            pipe.recv()
        process.kill()
        end_by_sigkill(process)
    kept = len(Store.open(where, tiny()).done())
    assert 20 <= kept < 60
    finish(where, tiny(), uninterrupted, kept)


def test_processes_on_one_store_do_not_disturb_each_other(where, uninterrupted):
    jobs = {title: tiny(title=title, seeds=[0]).jobs() for title in ("tiny", "other")}
    with processes((where, "tiny", 1), (where, "tiny", 1), (where, "other", 1)) as started:
        go(*started)
        twin, other_twin, alone = (carried_out(*one) for one in started)
    assert alone == jobs["other"]
    for done in (twin, other_twin):  # what one of them had kept before the other looked is kept
        assert done == jobs["tiny"][len(jobs["tiny"]) - len(done) :]
    assert jobs["tiny"] in (twin, other_twin)
    for title, at_once in (("tiny", True), ("other", False)):
        finish(where, tiny(title=title, seeds=[0]), uninterrupted, 12, at_once)


def carried_out(process, pipe):
    """Wait for a process to end, and return the jobs that it said to have done."""
    jobs = []
    with suppress(EOFError):
        while True:
            jobs.append(pipe.recv())
    process.join(PATIENCE)
    assert process.exitcode == 0
    return jobs


# What goes wrong


def open_fails(where, *words, kind=StoreError):
    with pytest.raises(kind) as caught:
        Store.open(where, tiny())
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "s3cret" not in message
    assert "sqlalche.me" not in message
    assert caught.value.__cause__ is None or kind is MissingDependencyError
    return message


def test_runs_of_another_version_are_refused(file, monkeypatch):
    Store.open(file, tiny(title="another's")).add(ENDINGS[0])
    monkeypatch.setattr(store_module, "FORMAT", 2)
    with pytest.raises(StoreError, match=r"another version.*format 1, and this one reads 2"):
        Store.open(file, tiny(title="another's"))
    Store.open(file, tiny())


def test_a_record_that_does_not_read_names_its_trial(file):
    Store.open(file, tiny()).add(ENDINGS[0])
    with sqlite(file) as connection:
        connection.exec_driver_sql(
            "UPDATE trial_user_attributes SET value_json = '{}' WHERE key = 'record'"
        )
    with pytest.raises(StoreError, match=r"trial 0 of 'tiny: 12 activations.* damaged"):
        Store.open(file, tiny()).done()


@contextmanager
def sqlite(file):
    engine = sqlalchemy.create_engine(f"sqlite:///{file}", poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        yield connection


def test_a_table_of_another_optuna_is_refused(file):
    Store.open(file, tiny())
    with sqlite(file) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    open_fails(file, str(file), "optuna", "pip install -U optuna")


def test_a_file_of_another_kind_is_left_alone(file):
    file.write_text("my thesis, the only copy\n" * 100)
    open_fails(file, str(file), "not a database", "name another file")
    assert file.read_text() == "my thesis, the only copy\n" * 100


def test_a_damaged_file_is_named(file):
    Store.open(file, tiny())
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    open_fails(file, str(file), "malformed", "copy")


def test_a_place_that_is_no_file_is_named(tmp_path, file):
    open_fails(tmp_path, str(tmp_path), "name a file in a folder")
    file.write_text("")
    open_fails(file / "runs.db", "cannot be made", "name a file in a folder")


@contextmanager
def no_more_than_a_user():
    """Root may write anywhere; its tests may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written_is_named():
    with tempfile.TemporaryDirectory() as name:  # pytest's own may not be entered by others
        folder = Path(name)
        Store.open(folder / "old.db", tiny())
        (folder / "old.db").chmod(0o444)
        folder.chmod(0o555)
        with no_more_than_a_user():
            open_fails(folder / "new.db", "new.db", "name a file in a folder that can be written")
            open_fails(folder / "new" / "new.db", "cannot be made")
            open_fails(folder / "old.db", "old.db", "name another file")
        folder.chmod(0o755)


def test_a_full_disk_loses_nothing(file, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # Optuna tries five times
    store, kept = Store.open(file, tiny()), {}
    with disk_of(file, pages=2), pytest.raises(StoreError) as caught:
        for job in tiny().jobs():
            kept[job] = Trained(job.candidate, job.seed, Ending.COMPLETE, CURVE)
            store.add(kept[job])
    message = str(caught.value)
    last = list(kept)[-1]
    assert f"run of {last.candidate} from seed {last.seed} cannot be written" in message
    assert str(file) in message
    assert "full" in message
    assert "make room" in message
    lost = kept.pop(last)
    assert repr(store.done()) == repr(kept)
    assert len(kept) >= 1
    store.add(lost)  # there is room again
    assert store.done().keys() == {*kept, last}


@contextmanager
def disk_of(file, pages):
    """Let the file of a database grow by no more than so many pages."""

    def limit(connection, _):
        connection.execute(f"PRAGMA max_page_count = {used_at_first + pages}")

    with sqlite(file) as connection:
        used_at_first = connection.exec_driver_sql("PRAGMA page_count").scalar()
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", limit)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", limit)


def test_a_server_that_is_not_there_is_named_without_the_password():
    pytest.importorskip("psycopg", reason="psycopg, which speaks with PostgreSQL, is missing")
    with free_port() as port:
        url = f"postgresql://tester:s3cret@127.0.0.1:{port}/runs?password=s3cret"
        message = open_fails(url, f"postgresql://tester:***@127.0.0.1:{port}/runs", "server")
    assert "\n" not in message


@contextmanager
def free_port():
    """Hold a port at which nobody listens."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_database_that_is_not_there_is_named(server):
    url = server.database()
    open_fails(f"{url}-not", "does not exist", "createdb")


def test_a_server_that_goes_away_is_named(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    with postgres.server() as short:
        url = short.database()
        store = Store.open(url, tiny())
        store.add(ENDINGS[0])
    with pytest.raises(StoreError, match=r"run of elu from seed 0 .* keeps the runs before it"):
        store.add(ENDINGS[1])


def test_an_error_of_the_builder_is_its_own(file):
    with pytest.raises(KeyError, match="width"):
        Store.open(file, tiny(build=lambda activation: {}["width"]))
    assert not file.exists()


def test_a_study_that_was_deleted_meanwhile_is_named(file):
    store = Store.open(file, tiny())
    store.add(ENDINGS[0])
    (name,) = studies_named(file)
    optuna.delete_study(study_name=name, storage=f"sqlite:///{file}")
    for lost in (lambda: store.add(ENDINGS[1]), store.done):
        with pytest.raises(StoreError, match=r"deleted\?\); start the comparison again"):
            lost()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tester:s3cret@host:port/runs",
        "mysql://tester:s3cret@host/runs",
        "redis://:s3cret@host",
        "://s3cret",
        "postgres ql://tester:s3cret@host/runs",
    ],
)
def test_a_wrong_url_is_refused_without_the_password(url):
    open_fails(url, "give a file, or postgresql://")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_store_in_memory_is_refused(url):
    open_fails(url, "in memory")


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    url = "postgresql://tester:s3cret@127.0.0.1/runs"
    open_fails(url, 'pip install "psycopg[binary]"', kind=MissingDependencyError)


# How it is named, and what it leaves alone


@pytest.mark.parametrize("name", ["a b", "50%", "{runs}", "#1", "ä—ö", "a%20b", "a&b=c"])
def test_files_have_any_name(tmp_path, name):
    path = tmp_path / name / f"{name}.db"
    Store.open(path, tiny()).add(ENDINGS[0])
    assert path.is_file()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert len(Store.open(str(path), tiny()).done()) == 1


def test_a_file_may_be_given_as_a_url(file):
    Store.open(f"sqlite:///{file}", tiny()).add(ENDINGS[0])
    assert len(Store.open(file, tiny()).done()) == 1


def test_the_environment_names_the_store(file, monkeypatch):
    monkeypatch.setenv("RELUCID_STORE", str(file))
    Store.open(None, tiny()).add(ENDINGS[0])
    assert len(Store.open(file, tiny()).done()) == 1


def test_by_default_it_lies_in_the_users_data_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("RELUCID_STORE", raising=False)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / name))
    Store.open(None, tiny())
    assert (tmp_path / "relucid" / "comparisons.db").is_file()


def test_a_title_is_no_more_than_a_title(where):
    title = "evil\x00\n\x1b[31m'; DROP TABLE studies; --\ud800" + "x" * 1000
    experiment = tiny(NAMES[:2], seeds=[0], title=title)
    assert len(list(carry_out(where, experiment))) == 2
    assert list(carry_out(where, experiment)) == []
    (name,) = [study.study_name for study in studies(where).values()]
    assert name.isprintable()
    assert len(name) < 150


def test_nothing_is_printed_and_optuna_is_as_loud_as_before(file, capfd):
    level = optuna.logging.get_verbosity()
    Store.open(file, tiny()).add(ENDINGS[0])
    assert optuna.logging.get_verbosity() == level
    assert capfd.readouterr() == ("", "")
