"""Garbage is collected again once a program has started."""

import gc

from cardiolect.utils.garbage import collect_from_now_on, no_collection_at_first


def test_nothing_is_collected_until_a_program_has_started():
    frozen = gc.get_freeze_count()
    try:
        with no_collection_at_first():
            assert not gc.isenabled()
            collect_from_now_on()
            assert gc.isenabled() and gc.get_freeze_count() > frozen
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_a_program_that_fails_at_its_start_collects_garbage_again():
    try:
        with no_collection_at_first():
            raise ValueError
    except ValueError:
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_a_command_called_from_python_leaves_the_collector_alone():
    frozen = gc.get_freeze_count()
    collect_from_now_on()
    assert gc.isenabled() and gc.get_freeze_count() == frozen
