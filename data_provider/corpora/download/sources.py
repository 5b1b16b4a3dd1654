"""The open corpora: their addresses, and the lists of files on their servers (names, checksums, sometimes sizes).

Layouts and addresses as documented: each PhysioNet project has a ``SHA256SUMS.txt`` with lines of "digest path" and
no sizes (its software, MIT-LCP/physionet-build); Zenodo's and GitHub's lists are JSON and state sizes.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cardiolect.data_provider.corpora import challenge, code15, mimic, ptbxl
from cardiolect.data_provider.readers.layout import LAYOUT_NAME
from cardiolect.utils.errors import UserError

STATE_FOLDER = ".download"  # below --out: the server's list and the list of verified files
_SUM = re.compile(r"([0-9a-f]{64}) [ *]?(.+)")
_UNSAFE = re.compile(r"[\x00-\x1f\\:]")


class RemoteFile(NamedTuple):
    """One file: its paths below --out and below the server's address, "algorithm:digest", and bytes if listed."""

    path: str
    remote: str
    checksum: str
    size: int | None = None
    zipped: bool = False  # the server has a zip that holds ``path``


@dataclass(frozen=True)
class Source:
    """A corpus: ``listing``, below ``base``, is the list of its files, which ``read`` parses."""

    title: str
    base: str
    listing: str
    read: Callable[[Path], Iterator[RemoteFile]]
    files_base: str = ""  # address of the files, if not that of the list
    needed: tuple[str, ...] = ()  # fetched whatever --only says, since `prepare` needs them
    extra_files: dict[str, str] = field(default_factory=dict)  # written if missing: name -> text


def list_files(source: Source, listing: Path) -> dict[str, RemoteFile]:
    """path -> file, from the server's list. Raises `UserError` if it is invalid or has a path outside --out."""
    files: dict[str, RemoteFile] = {}
    try:
        for file in source.read(listing):
            _check_name(file.path)
            if files.setdefault(file.path, file) != file:
                raise UserError(f"the server's list has {file.path} twice, with different checksums")
    except (KeyError, TypeError, ValueError):  # JSON and Unicode errors are ValueErrors
        raise UserError(f"{source.listing} is not the expected list of files; is --base right?") from None
    if not files:
        raise UserError(f"{source.listing} lists no files of {source.title}; is --base right?")
    return files


def _check_name(name: str) -> None:
    parts = name.split("/")
    if _UNSAFE.search(name) or {"", ".", ".."} & set(parts) or parts[0] == STATE_FOLDER:
        raise UserError(f"the server's list has the unsafe path {name!r}; nothing is fetched from this server")


def _physionet_list(listing: Path, project: str, folder: str) -> Iterator[RemoteFile]:
    with listing.open(encoding="utf-8") as lines:
        for line in lines:
            match = _SUM.fullmatch(line.rstrip("\r\n"))
            if match is None:
                raise ValueError(line[:80])
            if match[2].startswith(folder):
                yield RemoteFile(match[2].removeprefix(folder), f"{project}/{match[2]}", f"sha256:{match[1]}")


def _zenodo_list(listing: Path, record: str) -> Iterator[RemoteFile]:
    for file in json.loads(listing.read_bytes())["files"]:
        name = str(file["key"])
        zipped = name.endswith(".zip")
        path = f"{name.removesuffix('.zip')}.hdf5" if zipped else name  # exams_part0.zip holds exams_part0.hdf5
        yield RemoteFile(path, f"records/{record}/files/{name}", _md5(file["checksum"]), int(file["size"]), zipped)


def _md5(checksum: str) -> str:
    if not re.fullmatch(r"md5:[0-9a-f]{32}", checksum):
        raise ValueError(checksum)
    return checksum


def _github_list(listing: Path, repository: str, commit: str, folder: str) -> Iterator[RemoteFile]:
    tree = json.loads(listing.read_bytes())
    if tree["truncated"]:
        raise ValueError("truncated")
    for entry in tree["tree"]:
        if entry["type"] == "blob" and entry["path"].startswith(folder):
            remote = f"{repository}/{commit}/{entry['path']}"
            yield RemoteFile(entry["path"], remote, f"git:{entry['sha']}", int(entry["size"]))


def _physionet(title: str, project: str, folder: str = "", needed: tuple[str, ...] = ()) -> Source:
    read = partial(_physionet_list, project=project, folder=folder)
    return Source(title, "https://physionet.org/files", f"{project}/SHA256SUMS.txt", read, needed=needed)


def _zenodo(title: str, record: str, needed: tuple[str, ...], extra_files: dict[str, str]) -> Source:
    read = partial(_zenodo_list, record=record)
    return Source(title, "https://zenodo.org", f"api/records/{record}", read, needed=needed, extra_files=extra_files)


def _github(title: str, repository: str, commit: str, folder: str) -> Source:
    return Source(
        title,
        "https://api.github.com",
        f"repos/{repository}/git/trees/{commit}?recursive=1",
        partial(_github_list, repository=repository, commit=commit, folder=folder),
        files_base="https://raw.githubusercontent.com",
    )


_CHALLENGE_FOLDERS = {
    "cpsc-2018": "cpsc_2018",
    "cpsc-2018-extra": "cpsc_2018_extra",
    "georgia": "georgia",
    "chapman": "chapman_shaoxing",
    "ningbo": "ningbo",
}


SOURCES: dict[str, Source] = {
    "ptb-xl": _physionet(
        f"PTB-XL 1.0.3 ({ptbxl.LICENCE})", "ptb-xl/1.0.3", needed=("ptbxl_database.csv", "scp_statements.csv")
    ),
    "mimic-iv-ecg": _physionet(
        f"MIMIC-IV-ECG 1.0 ({mimic.LICENCE})", "mimic-iv-ecg/1.0", needed=(mimic.LIST, mimic.MEASUREMENTS)
    ),
    "code-15": _zenodo(f"CODE-15 ({code15.LICENCE})", "4916206", ("exams.csv",), {LAYOUT_NAME: f"{code15.LAYOUT}\n"}),
    # The commit of April 2024 that publishes version 1.0.2, with questions on PTB-XL and on MIMIC-IV-ECG.
    "ecg-qa": _github("ECG-QA 1.0.2 (CC BY 4.0)", "Jwoo5/ecg-qa", "cfc8e6810bcd92ae01d23270865c708c3fdd6016", "ecgqa/"),
    **{
        name: _physionet(f"{name} ({challenge.LICENCE})", "challenge-2021/1.0.3", f"training/{folder}/")
        for name, folder in _CHALLENGE_FOLDERS.items()
    },
}
