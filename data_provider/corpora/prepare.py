"""Make a manifest of a published corpus: ``cardiolect prepare ptb-xl --source DIR --out DIR``.

Recordings stay in the source folder; nothing is copied. Settings then name the manifest: ``DATA_ROOT=DIR``.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from cardiolect.data_provider.corpora import challenge, code15, mimic, ptbxl, simulated, wfdb_folders
from cardiolect.data_provider.corpora.databases import MANIFEST, database_in
from cardiolect.data_provider.corpora.manifest_texts import (
    RENDERINGS,
    add_derived_questions,
    add_texts,
    render_reports,
    take_ecg_qa_splits,
    take_folds,
)
from cardiolect.data_provider.corpora.prepared import Prepared
from cardiolect.data_provider.manifest import RECORDS, TEXTS, Corpus, write_manifest
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError, check_overwriting

CORPORA: dict[str, Callable[[Path], Prepared]] = {
    "ptb-xl": ptbxl.prepare,
    "mimic-iv-ecg": mimic.prepare,
    "code-15": code15.prepare,
    "simulated": simulated.prepare,
    wfdb_folders.OWN: wfdb_folders.prepare,
    **dict.fromkeys(challenge.NAMES, challenge.prepare),
}

PRODUCTS = (MANIFEST, RECORDS, TEXTS, RENDERINGS)


def prepare(
    name: str,
    source: Path,
    out: Path,
    texts: list[Path] | None = None,
    texts_licence: str = "",
    ecg_qa_splits: Path | None = None,
    folds: list[str] | None = None,
    derived_seed: int | None = None,
    mixture_name: str = "",
    english: bool = False,
    database: str = "",
    force: bool = False,
    only_texts: bool = False,
) -> Corpus:
    """Write the manifest of the corpus ``name`` in ``source`` to ``out``.

    texts: files of questions, reports or conversations about its recordings. ecg_qa_splits: ECG-QA's folder, whose
    splits replace the corpus's own. folds: for training, validation and test ("1-7", "8", "9-10"). derived_seed: adds
    questions derived from PTB-XL's labels. mixture_name: the name of the corpus in a mixture, if not ``name``. english:
    render PTB-XL's German and Swedish reports in English. database: whose patients these are, if it is not the
    database that ``name`` stands for. force: replace what an earlier run wrote to ``out``, and say so.
    only_texts: leave out the corpus's own reports and questions.
    """
    if not re.fullmatch(r"[\w.-]*", mixture_name):
        raise UserError(f"--name {mixture_name}: use only letters, digits, dots, hyphens and underscores")
    if folds and ecg_qa_splits is not None:
        raise UserError("--folds and --ecg-qa-splits exclude each other; give one")
    if derived_seed is not None and name != "ptb-xl":
        raise UserError(f"--derived needs PTB-XL's labels, which {name} does not have")
    if english and name != "ptb-xl":
        raise UserError(f"--english-reports renders PTB-XL's German and Swedish reports; {name} has none")
    if only_texts and not texts:
        raise UserError("--only-texts leaves nothing without --texts")
    if not source.is_dir():
        raise UserError(f"--source {source}: no such folder")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: give a folder")
    check_overwriting(out, PRODUCTS, force)
    done = CORPORA[name](source)
    if not done.records:
        why = f" ({_list(done.left_out)})" if done.left_out else ""
        raise UserError(f"--source {source}: contains no recording of {name}{why}")
    if only_texts:
        done.texts, done.bundled = [], []
        del done.left_out["empty reports"]
    if ecg_qa_splits is not None:
        take_ecg_qa_splits(done, ecg_qa_splits)
    if folds:
        take_folds(done, folds)
    if done.bundled:
        add_texts(done, source, done.bundled, done.licence)
    if texts:
        add_texts(done, source, texts, texts_licence)
    if derived_seed is not None:
        add_derived_questions(done, source, derived_seed, done.licence)
    replaced = [path for name in PRODUCTS if (path := out / name).exists()]
    for path in replaced:  # all of them: another run need not write every one
        path.unlink()
    if english:
        render_reports(done, out)
    corpus = Corpus(
        mixture_name or name,
        done.version,
        done.licence,
        done.citation,
        str(source.resolve()),
        len(done.records),
        len(done.texts),
        {reason: count for reason, count in done.left_out.items() if count},
        database or database_in(source, name),
    )
    write_manifest(out, corpus, done.records, done.texts)
    for path in replaced:
        print(f"{path}: {'replaced' if path.exists() else 'removed, as it belonged to the corpus before'}")
    return corpus


def _list(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect prepare", description=__doc__)
    parser.add_argument("name", choices=sorted(CORPORA))
    parser.add_argument("--source", type=Path, required=True, help="folder of the corpus as it was downloaded")
    parser.add_argument("--out", type=Path, required=True, help="folder of the manifest")
    parser.add_argument(
        "--texts",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="JSON files or folders with questions, reports or conversations about its recordings",
    )
    parser.add_argument(
        "--only-texts",
        action="store_true",
        help="the texts of --texts alone, without the corpus's own reports and questions",
    )
    parser.add_argument("--texts-licence", default="", help="licence of these texts, for the manifest")
    parser.add_argument(
        "--ecg-qa-splits",
        type=Path,
        metavar="DIR",
        help="use ECG-QA's splits: its folder with train_ecgs.tsv ... (default: the corpus's splits)",
    )
    parser.add_argument(
        "--folds",
        nargs=3,
        metavar=("TRAIN", "VALID", "TEST"),
        help="split by these folds of PTB-XL, such as 1-7 8 9-10 (default: the corpus's splits)",
    )
    parser.add_argument("--derived", action="store_true", help="add questions derived from PTB-XL's labels")
    parser.add_argument(
        "--english-reports", action="store_true", help="render PTB-XL's German and Swedish reports in English"
    )
    parser.add_argument("--name", dest="mixture_name", default="", help="name in a mixture (default: the corpus's)")
    parser.add_argument(
        "--database",
        default="",
        metavar="ID",
        help="whose patients these are, such as your own in the layout of NAME; manifests of one database share "
        "patients (default: NAME's)",
    )
    parser.add_argument("--seed", type=int, default=42, help="seed for the recordings that derived questions are about")
    parser.add_argument("--force", action="store_true", help="replace what an earlier run wrote to OUT")
    given = parser.parse_args(arguments)
    corpus = prepare(
        given.name,
        given.source,
        given.out,
        given.texts,
        given.texts_licence,
        given.ecg_qa_splits,
        given.folds,
        given.seed if given.derived else None,
        given.mixture_name,
        given.english_reports,
        given.database,
        given.force,
        given.only_texts,
    )
    left_out = f"; left out: {_list(Counter(corpus.left_out))}" if corpus.left_out else ""
    print(f"{corpus.name}: {corpus.records} recordings, {corpus.texts} texts in {given.out}{left_out}")


if __name__ == "__main__":
    run_command(main)
