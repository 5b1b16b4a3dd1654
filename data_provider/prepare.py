"""Make a manifest of a published corpus: ``python -m data_provider.prepare ptb-xl --source DIR --out DIR``.

Nothing is copied: recordings stay in the source folder. Settings then take the manifest: ``DATA_ROOT=DIR``.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from data_provider.corpora import challenge, code15, mimic, ptbxl
from data_provider.corpora.prepared import Prepared
from data_provider.manifest import Corpus, write_manifest
from utils.errors import UserError, exit_on_user_error

CORPORA: dict[str, Callable[[Path], Prepared]] = {
    "ptb-xl": ptbxl.prepare,
    "mimic-iv-ecg": mimic.prepare,
    "code-15": code15.prepare,
    **dict.fromkeys(challenge.NAMES, challenge.prepare),
}


def prepare(name: str, source: Path, out: Path) -> Corpus:
    """Write the manifest of the corpus ``name`` in ``source`` to ``out``."""
    if not source.is_dir():
        raise UserError(f"--source {source}: no such folder")
    done = CORPORA[name](source)
    if not done.records:
        raise UserError(f"--source {source}: no recording of {name} is there ({_list(done.left_out)})")
    corpus = Corpus(
        name, done.version, done.licence, done.citation, str(source.resolve()), len(done.records), len(done.texts),
        dict(done.left_out),
    )  # fmt: skip
    write_manifest(out, corpus, done.records, done.texts)
    return corpus


def _list(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(CORPORA))
    parser.add_argument("--source", type=Path, required=True, help="folder of the corpus as it was downloaded")
    parser.add_argument("--out", type=Path, required=True, help="folder of the manifest")
    arguments = parser.parse_args()
    corpus = prepare(arguments.name, arguments.source, arguments.out)
    left_out = f"; left out: {_list(Counter(corpus.left_out))}" if corpus.left_out else ""
    print(f"{corpus.name}: {corpus.records} recordings, {corpus.texts} texts in {arguments.out}{left_out}")


if __name__ == "__main__":
    exit_on_user_error(main)
