"""Write reasoning chains about the recordings of a varied simulated corpus.

CORPUS is a folder made by `cardiolect simulate --varied`. For each of its splits, OUT gets SPLIT.jsonl in the form of
ECG-Reasoning-Benchmark, to evaluate on (TASKTYPE=reasoning) and to fine-tune on (TRAIN_DATA). chains.json has counts of
what was written and of what was not. With --grounding N, grounding/SPLIT.json has up to N short conversations about
each recording, of a question for a time range and those for values measured there, to train on.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cardiolect.data_provider.corpora.databases import MADE
from cardiolect.data_provider.corpora.simulated_folder import TRUTH
from cardiolect.data_provider.simulator.chains.facts import Facts
from cardiolect.data_provider.simulator.chains.making import UnwrittenError, grounding_questions, make_chain
from cardiolect.data_provider.simulator.corpus import SPLITS, VARIED_VERSION
from cardiolect.data_provider.simulator.patients import draw_patient, plan_patients, stream
from cardiolect.data_provider.simulator.ptbxl_tables import filename_hr
from cardiolect.data_provider.simulator.varied.render import varied_heart
from cardiolect.data_provider.texts.reasoning.form import Chain
from cardiolect.data_provider.texts.reasoning.loading import write_chains
from cardiolect.data_provider.texts.reasoning.wordings import wordings
from cardiolect.utils.command_line import Parser, file_path, integer
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.parallel import ordered_map
from cardiolect.utils.progress import progress

CHAIN_STREAM, GROUNDING_STREAM = 4, 5  # in addition to those of `simulator.patients` and `varied.render`
COUNTS, GROUNDING = "chains.json", "grounding"


def write_corpus_chains(corpus: Path, out: Path, balanced: bool, workers: int = 0) -> dict[str, Any]:
    """Write the chains of all splits and their counts, which are returned.

    balanced: only as many chains of a split with each diagnosis as without it. Which these are depends on the corpus
    alone. workers: processes that write; the result is the same. Raises `UserError` if ``corpus`` is not a varied
    corpus of this version of the simulator.
    """
    settings = _read_settings(corpus)
    plan = plan_patients(settings["seed"], settings["records"])
    left_out: dict[str, Counter[str]] = {diagnosis: Counter() for diagnosis in wordings()}
    made: dict[str, list[Chain]] = {split: [] for split in SPLITS}
    rows = (corpus / TRUTH).read_text().splitlines()
    about = partial(_chains_about, corpus, settings["seed"], plan, rows)
    done = ordered_map(about, range(settings["records"]), workers)
    for index, (chains, reasons) in enumerate(progress(done, "chains", settings["records"], unit="ECG", mininterval=1)):
        made[_split_of(plan, index)] += chains
        for diagnosis, reason in reasons.items():
            left_out[diagnosis][reason] += 1
    written: dict[str, dict[str, dict[str, int]]] = {}
    for number, (split, chains) in enumerate(made.items()):
        rng = stream(settings["seed"], CHAIN_STREAM, settings["records"] + number)
        kept = _balanced(chains, rng) if balanced else chains
        left = Counter(chain.diagnosis for chain in chains) - Counter(chain.diagnosis for chain in kept)
        for diagnosis, times in left.items():
            left_out[diagnosis]["as many yes as no"] += times
        make_folder("--out:", out)
        write_chains(out / f"{split}.jsonl", kept)
        counts: dict[str, dict[str, int]] = defaultdict(lambda: {"yes": 0, "no": 0})
        for chain in kept:
            counts[chain.diagnosis]["yes" if chain.label else "no"] += 1
        written[split] = dict(sorted(counts.items()))
    result = {"corpus": settings, "written": written, "left_out": {k: dict(+v) for k, v in left_out.items()}}
    (out / COUNTS).write_text(json.dumps(result, indent=1) + "\n")
    return result


def write_grounding(corpus: Path, out: Path, most: int, workers: int = 0) -> dict[str, int]:
    """Write up to ``most`` conversations per recording to ``out/grounding/SPLIT.json``; how many there are in each.

    Each asks for a time range and for the values measured there.
    """
    settings = _read_settings(corpus)
    plan = plan_patients(settings["seed"], settings["records"])
    rows = (corpus / TRUTH).read_text().splitlines()
    about = partial(_grounding_about, corpus, settings["seed"], plan, rows, most)
    made: dict[str, list[dict]] = {split: [] for split in SPLITS}
    done = ordered_map(about, range(settings["records"]), workers)
    for index, asked in enumerate(progress(done, "grounding", settings["records"], unit="ECG", mininterval=1)):
        ecg = filename_hr(index + 1)
        made[_split_of(plan, index)] += [
            {"id": f"grounding:{index + 1}:{k}", "ecg": ecg, "conversations": turns} for k, turns in enumerate(asked)
        ]
    make_folder("--out:", out / GROUNDING)
    for split, items in made.items():
        (out / GROUNDING / f"{split}.json").write_text(json.dumps(items) + "\n")
    return {split: len(items) for split, items in made.items()}


def _read_settings(corpus: Path) -> dict[str, Any]:
    try:
        settings = json.loads((corpus / MADE).read_text())
    except (OSError, ValueError):
        raise UserError(f"--corpus {corpus}: not a simulated corpus; cardiolect simulate --varied makes one") from None
    if settings.get("varied") != VARIED_VERSION:
        raise UserError(
            f"--corpus {corpus}: not a varied corpus of version {VARIED_VERSION}; make it again with "
            "cardiolect simulate --varied"
        )
    return settings


def _split_of(plan: tuple[np.ndarray, np.ndarray], index: int) -> str:
    owner, folds = plan
    return next(split for split, members in SPLITS.items() if folds[owner[index]] in members)


def _chains_about(
    corpus: Path, seed: int, plan: tuple[np.ndarray, np.ndarray], rows: Sequence[str], index: int
) -> tuple[list[Chain], dict[str, str]]:
    """The chains about one record, and why those of other diagnoses cannot be written."""
    facts, rng = _facts(corpus, seed, plan, rows, index), stream(seed, CHAIN_STREAM, index)
    chains, reasons = [], {}
    for diagnosis in wordings():
        try:
            chains.append(make_chain(diagnosis, facts, f"{diagnosis}:{index + 1}", str(index + 1), rng))
        except UnwrittenError as reason:
            reasons[diagnosis] = str(reason)
    return chains, reasons


def _grounding_about(
    corpus: Path, seed: int, plan: tuple[np.ndarray, np.ndarray], rows: Sequence[str], most: int, index: int
) -> list[list[dict[str, str]]]:
    """The turns of the conversations about one record; none if its waves have no certain times."""
    found = grounding_questions(_facts(corpus, seed, plan, rows, index), most, stream(seed, GROUNDING_STREAM, index))
    return [[{"question": step.asked, "answer": step.answer} for step in steps] for steps in found]


def _facts(corpus: Path, seed: int, plan: tuple[np.ndarray, np.ndarray], rows: Sequence[str], index: int) -> Facts:
    owner, folds = plan
    patient = draw_patient(seed, int(owner[index]), int(folds[owner[index]]))
    heart = varied_heart(seed, index, patient)
    if json.loads(rows[index])["measures"] != json.loads(json.dumps(heart.truth.measures)):
        raise UserError(f"--corpus {corpus}: record {index + 1} is not what this version of the simulator makes")
    return Facts(heart)


def _balanced(chains: Sequence[Chain], rng: np.random.Generator) -> list[Chain]:
    """As many chains with each diagnosis as without it; of those in excess, the ones on rare paths are kept first."""
    kept: set[int] = set()
    for diagnosis in wordings():
        sides = [[i for i, c in enumerate(chains) if c.diagnosis == diagnosis and c.label == label] for label in (0, 1)]
        most = min(map(len, sides))
        for members in sides:
            seen: Counter[tuple] = (
                Counter()
            )  # how many of each path came before: the first of all paths, the second ...
            turn = {}
            for i in rng.permutation(members).tolist():
                path = tuple(loop.finding.answer for loop in chains[i].loops)
                turn[i] = seen[path]
                seen[path] += 1
            kept |= set(sorted(turn, key=turn.__getitem__)[:most])
    return [chain for i, chain in enumerate(chains) if i in kept]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect chains", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=file_path, required=True, help="folder of a varied simulated corpus")
    parser.add_argument("--out", type=file_path, required=True, help="folder to write to")
    parser.add_argument(
        "--unbalanced", action="store_true", help="write all chains (default: as many with a diagnosis as without it)"
    )
    parser.add_argument(
        "--grounding",
        type=integer(0),
        default=0,
        metavar="N",
        help="also write N conversations about each recording, of a time range and what is measured there",
    )
    parser.add_argument("--workers", type=integer(0), default=2, help="processes that write; the result is the same")
    options = parser.parse_args(arguments)
    result = write_corpus_chains(options.corpus, options.out, not options.unbalanced, options.workers)
    for split, counts in result["written"].items():
        yes, no = (sum(each[answer] for each in counts.values()) for answer in ("yes", "no"))
        print(f"{split}: {yes + no} chains, {yes} of ECGs with the diagnosis")
    reasons = sum((Counter(each) for each in result["left_out"].values()), Counter())
    print("not written: " + "; ".join(f"{times} for {reason}" for reason, times in reasons.most_common()))
    print(f"by diagnosis in {options.out / COUNTS}")
    if options.grounding:
        counts = write_grounding(options.corpus, options.out, options.grounding, options.workers)
        listed = ", ".join(f"{count} for {split}" for split, count in counts.items())
        print(f"{options.out / GROUNDING}: conversations about {listed}")
