"""Downloads one corpus: prints the size, fetches missing files over several connections and verifies all files."""

import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from cardiolect.data_provider.corpora.download.folder import Folder, disk_error, on_disk, readable
from cardiolect.data_provider.corpora.download.http_files import FileFailedError, Server, StoppedError
from cardiolect.data_provider.corpora.download.sources import SOURCES, RemoteFile, Source, list_files
from cardiolect.utils.errors import UserError

MOST_FAILURES = 20  # if more files fail, the run stops: the cause is not single files
_SAMPLE = 5  # files of each kind whose sizes are requested
_UNPACKED = 1.5  # size of CODE-15's HDF5 parts / their zips: 3.9 GB (20,001 x 4096 x 12 float32) / 2.7 GB


@dataclass(frozen=True)
class Plan:
    """A download's files and sizes. Sizes are estimated if the server's list does not give them."""

    files: int  # in the corpus, or matching --only
    verified: int
    check: list[RemoteFile]  # on disk, to be verified
    fetch: list[RemoteFile]
    remaining: dict[str, int]  # path -> bytes to fetch
    disk_bytes: int  # including those needed to unpack
    exact: bool

    def sentence(self, source: Source, address: str) -> str:
        parts = [f"{self.files:,} files", f"{self.verified:,} already verified"]
        if self.check:
            parts.append(f"{len(self.check):,} on disk to verify")
        about = "" if self.exact or not self.fetch else "about "
        parts.append(f"{len(self.fetch):,} to fetch, {about}{readable(sum(self.remaining.values()))}")
        return f"{source.title} from {address}: {', '.join(parts)}"


def download(
    name: str,
    out: Path,
    *,
    go_ahead: Callable[[], bool] = lambda: True,
    only: Iterable[str] = (),
    verify: bool = False,
    connections: int = 4,
    base: str | None = None,
    pause: float = 1.0,
) -> bool:
    """Download the corpus ``name`` into ``out``; returns whether it is now complete and verified.

    go_ahead: called after the size is printed; if it returns False, nothing is fetched. only: patterns of paths below
    ``out``. verify: hash existing files again. base: another address of the same files. pause: seconds before a second
    try. Raises `UserError` for everything that a user can fix.
    """
    source, stop = SOURCES[name], threading.Event()
    lists, files = (Server(base or address, stop, pause) for address in (source.base, source.files_base or source.base))
    with Folder(out, name) as folder:
        try:
            everything = _read_list(source, lists, folder)
            wanted = _choose(everything, list(only), source.needed)
            folder.read_known(wanted)
            plan = _plan(wanted, folder, files, verify, connections)
            print(plan.sentence(source, files.base))
            _check_disk_space(plan, folder.out, connections)
            if (plan.fetch or plan.check) and not go_ahead():
                return False
            _Run(plan, folder, files, stop, name).work(connections)
            for extra, text in source.extra_files.items():
                if not (out / extra).exists():
                    (out / extra).write_text(text)
        except OSError as error:
            raise disk_error(error, out) from None
    print(f"{name}: {plan.files:,} files in {out}, all with their published checksums")
    return True


def _read_list(source: Source, server: Server, folder: Folder) -> dict[str, RemoteFile]:
    """The files on the server; its list is fetched only once, as published versions do not change."""
    if folder.listing.is_file():
        return list_files(source, folder.listing)
    print(f"{source.title}: reading the list of files", flush=True)
    fetched = folder.listing.with_suffix(".part")
    server.save(source.listing, fetched)
    files = list_files(source, fetched)
    fetched.replace(folder.listing)
    return files


def _choose(files: dict[str, RemoteFile], only: list[str], needed: tuple[str, ...]) -> dict[str, RemoteFile]:
    if not only:
        return files
    chosen = {path: file for path, file in files.items() if any(fnmatchcase(path, glob) for glob in only)}
    if not chosen:
        raise UserError(f"--only {' '.join(only)}: no file matches; paths look like {next(reversed(files))}")
    return chosen | {path: files[path] for path in needed if path in files}


def _plan(wanted: dict[str, RemoteFile], folder: Folder, server: Server, verify: bool, connections: int) -> Plan:
    check, fetch, verified = [], [], 0
    for file in wanted.values():
        if file.path in folder.known:
            verified += not verify
            if verify:
                check.append(file)
        elif not file.zipped and folder.exists(file):
            check.append(file)
        else:
            fetch.append(file)
    sizes = _Sizes(fetch, server, connections)
    remaining = {file.path: max(sizes(file) - folder.partial_size(file), 0) for file in fetch}
    disk_bytes = on_disk(remaining.values())
    zips = sorted((file.size or 0 for file in fetch if file.zipped), reverse=True)
    if zips:  # until a zip is unpacked, both it and its contents are on disk
        disk_bytes += int(sum(zips) * (_UNPACKED - 1)) + sum(zips[:connections])
    return Plan(len(wanted), verified, check, fetch, remaining, disk_bytes, sizes.exact)


