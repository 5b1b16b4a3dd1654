"""The folder of a download: which of its files are verified, and how a file gets its final name."""

import errno
import fcntl
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import NamedTuple

from cardiolect.data_provider.corpora.download.http_files import CHUNK, Checksum, FileFailedError
from cardiolect.data_provider.corpora.download.sources import STATE_FOLDER, RemoteFile
from cardiolect.utils.errors import UserError

_BLOCK = 4096  # a file occupies whole disk blocks


class Known(NamedTuple):
    """A file that was verified: its size in bytes, and the checksum of the file on disk."""

    size: int
    checksum: str


class Folder:
    """``out`` with its ``.download/``, which holds the server's list and a line for each verified file.

    A file counts as verified as long as it has such a line and the same size, so a repeated run hashes nothing. Raises
    `UserError` if another download is using the folder, or if it holds another corpus.
    """

    def __init__(self, out: Path, name: str):
        self.out = out
        state = out / STATE_FOLDER
        try:
            state.mkdir(parents=True, exist_ok=True)
            self._lock_file = (state / "lock").open("w")
        except OSError as error:
            raise UserError(f"--out {out}: cannot be written ({error.strerror})") from None
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"--out {out}: another download is using this folder") from None
        if others := [path.stem for path in state.glob("*.list") if path.stem != name]:
            raise UserError(f"--out {out}: this folder holds {others[0]}; use a separate one for {name}")
        self.listing = state / f"{name}.list"
        self.known: dict[str, Known] = {}
        self._verified = state / "verified.tsv"
        self._lines = None
        self._lock = Lock()

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines is not None:
            self._lines.close()
        self._lock_file.close()

    def read_known(self, files: dict[str, RemoteFile]) -> None:
        """Find the ``files`` that were verified against the listed checksum and still have the same size."""
        if not self._verified.is_file():
            return
        with self._verified.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                cells = line.rstrip("\n").split("\t")
                file = files.get(cells[-1])
                # A killed run may leave an incomplete line; its file is hashed again.
                if len(cells) != 4 or file is None or cells[0] != file.checksum or not cells[1].isdigit():
                    continue
                self.known[file.path] = Known(int(cells[1]), file.checksum if cells[2] == file.checksum else cells[2])
        for path, known in list(self.known.items()):
            if self._size(path) != known.size:
                del self.known[path]

    def add_verified(self, file: RemoteFile, checksum: str) -> None:
        """Note that ``file`` is verified and has ``checksum`` on disk (not the listed one if it was zipped)."""
        known = Known(self._size(file.path), checksum)
        with self._lock:
            if self.known.get(file.path) == known:
                return
            self.known[file.path] = known
            if self._lines is None:
                self._lines = self._verified.open("a", encoding="utf-8", buffering=1)
                self._lines.write("\n")  # ends the incomplete line of a killed run
            self._lines.write(f"{file.checksum}\t{known.size}\t{checksum}\t{file.path}\n")

    def part(self, file: RemoteFile) -> Path:
        """The path of a file until its checksum is verified."""
        return self.out / self._part(file)

    @staticmethod
    def _part(file: RemoteFile) -> str:
        folder = file.path.rpartition("/")
        return f"{folder[0]}{folder[1]}{file.remote.rpartition('/')[2]}.part"  # of a zip, the zip's name

    def exists(self, file: RemoteFile) -> bool:
        """Whether there is a file with this name, verified or not."""
        return self._size(file.path) >= 0

    def partial_size(self, file: RemoteFile) -> int:
        """Bytes of the file that an earlier run fetched."""
        return max(self._size(self._part(file)), 0)

    def _size(self, path: str) -> int:
        """Size of a file in bytes, -1 if there is none; uses strings for speed, as there may be 1.6 million files."""
        try:
            return os.stat(f"{self.out}/{path}").st_size
        except OSError:
            return -1

    def accept(self, file: RemoteFile) -> None:
        """Give a verified part its final name, after unpacking it if it is a zip."""
        part, final = self.part(file), self.out / file.path
        checksum = file.checksum
        if file.zipped:
            checksum = unpack(part, final)
            part.unlink()
        else:
            os.replace(part, final)
        self.add_verified(file, checksum)

    def check(self, file: RemoteFile) -> bool:
        """Whether the file on disk has the right checksum; if it differs, it is renamed to ``.differs``."""
        final, known = self.out / file.path, self.known.get(file.path)
        if not final.is_file():
            return False
        if known is None and file.zipped:  # the checksum of its contents is not known
            return False
        expected = file.checksum if known is None else known.checksum
        digest = Checksum(expected, self._size(file.path))
        digest.read(final)
        if digest.text() == expected:
            self.add_verified(file, expected)
            return True
        os.replace(final, final.with_name(f"{final.name}.differs"))
        return False


def unpack(archive: Path, final: Path) -> str:
    """Extract the archive member named like ``final`` to ``final``, atomically; returns its checksum.

    No other path is written, whatever folders the archive names. Raises `FileFailedError` if the archive does not hold
    exactly one such member or is damaged, `UserError` if the disk is too small for it.
    """
    part = final.with_name(f"{final.name}.unpacking")
    digest = Checksum("sha256")
    try:
        with zipfile.ZipFile(archive) as held:
            members = [m for m in held.infolist() if not m.is_dir() and PurePosixPath(m.filename).name == final.name]
            if len(members) != 1:
                raise FileFailedError(f"{archive}: holds {len(members)} files named {final.name}, not one")
            if members[0].file_size > (free := shutil.disk_usage(final.parent).free):
                raise UserError(
                    f"{final}: {readable(members[0].file_size)} needed to unpack, {readable(free)} free; free some "
                    "space and run the same command to resume"
                )
            with held.open(members[0]) as source, part.open("wb") as out:
                while chunk := source.read(CHUNK):
                    out.write(chunk)
                    digest.update(chunk)
        os.replace(part, final)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise FileFailedError(f"{archive}: cannot be unpacked ({error})") from None
    finally:
        part.unlink(missing_ok=True)
    return digest.text()


def on_disk(sizes: Iterable[int]) -> int:
    """Bytes of disk space that files of these sizes occupy: MIMIC-IV-ECG's 800,000 headers of 1 kB take 3 GB."""
    return sum(-(-size // _BLOCK) * _BLOCK for size in sizes)


def readable(count: int) -> str:
    """1234567 -> "1.2 MB"."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def disk_error(error: OSError, path: Path) -> UserError:
    """A message about a file that cannot be written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"{path}: the disk is full; free some space and run the same command to resume")
    return UserError(f"{path}: cannot be written ({error.strerror or error})")
