"""Signals that announce the end of a job."""

import os
import signal
import threading

import pytest

from cardiolect.utils.stopping import SIGNALS, Signals, Stopped


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_until_asked_for_and_handlers_come_back(number):
    before = [signal.getsignal(each) for each in SIGNALS]
    with Signals() as signals:
        assert signals.on_any_rank() is None
        signal.raise_signal(number)
        assert signals.on_any_rank() == number.name
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_at_once_is_no_exception_that_libraries_catch():
    with pytest.raises(Stopped, match="stopped by SIGUSR1"), Signals(at_once=True):
        try:
            signal.raise_signal(signal.SIGUSR1)
        except Exception:
            pytest.fail("caught")


def test_a_forked_worker_still_ends_by_sigterm():
    """A pool ends its workers so; none may go on, or raise what the main process handles."""
    with Signals(at_once=True):
        child = os.fork()
        if not child:
            os.kill(os.getpid(), signal.SIGUSR1)  # sent to all processes of a job; the main process decides
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGTERM


def test_other_threads_are_left_alone():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(Signals().__enter__().before))
    thread.start()
    thread.join()
    assert codes == [{}]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_rank_that_ends_is_not_ended_again(at_once):
    """srun and torchrun send SIGTERM to the others when one rank has ended."""
    with pytest.raises(Stopped), Signals(at_once=True), Signals(at_once=at_once) as signals:
        signal.raise_signal(signal.SIGUSR1)
        assert signals.on_any_rank() == "SIGUSR1"
        raise Stopped("saved")
    signal.raise_signal(signal.SIGTERM)
