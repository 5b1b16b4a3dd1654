"""Which recordings the panel measures on, and which its probe is fitted on."""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider.audit.seen import read_seen, seen_again
from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers.formats import find_headers
from cardiolect.data_provider.splits import check_no_leakage, find_database, select_folds
from cardiolect.utils.errors import UserError


def find_records(root: Path) -> dict[str, RecordRef]:
    """Recordings of PTB-XL's database, or every WFDB header below ``root`` where there is none."""
    if not root.is_dir():
        raise UserError(f"--data {root}: no such folder")
    database = find_database(root)
    if database is None:
        headers = find_headers(root)
        database = {str(h.relative_to(root).with_suffix("")): _bare(root, h) for h in headers}
    if not database:
        raise UserError(f"--data {root}: neither ptbxl_database.csv nor any WFDB header (*.hea) is there")
    return database


def _bare(root: Path, header: Path) -> RecordRef:
    return RecordRef(str(header.relative_to(root).with_suffix("")), header.with_suffix(""))


def choose(arguments: argparse.Namespace, option: str = "--probe-folds") -> tuple[list[RecordRef], list[RecordRef]]:
    """``(test, probe training)`` recordings; test leaves out patients seen in training by any of the tokenizers.

    option: that of the folds to train on, for messages.
    """
    corpus = find_records(arguments.data)
    refs, folds = list(corpus.values()), parse_folds(arguments.folds, "--folds")
    if (arguments.folds or arguments.probe_folds) and not any(ref.fold for ref in refs):
        raise UserError(f"--data {arguments.data}: has no ptbxl_database.csv and so no folds; leave the folds out")
    test = select_folds(refs, folds) if folds else refs
    seen = set()
    for folder in arguments.tokenizer:
        found = read_seen(folder)
        if found.unknown:
            print(f"warning: {folder}: {found.unknown}; choose --folds that it has not seen in training")
        seen |= found.marks
    again = seen_again(test, refs, seen)
    if again:
        whose = "recordings of patients" if any(ref.patient_id for ref in refs) else "recordings"
        who = "the tokenizer has" if len(arguments.tokenizer) == 1 else "any of the tokenizers has"
        if arguments.keep_seen:
            print(f"warning: {len(again)} {whose} that {who} seen are measured")
        else:
            print(f"left out: {len(again)} {whose} that {who} seen (--keep-seen keeps them)")
            test = [ref for ref in test if ref.record_id not in again]
    if not test:
        raise UserError(f"--data {arguments.data}: no recordings left to measure; choose other --folds")
    if 0 < arguments.max_records < len(test):
        test = random.Random(arguments.seed).sample(test, arguments.max_records)
    train = []
    if probe_folds := parse_folds(arguments.probe_folds, option):
        train = select_folds(refs, probe_folds)
        check_no_leakage({option: train, "--folds": test})
    return test, train


def known_to(folder: Path, refs: Sequence[RecordRef], corpus: Sequence[RecordRef]) -> int:
    """How many of ``refs`` are of patients that training of the representation in ``folder`` has seen."""
    return len(seen_again(list(refs), list(corpus), read_seen(folder).marks))
