"""Audit prepared corpora: what they contain, and whether anything leaks: ``cardiolect audit DIR [DIR ...]``.

Writes audit.json and audit.html. Exits with 1 if a patient, an ECG or a long report that nobody else wrote is in two
splits, within one corpus or across several.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cardiolect.data_provider.audit.duplicates import NOT_RECOGNISED, SignalGroups
from cardiolect.data_provider.audit.html_page import NO_LEAKAGE, page
from cardiolect.data_provider.audit.leakage import Placed, duplicates, leaks, report_leaks
from cardiolect.data_provider.audit.recordings import amplitudes, read_all
from cardiolect.data_provider.audit.report_texts import Report, rare_reports_across_splits
from cardiolect.data_provider.audit.seen import NOT_SEEN
from cardiolect.data_provider.audit.text_statistics import text_figures
from cardiolect.data_provider.corpora.databases import is_manifest
from cardiolect.data_provider.examples import REPORT_TASK, RecordRef
from cardiolect.data_provider.manifest import load_corpus, load_records, load_texts
from cardiolect.data_provider.record import SAID_OFFSET_MV
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError, make_folder


def audit(folders: list[Path], workers: int = 2) -> dict:
    """Statistics of the corpora with these manifests, and of what they share."""
    recordings: list[tuple[str, str, RecordRef, str]] = []  # corpus, database, recording, split
    signals, reports = SignalGroups(), []
    corpora: dict[str, dict] = {}
    for folder in folders:
        if not is_manifest(folder):
            raise UserError(f"{folder}: no manifest.json; make one with cardiolect prepare")
        corpus, records = load_corpus(folder), load_records(folder)
        if corpus.name in corpora:
            raise UserError(f"{folder}: a second manifest of {corpus.name}; give one per corpus")
        readings = []
        for reading in read_all([ref for ref, _ in records.values()], workers, f"reading {corpus.name}"):
            signals.add(reading.sample_hash, reading.fingerprint)
            readings.append(replace(reading, fingerprint=None))
        recordings += [(corpus.name, corpus.database, ref, split) for ref, split in records.values()]
        texts = load_texts(folder, records)
        reports += [
            Report(f"{corpus.name}/{example.records[0].record_id}", split, example.answers[0])
            for example, split in texts
            if example.task == REPORT_TASK
        ]
        good = [reading for reading in readings if not reading.reason]
        corpora[corpus.name] = {
            "records": corpus.records,
            "licence": corpus.licence,
            "left_out": corpus.left_out,
            "splits": dict(Counter(split for _, split in records.values())),
            "database": corpus.database,
            "patients": len({ref.patient_id for ref, _ in records.values()} - {None}),
            "patient_unknown": sum(ref.patient_id is None for ref, _ in records.values()),
            "unreadable": dict(Counter(reading.reason for reading in readings if reading.reason)),
            "limb_leads_contradict": sum(reading.contradicts for reading in good),
            "masked_in_part": sum(bool(reading.masked) for reading in good),
            "leads_computed": sum(bool(reading.computed) for reading in good),
            "offset_above_1_mv": sum(reading.offset > SAID_OFFSET_MV for reading in good),
            "sampling_rates": dict(Counter(f"{reading.fs:g}" for reading in good).most_common(10)),
            "seconds": dict(Counter(f"{reading.seconds:.3g}" for reading in good).most_common(10)),
            "leads": amplitudes(good),
            "texts": text_figures([example for example, _ in texts]),
        }
    placed = [
        Placed(name, ref.record_id, ref.patient_id, split, str(label), database)
        for (name, database, ref, split), label in zip(recordings, signals.labels(), strict=True)
    ]
    rare = rare_reports_across_splits(reports)
    return {
        "leaks": leaks(placed) + report_leaks(rare),
        "duplicates": duplicates(placed),
        "rare_reports_across_splits": [[report.record for report in group] for group in rare],
        "not_recognised": [
            *NOT_RECOGNISED,
            *(f"by lists of seen recordings also: {what}" for what in NOT_SEEN),
            *not_compared(corpora),
        ],
        "corpora": corpora,
    }


def not_compared(corpora: dict[str, dict]) -> list[str]:
    """What there was nothing to compare of, with its number."""
    counts = (
        (sum(sum(corpus["unreadable"].values()) for corpus in corpora.values()), "that cannot be read"),
        (sum(corpus["patient_unknown"] for corpus in corpora.values()), "without a patient's id"),
    )
    return [f"{count} recordings {what}" for count, what in counts if count]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="manifests, as cardiolect prepare writes them")
    parser.add_argument("--out", type=Path, default=Path("results/audit"), help="folder for audit.json and audit.html")
    parser.add_argument("--workers", type=int, default=2, help="processes that read recordings")
    given = parser.parse_args(arguments)
    make_folder("--out", given.out)
    figures = audit(given.folders, given.workers)
    (given.out / "audit.json").write_text(json.dumps(figures, indent=2) + "\n")
    (given.out / "audit.html").write_text(page(figures))
    for name, corpus in figures["corpora"].items():
        unreadable = sum(corpus["unreadable"].values())
        print(f"{name}: {corpus['records']} recordings of {corpus['patients']} patients, {unreadable} unreadable")
        marked = (
            (
                corpus["limb_leads_contradict"],
                "with limb leads that contradict Einthoven's law (unreadable by default)",
            ),
            (corpus["masked_in_part"], "with leads that are masked in part"),
            (corpus["leads_computed"], "with leads computed from others"),
            (corpus["offset_above_1_mv"], "with a lead more than 1 mV off"),
        )
        if told := [f"{count} {what}" for count, what in marked if count]:
            print(f"  {', '.join(told)}")
    print(f"{len(figures['duplicates'])} groups of recordings hold the same ECG")
    print("\n".join(figures["leaks"]) or NO_LEAKAGE)
    print(f"not recognised: {'; '.join(figures['not_recognised'])}")
    print(f"audit.json and audit.html are in {given.out}")
    if figures["leaks"]:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
