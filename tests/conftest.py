"""What all tests share: folders of their own, and no word to the network."""

import atexit
import gc
import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

# The hosts and trackers of relucid.integrations report to their makers unless told not to.
os.environ |= {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MODE": "offline",
}


# A shell starts background jobs with interrupts ignored, and all their children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave the 900,000 objects that collecting has loaded out of every search for garbage.

    Each full search took 0.5 s with them, and every shrink and every measurement asks for one.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # extensions complain of what is not freed at the end


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Each session compiles anew, and all its workers share what they compile."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELUCID_CACHE", str(folder / "kernels"))
        yield folder / "kernels"


_STORES = count()


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons that name no store keep their runs in a file that no other test has.

    Not in ``tmp_path``: making that folder takes longer than many of the 13,000 tests.
    """
    store = tmp_path_factory.getbasetemp() / "stores" / f"{next(_STORES)}.db"
    monkeypatch.setenv("RELUCID_STORE", str(store))
