"""Summarises a finished pipeline: ``cardiolect summary ENV_FILE``, which quickstart.sh calls.

Writes summary.json and two pictures: an ECG with its reconstruction, and scores with their floors.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.splits import load_splits
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.ecg_tokenizer.fidelity.reconstruction import reconstruct
from cardiolect.model.evaluation.conditions import CONDITIONS, colours
from cardiolect.model.evaluation.result import RESULT
from cardiolect.model.evaluation.settings import SummarySettings
from cardiolect.model.evaluation.verdict import score_name
from cardiolect.utils.charts import draw_scores
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.plots import draw_ecg_paper

COMPARED = ("with_ecg", "no_ecg", "other_ecg")


def summarise(settings: SummarySettings) -> dict:
    """Write summary.json, ecg.png and scores.png to OUTPUT_DIR, and return the summary."""
    output = settings.output_dir
    output.mkdir(parents=True, exist_ok=True)
    qa, report = (json.loads((p / RESULT).read_text()) for p in (settings.qa_results, settings.report_results))
    tokenizer = measure_tokenizer(settings, output / "ecg.png")
    conditions = qa["conditions"]
    for name, scores in (("QA_RESULTS", qa), ("REPORT_RESULTS", report)):
        if missing := {"no_ecg", "other_ecg"} - set(scores["conditions"]):
            raise UserError(f"{name}: no floor {', '.join(sorted(missing))}; evaluate with FLOORS=no_ecg,other_ecg")
    summary = {
        "tokenizer": tokenizer,
        "qa": {
            "em": conditions["with_ecg"]["em"],
            "em_by_type": {kind: cell["em"]["with_ecg"] for kind, cell in qa["groups"]["question_type"].items()},
            "em_no_ecg": conditions["no_ecg"]["em"],
            "em_other_ecg": conditions["other_ecg"]["em"],
            "em_majority": conditions["majority"]["em"],
            "em_majority_per_question": conditions["majority_per_question"]["em"],
            "gap": qa["gap"]["value"],
            "gap_ci95": qa["gap"]["ci95"],
            "samples": qa["samples"],
            "patients": qa["patients"],
        },
        "report": {
            **report["conditions"]["with_ecg"],
            "no_ecg": report["conditions"]["no_ecg"],
            "other_ecg": report["conditions"]["other_ecg"],
            "samples": report["samples"],
            "wordnet": report["wordnet"],
        },
        "seconds": json.loads(settings.stage_seconds.read_text()) if settings.stage_seconds else {},
    }
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    groups = {
        f"questions, {score_name('em')}": {CONDITIONS[n].heading: conditions[n]["em"] for n in (*COMPARED, "majority")}
    }
    labels = {
        "bleu4": "BLEU-4",
        "sacrebleu": "BLEU",
        "meteor": "METEOR",
        "rougeL": "ROUGE-L",
        "content_f1": "content F1",
        "finding_f1": "finding F1",
    }
    for key, label in labels.items():
        if key in report["conditions"]["with_ecg"]:
            found = {n: report["conditions"][n] for n in (*COMPARED, "majority") if n in report["conditions"]}
            groups[f"reports, {label}"] = {CONDITIONS[n].heading: row[key] for n, row in found.items() if key in row}
    draw_scores(groups, colours((*COMPARED, "majority")), output / "scores.png", title="Scores and floors")
    print(
        f"tokenizer on {tokenizer['records']} test recordings: PRDN {tokenizer['prdn']:.1f} % (median "
        f"{tokenizer['prdn_median']:.1f}), {tokenizer['codes_used']} of {tokenizer['codebook_size']} codes used"
    )
    print(f"summary.json, ecg.png and scores.png are in {output}")
    return summary


def measure_tokenizer(settings: SummarySettings, picture: Path) -> dict:
    """Distortion and code use on the test recordings; draws the recording with median distortion."""
    tokenizer = ECGTokenizer.from_pretrained(settings.tokenizer_path)
    # TEST_DATA may be set for the texts; the tokenizer only needs recordings.
    refs = load_splits(settings, ("test",), task=None)["test"].records
    max_bad = int(settings.max_bad_records * len(refs))
    measured = list(reconstruct(tokenizer, refs, settings.workers, "measuring the tokenizer", max_bad))
    if not measured:
        raise UserError(f"DATA_ROOT: none of the {len(refs)} test recordings could be read")
    distortion = [prdn(m.signal[m.present], m.decoded[m.present]) for m in measured]
    median = measured[int(np.argsort(distortion)[len(measured) // 2])]
    title = f"Unseen ECG and its reconstruction (PRDN {np.median(distortion):.0f} %, the median)"
    figure = draw_ecg_paper(median.signal, tokenizer.config.sampling_rate, LEADS, title, overlay=median.decoded)
    figure.savefig(picture)
    return {
        "prdn": float(np.mean(distortion)),
        "prdn_median": float(np.median(distortion)),
        **tokenizer.code_use([m.codes for m in measured]),
        "tokens_per_second_of_ecg": tokenizer.token_rate,
        "bits_per_second": tokenizer.bits_per_second,
        "records": len(measured),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect summary", description=__doc__)
    parser.add_argument("env_file", help="settings of the summary, see docs/SETTINGS.md")
    summarise(SummarySettings.load(parser.parse_args(arguments).env_file))


if __name__ == "__main__":
    run_command(main)
