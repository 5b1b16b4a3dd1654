"""Downloads one corpus: prints the size, fetches missing files over a few connections and verifies all of them."""

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

MOST_FAILURES = 20  # more files than this are no accident
_SAMPLE = 5  # files of a kind whose sizes are asked for
_UNPACKED = 1.5  # HDF5 parts of CODE-15 over their zips: 3.9 GB (20,001 x 4096 x 12 float32) over 2.7 GB


@dataclass(frozen=True)
class Plan:
    """The plan of a download. Sizes are estimates if the server's list does not give them."""

    files: int  # of the corpus, or of what --only takes
    verified: int
    check: list[RemoteFile]  # lie there; verified now
    fetch: list[RemoteFile]
    left: dict[str, int]  # path -> bytes to come
    need: int  # bytes on disk, unpacking included
    exact: bool

    def sentence(self, source: Source, address: str) -> str:
        parts = [f"{self.files:,} files", f"{self.verified:,} there and verified"]
        if self.check:
            parts.append(f"{len(self.check):,} there, to be verified")
        about = "" if self.exact or not self.fetch else "about "
        parts.append(f"{len(self.fetch):,} to fetch, {about}{readable(sum(self.left.values()))}")
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
    """Bring ``out`` to the state of the corpus ``name``; whether it is there, whole and verified.

    go_ahead: asked after the size has been said; where it says no, nothing is fetched. only: patterns of paths below
    ``out``. verify: hash what is there again. base: another address of the same files. pause: seconds before a second
    try. Raises `UserError` on everything that a user can mend.
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
            _need_room(plan, folder.out, connections)
            if (plan.fetch or plan.check) and not go_ahead():
                return False
            _Run(plan, folder, files, stop, name).work(connections)
            for beside, text in source.beside.items():
                if not (out / beside).exists():
                    (out / beside).write_text(text)
        except OSError as error:
            raise disk_error(error, out) from None
    print(f"{name}: {plan.files:,} files in {out}, each with its published checksum")
    return True


def _read_list(source: Source, server: Server, folder: Folder) -> dict[str, RemoteFile]:
    """The server's list, fetched once: published versions do not change."""
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
        raise UserError(f"--only {' '.join(only)}: no file is called so; paths look like {next(reversed(files))}")
    return chosen | {path: files[path] for path in needed if path in files}


def _plan(wanted: dict[str, RemoteFile], folder: Folder, server: Server, verify: bool, connections: int) -> Plan:
    check, fetch, verified = [], [], 0
    for file in wanted.values():
        if file.path in folder.known:
            verified += not verify
            if verify:
                check.append(file)
        elif not file.zipped and folder.lies(file):
            check.append(file)
        else:
            fetch.append(file)
    sizes = _Sizes(fetch, server, connections)
    left = {file.path: max(sizes(file) - folder.started(file), 0) for file in fetch}
    need = on_disk(left.values())
    zips = sorted((file.size or 0 for file in fetch if file.zipped), reverse=True)
    if zips:  # each is there with what it holds, until it is unpacked
        need += int(sum(zips) * (_UNPACKED - 1)) + sum(zips[:connections])
    return Plan(len(wanted), verified, check, fetch, left, need, sizes.exact)


class _Sizes:
    """Bytes of a file: as listed, or as a few files of its folder and suffix have on average."""

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


def _need_room(plan: Plan, out: Path, connections: int) -> None:
    free = shutil.disk_usage(out).free
    print(f"{readable(plan.need)} of disk needed, {readable(free)} free in {out}", flush=True)
    if plan.need > free:
        raise UserError(
            f"--out {out}: {readable(plan.need)} needed, {readable(free)} free; free some, take another folder, or a "
            "part of the corpus with --only"
        )


@dataclass
class _Run:
    """A few threads that take file after file."""

    plan: Plan
    folder: Folder
    server: Server
    stop: threading.Event
    name: str
    failures: list[str] = field(default_factory=list)

    def work(self, connections: int) -> None:
        """Check and fetch all of the plan. Raises `UserError` that names the files that could not be had."""
        todo = self.plan.check + self.plan.fetch
        if not todo:
            return
        self._lock, self._files, self._done = threading.Lock(), iter(todo), 0
        with (
            tqdm(
                total=sum(self.plan.left.values()), desc=self.name, unit="B", unit_scale=True, mininterval=1
            ) as self._bar,
            ThreadPoolExecutor(connections) as pool,
        ):
            try:
                for ended in [pool.submit(self._take_files) for _ in range(connections)]:
                    ended.result()
            except BaseException:  # Ctrl-C as well: the threads look at it after each piece
                self.stop.set()
                raise
        if self.failures:
            named = "; ".join(self.failures[:5]) + (" ..." if len(self.failures) > 5 else "")
            raise UserError(
                f"{self.name}: {len(self.failures)} of {self.plan.files:,} files could not be had: {named}; the same "
                "command tries these again"
            )

    def _take_files(self) -> None:
        try:
            self._take_until_none_is_left()
        except BaseException:
            self.stop.set()  # what ends one thread ends all
            raise

    def _take_until_none_is_left(self) -> None:
        while not self.stop.is_set():
            with self._lock:
                file = next(self._files, None)
            if file is None:
                return
            try:
                self._bring(file)
            except FileFailedError as error:
                self.failures.append(str(error))
                if len(self.failures) > MOST_FAILURES:
                    raise UserError(
                        f"{self.name}: {len(self.failures)} files could not be had, such as {error}; is --base right?"
                    ) from None
            except StoppedError:
                return
            with self._lock:
                self._done += 1
                self._bar.set_postfix_str(f"{self._done:,} files", refresh=False)

    def _bring(self, file: RemoteFile) -> None:
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
        with self._lock:  # the estimate becomes what it was
            self._bar.total += got - self.plan.left.get(file.path, 0)
