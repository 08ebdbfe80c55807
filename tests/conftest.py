"""What every test may ask for: the recordings, both event loops, and reproducible property tests."""

import faulthandler
import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.patience import PATIENCE_S

REPO = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

# No deadline in either: a slow machine is not a failed property, and a flaky test teaches people to press retry.
# HYPOTHESIS_PROFILE=explore draws other examples each time: for looking for bugs, not for a verdict.
settings.register_profile("explore", deadline=None, print_blob=True)
settings.register_profile(
    "same",
    deadline=None,
    derandomize=True,  # one commit gives one verdict
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # wall clock again
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "same")


def pytest_sessionstart() -> None:
    """A job that a shell runs in the background ignores Ctrl-C, and so would all that is started here and sent one."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the recordings, so that `-m "not recordings"` needs nobody to remember the mark."""
    for item in items:
        if "recordings" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.recordings)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Directory of the real recordings; the test is skipped where there are none.

    SOR_RECORDINGS names it, else it is `../shared/data` beside the repository. Where CI has the folder that should
    hold them, their absence is a failure: a check that quietly stops running is worse than none.
    """
    named = os.environ.get("SOR_RECORDINGS")
    path = Path(named) if named else REPO.parent / "shared" / "data"
    if path.is_dir():
        return path
    if named or (IN_CI and path.parent.is_dir()):
        pytest.fail(f"no recordings in {path}, where they should be")
    pytest.skip("needs recordings: set SOR_RECORDINGS to their directory")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Event loop for the tests marked `anyio`: each runs on asyncio and on trio."""
    backend = request.param
    assert isinstance(backend, str)
    return backend


def pytest_collection() -> None:
    """Nothing that collecting makes is garbage: looking for some takes a quarter of its time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Thousands of tests and every library are never garbage: going through them stalls what is tested in real time."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """A thread that a test has left, and that keeps the run from ending, is shown, as a test that hangs is."""
    faulthandler.dump_traceback_later(PATIENCE_S, exit=True, file=2)
