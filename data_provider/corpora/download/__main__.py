"""Download an openly served corpus as ``cardiolect prepare`` reads it: ``... NAME --out DIR --yes``.

Says how much it is and asks before it fetches; --yes asks nothing. A stopped download goes on where it stopped, every
file has its published checksum before it gets its name, and a further run fetches nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider.corpora.download.fetch import download
from cardiolect.data_provider.corpora.download.sources import SOURCES
from cardiolect.utils.command_line import Parser
from cardiolect.utils.errors import UserError, exit_on_user_error


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect download", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(SOURCES))
    parser.add_argument("--out", type=Path, required=True, help="folder of this corpus alone")
    parser.add_argument("--yes", action="store_true", help="fetch, and do not ask")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="paths, such as 'records500/*'")
    parser.add_argument("--verify", action="store_true", help="hash again what is there, mend what differs")
    parser.add_argument("--connections", type=int, default=4, help="at a time")
    parser.add_argument("--base", metavar="URL", help="another server of the same files")
    given = parser.parse_args(arguments)
    if not 1 <= given.connections <= 16:
        raise UserError(f"--connections {given.connections}: 1 to 16")
    try:
        complete = download(
            given.name,
            given.out,
            go_ahead=(lambda: True) if given.yes else _ask,
            only=given.only,
            verify=given.verify,
            connections=given.connections,
            base=given.base,
        )
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    if complete and given.name == "ecg-qa":
        print(f"TRAIN_DATA takes {given.out}/ecgqa/ptbxl/template/train, and so on")
    elif complete:
        print(f"next: cardiolect prepare {given.name} --source {given.out} --out DIR")


def _ask() -> bool:
    if sys.stdin.isatty():
        print("fetch? [y/N] ", end="", flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    print("nothing fetched; add --yes")
    return False


if __name__ == "__main__":
    exit_on_user_error(main)
