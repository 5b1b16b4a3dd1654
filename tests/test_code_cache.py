"""The code cache: every recording encoded once, bad ones counted against all, nothing lost."""

from dataclasses import replace

import numpy as np
import pytest

from data_provider.code_cache import CodeCache, fill_code_cache
from data_provider.ptbxl import load_database
from data_provider.stream import report_bad
from utils.errors import UserError


def encode(signals):
    encode.calls += len(signals)
    return [np.arange(s.shape[1] // 16) % 100 for s in signals]


@pytest.fixture
def refs(corpus):
    encode.calls = 0
    return list(load_database(corpus).values())[:40]


def fill(folder, refs, max_bad=4):
    cache, bad = CodeCache(folder), {}
    fill_code_cache(cache, refs, encode, 250, 0, bad)
    report_bad(bad, len(refs), max_bad)
    return CodeCache(folder)


def test_a_second_fill_encodes_nothing(refs, tmp_path):
    fill(tmp_path, refs)
    cache = fill(tmp_path, refs)
    assert encode.calls == len(refs) and all(ref in cache for ref in refs)
    np.testing.assert_array_equal(cache.codes(refs[7]), np.arange(156) % 100)


def test_codes_that_uint16_cannot_hold_are_refused(refs, tmp_path):
    """Wrapped around, a coarse code of 65536 others would be read as a frame's."""
    with pytest.raises(UserError, match="codes reach 65536"):
        CodeCache(tmp_path).add(refs[:1], [np.array([3, 65536])])


def test_bad_recordings_are_counted_against_all_also_on_the_second_run(refs, tmp_path):
    bad = replace(refs[3], record_id="gone", path=refs[3].path.with_name("gone"))
    for _ in range(2):  # on the second run the bad one is all that is missing
        cache = fill(tmp_path, [*refs, bad])
        assert bad not in cache and refs[5] in cache


def test_too_many_bad_recordings_stop_but_keep_what_was_encoded(refs, tmp_path):
    bad = [replace(r, record_id=f"x{i}", path=r.path.with_name(f"x{i}")) for i, r in enumerate(refs[:9])]
    with pytest.raises(UserError, match="9 of 49"):
        fill(tmp_path, [*refs, *bad])
    assert all(ref in CodeCache(tmp_path) for ref in refs)


def test_a_recording_that_changed_is_encoded_again(refs, tmp_path):
    cache = fill(tmp_path, refs[:2])
    moved = replace(refs[0], path=refs[5].path)
    assert moved not in cache
