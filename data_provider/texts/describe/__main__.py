"""Describe the waveforms of machine statements by retrieval over a folder of texts, and write texts for pretraining.

SOURCE is a manifest, a folder in the layout of PTB-XL or MIMIC-IV-ECG, or a text file with a statement in each line.
Writes to --out: descriptions.json (each distinct statement), reports/train.json, valid.json and test.json (a text for
each recording), summary.json (counts), and kept.jsonl, with which the same command continues. --mode endpoint asks a
language model at DESCRIBE_URL, named DESCRIBE_MODEL, with the key DESCRIBE_KEY if it needs one. Not for diagnosis.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cardiolect.data_provider.texts.describe.corpus import SPLITS, RecordStatements, load_statements
from cardiolect.data_provider.texts.describe.describing import Describer, Options
from cardiolect.data_provider.texts.describe.language_model import DescriptionEndpoint
from cardiolect.data_provider.texts.describe.local_models import LocalModel
from cardiolect.data_provider.texts.describe.passages import TEXTBOOK, load_texts
from cardiolect.data_provider.texts.describe.record_texts import NO_SPLIT, reports
from cardiolect.data_provider.texts.describe.retrieval import EmbeddingIndex, WordIndex
from cardiolect.data_provider.texts.describe.statements import KINDS, read_statement
from cardiolect.utils.command_line import Parser, file_path, integer, number, run_command
from cardiolect.utils.errors import UserError, check_overwriting, make_folder
from cardiolect.utils.kept_answers import KeptAnswers

DESCRIPTIONS, SUMMARY, KEPT, REPORTS = "descriptions.json", "summary.json", "kept.jsonl", "reports"
MODES = ("extractive", "endpoint", "local")


def main(arguments: Sequence[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    if (given.mode == "local") != (given.model is not None):
        raise UserError("--model: give the folder of a language model, with --mode local and only with it")
    endpoint = DescriptionEndpoint.from_environment() if given.mode == "endpoint" else None
    check_overwriting(given.out, [DESCRIPTIONS], given.force)
    corpus = load_statements(given.source, given.statements)
    texts = load_texts(given.texts)
    embeddings = given.embeddings
    index = EmbeddingIndex(texts.passages, embeddings, given.device) if embeddings else WordIndex(texts.passages)
    model = LocalModel(given.model, given.device) if given.model else endpoint
    options = Options(given.sentences, given.passages, given.threshold)
    describer = Describer(texts, index, options, model)
    counts = Counter(statement for record in corpus.records for statement in record.statements)
    make_folder("--out", given.out)
    with KeptAnswers(given.out / KEPT, "description") as kept:
        try:
            described, failed = describer.describe([read_statement(text) for text in counts], kept, given.threads)
        except KeyboardInterrupt:
            print(f"stopped; {given.out / KEPT} keeps what is described; the same command continues", file=sys.stderr)
            sys.exit(130)
    summary = {
        "source": given.source.name,
        "mode": describer.mode,
        "model": describer.model_name,
        "texts": {"folder": texts.folder.name, "sha256": texts.sha256, "passages": len(texts.passages)},
        "index": index.name,
        "options": asdict(options),
        "patient": given.patient,
        **_figures(corpus.records, counts, described),
        "failed": failed,
    }
    found = reports(corpus.records, described, given.patient, corpus.left_out)
    summary["left_out"] = dict(corpus.left_out)
    summary["reports"] = {split: len(items) for split, items in found.items()}
    with_text = sum(map(len, found.values())) + corpus.left_out[NO_SPLIT]
    summary["records_without_text"] = summary["records"] - with_text
    make_folder("--out", given.out / REPORTS)
    for split in SPLITS:
        (given.out / REPORTS / f"{split}.json").unlink(missing_ok=True)  # of an earlier run with --force
    for split, items in found.items():
        _write(given.out / REPORTS / f"{split}.json", items)
    _write(given.out / SUMMARY, summary)
    rows = [{**described[text], "count": count} for text, count in counts.most_common()]
    _write(given.out / DESCRIPTIONS, rows)
    print(_table(summary))
    print(f"{DESCRIPTIONS}, {SUMMARY} and {REPORTS}/ are in {given.out}")


def _figures(
    records: Sequence[RecordStatements], counts: Counter[str], described: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Statements by class, in all and distinct, and those with a waveform text."""
    classes: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for text, count in counts.items():
        result = described[text]
        classes[result["class"]].update(distinct=1, all=count)
        if result["text"]:
            classes[result["class"]].update(distinct_described=1, all_described=count)
    without = [text for text, _ in counts.most_common() if described[text]["class"] == "finding"]
    without = [text for text in without if not described[text]["text"]]
    unsupported = sum(bool(row.get("unsupported")) for result in described.values() for row in result["waveforms"])
    return {
        "records": sum(bool(record.record_id) for record in records),
        "statements": counts.total(),
        "distinct_statements": len(counts),
        "classes": {kind: dict(found) for kind, found in classes.items()},
        "findings_without_text": {text: counts[text] for text in without},
        "unsupported_sentences": unsupported,
    }


