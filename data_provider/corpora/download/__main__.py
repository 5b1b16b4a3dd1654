"""Download an open corpus in the layout that ``cardiolect prepare`` reads.

Prints the size and asks before fetching anything, unless --yes is given. An interrupted download resumes where it
stopped, a file gets its name only after its published checksum is verified, and a repeated run fetches nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider.corpora.download.fetch import download
from cardiolect.data_provider.corpora.download.sources import SOURCES
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect download", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(SOURCES))
    parser.add_argument("--out", type=Path, required=True, help="folder for this corpus only")
    parser.add_argument("--yes", action="store_true", help="fetch without asking")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="fetch only these paths, such as 'records500/*' (default: all)",
    )
    parser.add_argument("--verify", action="store_true", help="hash existing files again and replace those that differ")
    parser.add_argument("--connections", type=int, default=4, help="parallel connections, 1 to 16")
    parser.add_argument("--base", metavar="URL", help="another server with the same files (default: the publisher's)")
    args = parser.parse_args(arguments)
    if not 1 <= args.connections <= 16:
        raise UserError(f"--connections {args.connections}: must be 1 to 16")
    try:
        complete = download(
            args.name,
            args.out,
            go_ahead=(lambda: True) if args.yes else _ask,
            only=args.only,
            verify=args.verify,
            connections=args.connections,
            base=args.base,
        )
    except KeyboardInterrupt:
        print("stopped; run the same command to resume", file=sys.stderr)
        sys.exit(130)
    if complete and args.name == "ecg-qa":
        print(f"next: set TRAIN_DATA={args.out}/ecgqa/ptbxl/template/train, and VALID_DATA and TEST_DATA likewise")
    elif complete:
        print(f"next: cardiolect prepare {args.name} --source {args.out} --out DIR")


def _ask() -> bool:
    if sys.stdin.isatty():
        print("fetch? [y/N] ", end="", flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    print("nothing was fetched; add --yes to fetch without asking")
    return False


if __name__ == "__main__":
    run_command(main)
