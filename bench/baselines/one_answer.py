"""`cardiolect ask` with the CPU seconds of its parts, for `bench.first_answer`, which runs it in a fresh process."""

import json
import sys
import time
from contextlib import nullcontext
from importlib import import_module

from cardiolect.utils.garbage import no_collection_at_first

BEFORE = ("peft", "pyarrow.parquet")
BEFORE += tuple(f"cardiolect.data_provider.readers.{kind}_reader" for kind in ("csv", "dicom", "edf", "hdf5", "xml"))


def main(side: str, *arguments: str) -> None:
    """Print the answer and, as JSON, the CPU seconds since the start of the process at the end of each part.

    side: "now", or "before" for everything that was imported once, and collections of garbage throughout.
    """
    with no_collection_at_first() if side == "now" else nullcontext():
        for module in ("cardiolect.model.inference.chat", *(BEFORE if side == "before" else ())):
            import_module(module)
        ask = import_module("cardiolect.model.cli.ask")
        seconds = [time.process_time()]
        open_answerer = ask._open_answerer

        def timed(*arguments, **options):
            opened = open_answerer(*arguments, **options)
            seconds.append(time.process_time())
            return opened

        ask._open_answerer = timed
        import_module("cardiolect.model.cli.commands").main(arguments)
        seconds.append(time.process_time())
        print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
