"""Arrow tables in the cache folder: written by the first process that needs them, read by all by memory map.

The pages of a map are shared by all processes of a machine, so that a rank holds none of them in its own memory.
"""

import fcntl
import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import pyarrow as pa

from cardiolect.utils.launch import is_main

Tables = dict[str, pa.Table]


def state_of(*files: Path) -> str:
    """Text that changes with the content of files: their paths, sizes and times of change."""
    stats = [(file, file.stat()) for file in map(Path.resolve, files)]
    return repr([(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats])


def key_of(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def shared_tables(
    folder: Path, names: Collection[str], build: Callable[[], Tables], is_current: Callable[[Tables], bool]
) -> Tables:
    """The tables of these names in ``folder``, one file for each; built and written first if it has none, or old ones.

    Other processes of the machine wait for the one that builds. If the folder cannot be written or locked, each process
    has tables of its own, which a line says.
    """
    found = _open(folder, names)
    if found is not None and is_current(found):
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = open(folder.parent / f"{folder.name}.lock", "a")  # noqa: SIM115 - held by the block below
    except OSError as error:
        return _own(build(), folder, error)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:  # some network file systems
            return _own(build(), folder, error)
        found = _open(folder, names)
        if found is not None and is_current(found):
            return found
        tables = build()
        try:
            _write(folder, tables)
        except OSError as error:
            return _own(tables, folder, error)
        return _open(folder, names) or tables


def _own(tables: Tables, folder: Path, error: OSError) -> Tables:
    if is_main():
        reason = error.strerror or type(error).__name__
        print(f"{folder}: cannot be shared ({reason}), so that each rank holds its questions in its own memory")
    return tables


def _open(folder: Path, names: Collection[str]) -> Tables | None:
    """None if the folder is not there, not complete, or replaced while it is read."""
    try:
        before = folder.stat().st_ino
        found = {name: pa.ipc.open_file(pa.memory_map(str(folder / f"{name}.arrow"))).read_all() for name in names}
        return found if folder.stat().st_ino == before else None
    except (OSError, pa.ArrowInvalid):
        return None


def _write(folder: Path, tables: Tables) -> None:
    """The folder appears once it is complete, and an earlier one disappears at once."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        new.mkdir()
        for name, table in tables.items():
            with pa.ipc.new_file(new / f"{name}.arrow", table.schema) as file:
                file.write_table(table.combine_chunks(), max_chunksize=max(1, len(table)))
        if folder.exists():
            folder.rename(old)  # other processes keep what they have mapped
        new.rename(folder)
