"""Score what completes reasoning chains without an ECG and without a model.

Floors are learned from chains of other folds than those they are scored on: each fold in turn is scored with what the
others of --folds teach. The oracle is chosen on the scored chains themselves.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.data_provider.texts.reasoning.loading import load_chains
from cardiolect.data_provider.texts.reasoning.records import find_recordings, patient_of
from cardiolect.model.evaluation.reasoning.floors import ORACLES, blind_floors
from cardiolect.model.evaluation.reasoning.result import scores_table
from cardiolect.model.evaluation.reasoning.scores import AnsweredChain, score
from cardiolect.utils.command_line import Parser, file_path, integer
from cardiolect.utils.errors import UserError, make_folder


def blind_scores(
    paths: Sequence[Path], roots: Sequence[Path], folds: str, n_resamples: int, seed: int
) -> dict[str, Any]:
    """The scores of the floors without a model, as `scores.score` returns them, and ``left_out`` chains.

    roots: folders with lists of recordings, which say whose they are and in which fold; the recordings themselves are
    not read. Raises `UserError` if fewer than two folds have chains.
    """
    chains = load_chains(paths).chains
    refs, missing = find_recordings(chains, roots, allow_missing=True, on_disk=False)
    chosen = parse_folds(folds, "--folds")
    kept = [c for c in chains if c.ecg_id in refs and (not chosen or refs[c.ecg_id].fold in chosen)]
    fold_of = {chain.chain_id: refs[chain.ecg_id].fold for chain in kept}
    if len(set(fold_of.values())) < 2:
        raise UserError(f"--folds {folds}: these chains are not of several folds; floors are learned from other folds")
    numbers: dict[str, int] = {}
    texts: dict[str, dict[str, list[str]]] = {chain.chain_id: {} for chain in kept}
    oracles = [floor for floor in blind_floors([], kept) if floor.condition in ORACLES]
    for fold in set(fold_of.values()):
        scored = [chain for chain in kept if fold_of[chain.chain_id] == fold]
        training = [chain for chain in kept if fold_of[chain.chain_id] != fold]
        learned = [floor for floor in blind_floors(training, scored) if floor.condition not in ORACLES]
        for floor in (*learned, *oracles):
            for chain in scored:
                texts[chain.chain_id][floor.condition] = floor.answer(chain)
    answered = [
        AnsweredChain(c, numbers.setdefault(patient_of(refs[c.ecg_id]), len(numbers)), texts[c.chain_id]) for c in kept
    ]
    left_out = {"unknown_recording": missing, "other_folds": len(chains) - missing - len(kept)}
    return {**score(answered, "strict", n_resamples, seed), "left_out": left_out}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect blind", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chains", type=file_path, nargs="+", metavar="CHAINS", help="JSONL files of chains")
    parser.add_argument(
        "--data-root", type=file_path, nargs="+", required=True, help="folders of the corpus, with their lists"
    )
    parser.add_argument("--folds", default="1-8", help="folds to score, and to learn from")
    parser.add_argument("--resamples", type=integer(10), default=1000, help="resamples for confidence intervals")
    parser.add_argument("--seed", type=integer(0), default=42, help="seed of the resamples")
    parser.add_argument("--out", type=file_path, help="JSON file to write all figures to")
    options = parser.parse_args(arguments)
    result = blind_scores(options.chains, options.data_root, options.folds, options.resamples, options.seed)
    print(scores_table(result))
    if any(result["left_out"].values()):
        found = result["left_out"]
        print(
            f"left out: {found['other_folds']} chains of other folds, {found['unknown_recording']} not in --data-root"
        )
    if options.out:
        make_folder("--out:", options.out.parent)
        options.out.write_text(json.dumps(result, indent=2) + "\n")
