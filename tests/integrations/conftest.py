"""A database of MLflow's for each test that asks for one."""

import shutil

import pytest


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Made once: MLflow takes seconds to bring a new one through all the versions it ever had."""
    pytest.importorskip("sqlalchemy", reason="sqlalchemy is not installed")
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow makes a folder for files
        mlflow.MlflowClient(f"sqlite:///{folder / 'empty.db'}").search_experiments()
    return folder / "empty.db"


@pytest.fixture
def mlflow_uri(empty_database, tmp_path):
    """The address of an empty database in the test's own folder."""
    return f"sqlite:///{shutil.copy(empty_database, tmp_path / 'mlflow.db')}"
