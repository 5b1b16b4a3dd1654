"""Download an openly served corpus as ``data_provider.prepare`` reads it: ``... NAME --out DIR --yes``.

Says how much it is and asks before it fetches; --yes asks nothing. A stopped download goes on where it stopped, every
file has its published checksum before it gets its name, and a further run fetches nothing.
"""

import argparse
import sys
from pathlib import Path

from data_provider.download.fetch import download
from data_provider.download.sources import SOURCES
from utils.errors import UserError, exit_on_user_error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(SOURCES))
    parser.add_argument("--out", type=Path, required=True, help="folder of this corpus alone")
    parser.add_argument("--yes", action="store_true", help="fetch, and do not ask")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="paths, such as 'records500/*'")
    parser.add_argument("--verify", action="store_true", help="hash again what is there, mend what differs")
    parser.add_argument("--connections", type=int, default=4, help="at a time")
    parser.add_argument("--base", metavar="URL", help="another server of the same files")
    arguments = parser.parse_args()
    if not 1 <= arguments.connections <= 16:
        raise UserError(f"--connections {arguments.connections}: 1 to 16")
    try:
        complete = download(
            arguments.name, arguments.out, go_ahead=(lambda: True) if arguments.yes else _ask, only=arguments.only,
            verify=arguments.verify, connections=arguments.connections, base=arguments.base,
        )  # fmt: skip
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    if complete and arguments.name == "ecg-qa":
        print(f"TRAIN_DATA takes {arguments.out}/ecgqa/ptbxl/template/train, and so on")
    elif complete:
        print(f"next: python -m data_provider.prepare {arguments.name} --source {arguments.out} --out DIR")


def _ask() -> bool:
    if sys.stdin.isatty():
        print("fetch? [y/N] ", end="", flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    print("nothing fetched; add --yes")
    return False


if __name__ == "__main__":
    exit_on_user_error(main)
