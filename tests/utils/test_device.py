"""Memory that training on a CPU keeps."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys, torch
from cardiolect.utils.device import keep_freed_memory
size = lambda: int(open("/proc/self/statm").read().split()[0]) * 4096 / 2**20
keep_freed_memory()
blocks = [torch.empty(2**20 * int(sys.argv[1]), dtype=torch.uint8) for _ in range(8)]
full = size()
del blocks
print(full - size())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
@pytest.mark.parametrize(("megabytes", "returned"), [(16, 0), (64, 8 * 64)])
def test_freed_blocks_are_kept_unless_they_are_so_large_that_they_would_lengthen_the_heap(megabytes, returned):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(megabytes)], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(returned, abs=16)
