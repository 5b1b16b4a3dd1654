"""Arrow tables in the cache folder: written by the first process that needs them, read by all by memory map.

The pages of a map are shared by all processes of a machine, so that a rank holds none of them in its own memory.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa

Tables = dict[str, pa.Table]


def state_of(*files: Path) -> str:
    """Text that changes with the content of files: their paths, sizes and times of change."""
    stats = [(file, file.stat()) for file in map(Path.resolve, files)]
    return repr([(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats])


def key_of(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def shared_tables(folder: Path, build: Callable[[], Tables], is_current: Callable[[Tables], bool]) -> Tables:
    """The tables in ``folder``, one file for each; built and written first if it has none that are current.

    Other processes of the machine wait for the one that builds. If the folder cannot be written, each process has
    tables of its own.
    """
    found = _open(folder)
    if found is not None and is_current(found):
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = open(folder.parent / f"{folder.name}.lock", "a")  # noqa: SIM115 - held by the block below
    except OSError:
        return build()
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _open(folder)
        if found is None or not is_current(found):
            _write(folder, build())
            found = _open(folder)
        assert found is not None
        return found


def _open(folder: Path) -> Tables | None:
    """None if the folder is not there, or not complete: then it is damaged."""
    try:
        found = {path.stem: pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in folder.glob("*.arrow")}
    except (OSError, pa.ArrowInvalid):
        return None
    return found or None


def _write(folder: Path, tables: Tables) -> None:
    """The folder appears once it is complete."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    partial.mkdir()
    for name, table in tables.items():
        with pa.ipc.new_file(partial / f"{name}.arrow", table.schema) as file:
            file.write_table(table.combine_chunks(), max_chunksize=max(1, len(table)))
    shutil.rmtree(folder, ignore_errors=True)  # other processes keep what they have mapped
    partial.rename(folder)
