"""Arrow tables in the cache folder: written by the first process that needs them, read by all by memory map.

The pages of a map are shared by all processes of a machine, so that a rank holds none of them in its own memory.
"""

import fcntl
import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import pyarrow as pa

from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

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

    All ranks must call it. One of those that have the folder in common asks ``is_current``, which may look at every
    recording on a network drive; the others open the same files. A `UserError` of one of them is raised on all.
    """
    if not launch.joined():
        return _tables(folder, names, build, is_current)[0]
    first = launch.sharing_ranks(folder.parent)[0]
    tables = error = state = None
    if launch.rank() == first:
        try:
            tables, in_folder = _tables(folder, names, build, is_current)
            state = _state(folder, names) if in_folder else None
        except UserError as raised:
            error = str(raised)
    found = launch.gather((error, state))
    if errors := [error for error, _ in found if error]:
        raise UserError(errors[0])
    if tables is not None:
        return tables
    if found[first][1] and found[first][1] == _state(folder, names) and (tables := _open(folder, names)) is not None:
        return tables
    return _tables(folder, names, build, is_current)[0]


def _tables(
    folder: Path, names: Collection[str], build: Callable[[], Tables], is_current: Callable[[Tables], bool]
) -> tuple[Tables, bool]:
    """The tables, and whether they are those in the folder."""
    found = _open(folder, names)
    if found is not None and is_current(found):
        return found, True
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
            return found, True
        tables = build()
        try:
            _write(folder, tables)
        except OSError as error:
            return _own(tables, folder, error)
        return _open(folder, names) or tables, True


def _own(tables: Tables, folder: Path, error: OSError) -> tuple[Tables, bool]:
    if launch.is_main():
        reason = error.strerror or type(error).__name__
        print(f"{folder}: cannot be shared ({reason}), so that each rank holds its questions in its own memory")
    return tables, False


def _state(folder: Path, names: Collection[str]) -> list[tuple[int, int]] | None:
    """Sizes and times of change of the files; None if one is not there."""
    try:
        stats = [(folder / f"{name}.arrow").stat() for name in names]
    except OSError:
        return None
    return [(stat.st_size, stat.st_mtime_ns) for stat in stats]


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
