#!/usr/bin/env bash
# bash quickstart.sh
# Run the whole pipeline on simulated ECGs, from an empty machine to a table of scores, on two CPU cores.
# Writes to data/quickstart, checkpoints/quickstart and results/quickstart.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source utils/environment.sh
setup_environment

export RESUME="${RESUME:-false}" # every stage starts over: its time is measured
results=results/quickstart
mkdir -p "$results"
stages=()
stage() { # stage NAME COMMAND...: run the command and record how long it takes
    local name="$1" start=$SECONDS
    shift
    echo "== $name: $*"
    "$@"
    stages+=("\"$name\": $((SECONDS - start))")
}

stage simulate "$python" -m cardiolect simulate --out data/quickstart/corpus --records 6000 --seed 7
stage tokenizer bash ecg_tokenizer/run_tokenizer.sh env/quickstart/tokenizer.env
stage pretrain bash pretrain.sh env/quickstart/pretrain.env
stage finetune bash finetune.sh env/quickstart/finetune.env
stage eval_qa bash eval.sh env/quickstart/test_qa.env
stage eval_report bash eval.sh env/quickstart/test_report.env
(IFS=,; echo "{${stages[*]}}") >"$results/seconds.json"
"$python" -m cardiolect summary env/quickstart/summary.env
cat "$results/qa/scores.txt" "$results/report/scores.txt"
echo "seconds per stage: $(cat "$results/seconds.json")"
echo "plots: $results/ecg.png, $results/scores.png; all figures: $results/summary.json"
echo "ask it: cardiolect ask data/quickstart/corpus/records500/00000/00005_hr \"Is there AF?\" --checkpoint checkpoints/quickstart/llm"
