"""Does `model.inference.attribution` locate findings and what an answer depends on, compared with other methods?

    python -m bench.attribution --checkpoint checkpoints/quickstart/llm --corpus data/quickstart/corpus
    python -m bench.attribution --checkpoint checkpoints/sim_to_real/llm --corpus data/ptb-xl \\
        --questions data/sim_to_real/questions/train.json --folds 1-8

Measured on yes-or-no questions that the checkpoint answers correctly. In a corpus of the simulator's default mode it is
known when a finding is visible (`bench.finding_spans`), and only findings that are present are used: ``weight %`` of
all weight lies in the ``time %`` that shows the finding, ``ratio`` is the first divided by the second, and ``AUROC``
ranks the codes within it against the others. In any corpus: ``margin`` is the log-probability of the answer minus that
of the other answer, in nats; ``lost`` is how much of it is lost if the tenth of the codes with the largest weights is
hidden from attention; ``shifted`` is the same if that pattern of codes is hidden at another time.
"""

import random
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from tqdm import tqdm

from bench.baselines.attribution_methods import BASELINES
from bench.finding_spans import SPANS, FindingSpans, overlap_share
from bench.harness import benchmark_parser, report
from cardiolect.data_provider.corpora.databases import MADE
from cardiolect.data_provider.corpora.ptbxl_database import load_database, parse_folds
from cardiolect.data_provider.examples import Example
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.model.evaluation.answers import yes_no_tokens
from cardiolect.model.inference.attribution import answer_margin, attribute_to_codes, code_positions
from cardiolect.model.llm.checkpoint import Checkpoint, load_checkpoint
from cardiolect.model.llm.ecg_language_model import embed_prompt
from cardiolect.model.prompt.rendering import render_ecgs, render_prompt
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

OURS = "cardiolect.model.inference.attribution"
HIDDEN = 0.1  # share of the codes that is hidden for `lost`


def finding_of(example: Example, simulated: bool) -> str | None:
    """The finding, or kind of attribute, that a question is grouped under; None if it is not measured."""
    if example.question_type != "single-verify" or len(example.records) != 1:
        return None
    if not simulated:
        return example.attribute_type
    usable = example.answers == ("yes",) and len(example.attributes) == 1 and "in lead" not in example.question
    return example.attributes[0] if usable and example.attributes[0] in SPANS else None


@torch.no_grad()
def margin_without(model, prompt: Tensor, hidden: np.ndarray, answer: list[int], other: list[int]) -> float:
    """The margin with some positions of the prompt hidden from attention; the others keep their position ids."""
    mask = torch.ones(1, len(prompt), dtype=torch.long, device=prompt.device)
    mask[0, torch.from_numpy(hidden)] = 0
    positions = torch.arange(len(prompt), device=prompt.device)[None]
    masked = partial(model, attention_mask=mask, position_ids=positions)
    return float(answer_margin(masked, prompt[None], answer, other))


