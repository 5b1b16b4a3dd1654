"""A server of corpora."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.downloads import SIGNAL, FileServer, physionet
from tests.helpers.servers import serving


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(FileServer()) as served:
        yield served


@pytest.fixture
def ptbxl(server: FileServer, corpus: Path) -> FileServer:
    """Ten simulated recordings in PTB-XL's layout."""
    files = {
        path.relative_to(corpus).as_posix(): path.read_bytes()
        for path in [corpus / "ptbxl_database.csv", *sorted((corpus / "records500").rglob("*_hr.*"))[:20]]
    }
    assert SIGNAL in files
    physionet(server, "ptb-xl/1.0.3", {**files, "scp_statements.csv": b"code\n", "LICENSE.txt": b"CC BY 4.0\n"})
    return server