def _table(summary: Mapping[str, Any]) -> str:
    lines = [f"{'class':16}{'distinct':>10}{'described':>11}{'all':>10}{'described':>11}"]
    for kind, found in summary["classes"].items():
        cells = [found.get(key, 0) for key in ("distinct", "distinct_described", "all", "all_described")]
        lines.append(f"{kind:16}{cells[0]:>10,}{cells[1]:>11,}{cells[2]:>10,}{cells[3]:>11,}")
    if summary["unsupported_sentences"]:
        lines.append(f"{summary['unsupported_sentences']} sentences without support are marked, and left out of texts")
    if summary["failed"]:
        reason = next(iter(summary["failed"].values()))
        lines.append(f"{len(summary['failed'])} statements failed ({reason}); the same command requests them again")
    lines += [f"left out: {count} {reason}" for reason, count in summary["left_out"].items()]
    if summary["records"]:
        texts = ", ".join(f"{split} {count:,}" for split, count in summary["reports"].items())
        lines.append(f"texts of recordings: {texts}; {summary['records_without_text']} recordings have none")
    return "\n".join(lines)


def _write(path: Path, content: Any) -> None:
    """Write JSON so that a killed run leaves no half of a file."""
    partial = path.with_name(f"{path.name}.tmp")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _parser() -> Parser:
    parser = Parser("cardiolect describe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=file_path, metavar="SOURCE", help="corpus, or text file of statements")
    parser.add_argument("--out", type=file_path, required=True, metavar="FOLDER", help="folder of the results")
    parser.add_argument(
        "--statements",
        choices=("reports", "codes", "both"),
        default="both",
        help="what to take of PTB-XL: sentences of reports, SCP codes, or both",
    )
    parser.add_argument(
        "--texts",
        type=file_path,
        default=TEXTBOOK,
        metavar="FOLDER",
        help="folder of .md and .txt files to retrieve from (default: the textbook of the package)",
    )
    parser.add_argument(
        "--embeddings",
        type=file_path,
        metavar="FOLDER",
        help="retrieve by embeddings of the language model in FOLDER (default: by words, BM25)",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="extractive",
        help="sentences of the texts as they are, or what a language model at an endpoint or in a folder writes",
    )
    parser.add_argument("--model", type=file_path, metavar="FOLDER", help="causal language model for --mode local")
    parser.add_argument(
        "--sentences", type=integer(1), default=4, metavar="N", help="most sentences for a finding, if extractive"
    )
    parser.add_argument(
        "--passages", type=integer(1), default=3, metavar="N", help="passages for a finding that a model is given"
    )
    parser.add_argument(
        "--threshold",
        type=number(0, 1),
        default=0.5,
        metavar="SCORE",
        help="least score of a passage: share of the words of the finding, or cosine similarity of embeddings",
    )
    parser.add_argument("--patient", action="store_true", help="begin texts of recordings with age and sex, if known")
    parser.add_argument("--threads", type=integer(1), default=4, metavar="N", help="requests at a time to an endpoint")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="for models in folders; auto: a GPU if any"
    )
    parser.add_argument("--force", action="store_true", help="replace the descriptions of an earlier run")
    return parser


if __name__ == "__main__":
    run_command(main)