class _Sizes:
    """The size of a file in bytes: as listed, else the mean of a few files with the same folder and suffix."""

    def __init__(self, files: list[RemoteFile], server: Server, connections: int):
        kinds: dict[str, list[RemoteFile]] = defaultdict(list)
        for file in files:
            if file.size is None:
                kinds[self._kind(file)].append(file)
        self.exact = all(len(files) <= _SAMPLE for files in kinds.values())
        asked = [
            (kind, files[i * len(files) // _SAMPLE if len(files) > _SAMPLE else i].remote)
            for kind, files in kinds.items()
            for i in range(min(_SAMPLE, len(files)))
        ]
        known: dict[str, list[int]] = defaultdict(list)
        with ThreadPoolExecutor(connections) as pool:
            answers = pool.map(server.size, [remote for _, remote in asked])
            for (kind, _), size in zip(asked, answers, strict=True):
                if size is not None:
                    known[kind].append(size)
                self.exact &= size is not None
        self._mean = {kind: sum(sizes) // len(sizes) for kind, sizes in known.items()}

    def __call__(self, file: RemoteFile) -> int:
        return self._mean.get(self._kind(file), 0) if file.size is None else file.size

    @staticmethod
    def _kind(file: RemoteFile) -> str:
        folder, inside, _ = file.path.partition("/")
        return f"{folder}/*{PurePosixPath(file.path).suffix}" if inside else file.path


def _check_disk_space(plan: Plan, out: Path, connections: int) -> None:
    free = shutil.disk_usage(out).free
    print(f"{readable(plan.disk_bytes)} of disk space needed, {readable(free)} free in {out}", flush=True)
    if plan.disk_bytes > free:
        raise UserError(
            f"--out {out}: {readable(plan.disk_bytes)} needed, {readable(free)} free; free some space, choose "
            "another folder, or fetch part of the corpus with --only"
        )


@dataclass
class _Run:
    """A download by several threads, each of which takes one file after another."""

    plan: Plan
    folder: Folder
    server: Server
    stop: threading.Event
    name: str
    failures: list[str] = field(default_factory=list)

    def work(self, connections: int) -> None:
        """Check and fetch all files of the plan. Raises `UserError` that names the files that failed."""
        todo = self.plan.check + self.plan.fetch
        if not todo:
            return
        self._lock, self._files, self._done = threading.Lock(), iter(todo), 0
        with (
            tqdm(
                total=sum(self.plan.remaining.values()), desc=self.name, unit="B", unit_scale=True, mininterval=1
            ) as self._bar,
            ThreadPoolExecutor(connections) as pool,
        ):
            try:
                for ended in [pool.submit(self._take_files) for _ in range(connections)]:
                    ended.result()
            except BaseException:  # including Ctrl-C; the threads check ``stop`` after each chunk
                self.stop.set()
                raise
        if self.failures:
            named = "; ".join(self.failures[:5]) + (" ..." if len(self.failures) > 5 else "")
            raise UserError(
                f"{self.name}: {len(self.failures)} of {self.plan.files:,} files failed: {named}; run the same command "
                "to try them again"
            )

    def _take_files(self) -> None:
        try:
            self._take_until_done()
        except BaseException:
            self.stop.set()  # an error in one thread stops all
            raise

    def _take_until_done(self) -> None:
        while not self.stop.is_set():
            with self._lock:
                file = next(self._files, None)
            if file is None:
                return
            try:
                self._get(file)
            except FileFailedError as error:
                self.failures.append(str(error))
                if len(self.failures) > MOST_FAILURES:
                    raise UserError(
                        f"{self.name}: {len(self.failures)} files failed, for example {error}; is --base right?"
                    ) from None
            except StoppedError:
                return
            with self._lock:
                self._done += 1
                self._bar.set_postfix_str(f"{self._done:,} files", refresh=False)

    def _get(self, file: RemoteFile) -> None:
        if self.folder.check(file):
            return
        got = 0

        def received(count: int) -> None:
            nonlocal got
            got += count
            with self._lock:
                self._bar.update(count)

        try:
            self.server.fetch(file, self.folder.part(file), received)
            self.folder.accept(file)
        except OSError as error:
            raise disk_error(error, self.folder.out / file.path) from None
        with self._lock:  # replace the estimate by the actual size
            self._bar.total += got - self.plan.remaining.get(file.path, 0)