def measure(
    checkpoint: Checkpoint, example: Example, spans: FindingSpans | None, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Method -> figures of one question; empty if the answer is wrong or no code lies within or outside the finding."""
    model, vocabulary, tokenizer = checkpoint.model, checkpoint.vocabulary, checkpoint.representation
    record = read_record(example.records[0])
    ecg = tokenizer.encode(record.signal, record.fs)
    prefix, is_ecg = render_ecgs(vocabulary, [ecg], example.backgrounds)
    question = render_prompt(vocabulary, example.task, example.question)
    yes, no = ([token] for token in yes_no_tokens(vocabulary))
    answer, other = (yes, no) if example.answers == ("yes",) else (no, yes)
    prompt, codes = embed_prompt(model, prefix + question), np.array(code_positions(vocabulary, prefix, is_ecg))
    margin = margin_without(model, prompt, codes[:0], answer, other)
    times = tokenizer.code_times(len(codes))
    within = None
    if spans is not None:
        within = overlap_share(times, spans.find(example.attributes[0], example.records[0], record))
    if margin <= 0 or (within is not None and not 0 < (within >= 0.5).sum() < len(codes)):
        return {}
    seconds = float(np.ptp(times, axis=1).min())
    weights = {OURS: attribute_to_codes(model, vocabulary, prefix, is_ecg, question, answer, other)}
    for name, method in BASELINES.items():
        weights[name] = method(model, prompt, codes.tolist(), answer, other, seconds).double().cpu().numpy()
    count, shift = round(HIDDEN * len(codes)), int(rng.integers(len(codes) // 10, len(codes) - len(codes) // 10))
    figures = {}
    for name, weight in weights.items():
        top = np.argsort(-weight)[:count]
        row = {"questions": 1.0, "margin": margin}
        if within is not None:
            row["time %"] = 100 * float(np.average(within, weights=np.ptp(times, axis=1)))
            row["weight %"] = 100 * float((weight * within).sum() / (weight.sum() or 1.0))
            row["AUROC"] = float(roc_auc_score(within >= 0.5, weight))
        row["lost"] = margin - margin_without(model, prompt, codes[top], answer, other)
        row["shifted"] = margin - margin_without(model, prompt, codes[(top + shift) % len(codes)], answer, other)
        figures[name] = row
    return figures


def table(results: dict[str, list[dict[str, dict[str, float]]]]) -> list[dict]:
    """Means over the questions of each finding for our method, and means over findings for every method."""
    rows = []
    for name in [OURS, *BASELINES]:
        means = []
        for finding, questions in results.items():
            figures = [row[name] for row in questions]
            mean = {key: float(np.mean([f[key] for f in figures])) for key in figures[0]}
            means.append({"finding": finding, "method": name, **mean, "questions": len(figures)})
        total = {key: float(np.mean([m[key] for m in means])) for key in means[0] if key not in ("finding", "method")}
        count = sum(m["questions"] for m in means)
        rows += means if name == OURS else []
        rows.append({"finding": "mean of findings", "method": name, **total, "questions": count})
    for row in rows:
        if "time %" in row:
            row["ratio"] = row["weight %"] / row["time %"]
    return rows


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True, help="simulated corpus or PTB-XL")
    parser.add_argument("--questions", type=Path, help="JSON file of questions (default: CORPUS/questions/test.json)")
    parser.add_argument("--folds", default="1-10", help="folds whose recordings are used (default: 1-10)")
    parser.add_argument(
        "--per-finding", type=int, default=20, help="maximum number of correctly answered questions per finding"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    checkpoint = load_checkpoint(arguments.checkpoint)
    checkpoint.model.eval()
    if not yes_no_tokens(checkpoint.vocabulary):
        raise UserError(
            f"{arguments.checkpoint}: yes and no are not single tokens of its tokenizer; use another checkpoint"
        )
    spans = FindingSpans(arguments.corpus) if (arguments.corpus / MADE).is_file() else None
    file = arguments.questions or arguments.corpus / "questions" / "test.json"
    examples = load_examples([file], arguments.corpus, load_database(arguments.corpus, "--corpus")).examples
    folds = parse_folds(arguments.folds, "--folds")
    examples = [e for e in examples if finding_of(e, spans is not None) and e.records[0].fold in folds]
    random.Random(arguments.seed).shuffle(examples)
    rng = np.random.default_rng(arguments.seed)
    results, tried = defaultdict(list), Counter()
    for example in tqdm(examples, desc="attributing", unit="question", disable=None):
        finding = finding_of(example, spans is not None)
        if len(results[finding]) < arguments.per_finding:
            tried[finding] += 1
            if figures := measure(checkpoint, example, spans, rng):
                results[finding].append(figures)
    results = {finding: results[finding] for finding in sorted(results) if results[finding]}
    if not results:
        raise UserError(
            f"{file}: {arguments.checkpoint} answers no question of folds {arguments.folds} correctly; give others"
        )
    notes = f"{sum(map(len, results.values()))} of {tried.total()} questions measured"
    report("attribution", table(results), arguments.out, notes)


if __name__ == "__main__":
    run_command(main)
