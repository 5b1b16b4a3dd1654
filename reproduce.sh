#!/usr/bin/env bash
# bash reproduce.sh
# Make the data, train and evaluate the built-in model (cardiolect/builtin) on two CPU cores; hours are in docs/RESULTS.md.
# PTBXL is the folder of PTB-XL; RECONSTRUCTED has more recordings of it, in its layout, under their own ids.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source utils/environment.sh
setup_environment

ptbxl="${PTBXL:-data/ptb-xl}" reconstructed="${RECONSTRUCTED:-data/ptb-xl-reconstructed}"
for folder in "$ptbxl" "$reconstructed"; do
    [ -f "$folder/ptbxl_database.csv" ] || fail "$folder: not a folder of PTB-XL; get it with cardiolect download ptb-xl, and name it with PTBXL=DIR (RECONSTRUCTED=DIR)"
done
# Chains of ECG-Reasoning-Benchmark about these recordings: JSON lines, used if they are there.
chains=()
[ -f "${CHAINS:=data/reasoning/ptbxl.jsonl}" ] && chains=("$CHAINS")
cardiolect() { "$python" -m cardiolect "$@"; }
data=data/builtin

# Questions, measurements and copies of training recordings (folds 1-7; 8 validates, 9 and 10 are for the test).
cardiolect simulate --out $data/corpus --records 20000 --seed 11 --varied --noise-from "$ptbxl" --noise-folds 1-8
cardiolect measure --source $data/corpus --out $data/numbers/simulated --train-folds 1-8 --valid-folds 9 --test-folds 10 --force
cardiolect measure --source $data/corpus --out $data/numbers/even --same-answer 40 --train-folds 1-8 --valid-folds 9 --test-folds 10 --force
cardiolect chains --corpus $data/corpus --out $data/chains --grounding 8
cardiolect prepare simulated --source $data/corpus --out $data/simulated --force \
    --texts $data/numbers/simulated/{train,valid}.json $data/chains/{train,valid}.jsonl
# The same recordings with rare values as frequent as common ones, more chains, and then questions for time ranges.
texts=($data/numbers/even/{train,valid}.json $data/chains/{train,valid}.jsonl)
cardiolect prepare simulated --name simulated-detail --source $data/corpus --out $data/detail --only-texts --force --texts "${texts[@]}"
cardiolect prepare simulated --name simulated-times --source $data/corpus --out $data/times --only-texts --force \
    --texts "${texts[@]}" $data/chains/grounding/{train,valid}.json
for name in ptb-xl ptb-xl-reconstructed; do
    [ $name = ptb-xl ] && source="$ptbxl" || source="$reconstructed"
    cardiolect derive --source "$source" --out $data/questions/$name --unbalanced --measure --force # for the test
    cardiolect measure --source "$source" --out $data/numbers/$name --force
    texts=($data/numbers/$name/train.json)
    for seed in 1 2 3; do # the recordings that have a finding, and others that do not, each time
        cardiolect derive --source "$source" --out $data/balanced/$name/$seed --seed $seed --measure --force
        texts+=($data/balanced/$name/$seed/train.json)
    done
    cardiolect prepare ptb-xl --name $name --source "$source" --out $data/$name --folds 1-7 8 9-10 --derived --english-reports --force \
        --texts "${texts[@]}" $data/numbers/$name/valid.json "${chains[@]}"
    cardiolect derive --source "$source" --out $data/calibration/questions/$name --unbalanced --keep-alike --measure --force
    cardiolect prepare ptb-xl --name $name --source "$source" --out $data/calibration/$name --folds 1-7 8 9-10 --force \
        --texts $data/calibration/questions/$name/valid.json
    cardiolect augment --source "$source" --out $data/copies/$name --copies 3 --noise-from "$ptbxl" --force --texts "${texts[@]}"
    cardiolect prepare ptb-xl --name $name-copies --source $data/copies/$name --out $data/$name-copies --folds 1-7 8 9-10 \
        --english-reports --force --texts $data/copies/$name/questions.json
done

bash ecg_tokenizer/run_tokenizer.sh env/builtin/tokenizer.env
bash ecg_tokenizer/run_tokenizer.sh env/builtin/measured.env
bash pretrain.sh env/builtin/pretrain.env
bash finetune.sh env/builtin/finetune.env
bash finetune.sh env/builtin/finetune_detail.env
bash finetune.sh env/builtin/finetune_times.env

# What is shipped is a stock model in bf16, calibrated on fold 8 and evaluated on folds 9 and 10.
stock=checkpoints/builtin/stock shipped=checkpoints/builtin/shipped
rm -rf $stock $shipped
cardiolect export checkpoints/builtin/times --out $stock
cardiolect calibrate --checkpoint $stock --data $data/calibration/ptb-xl $data/calibration/ptb-xl-reconstructed
results=()
for test in qa qa_reconstructed all all_reconstructed report report_reconstructed; do
    case $test in # these two read the labels themselves
        all) root="$ptbxl" ;;
        all_reconstructed) root="$reconstructed" ;;
        *) root="" ;; # an empty value does not count
    esac
    DATA_ROOT="$root" CHECKPOINT=$stock bash eval.sh env/builtin/test_$test.env
    results+=(results/builtin/$test)
done
cardiolect export $stock --results "${results[@]}" --out $shipped --name cardiolect-builtin --license cc-by-4.0
cp -r $shipped/. cardiolect/builtin/
CHECKPOINT=$stock bash eval.sh env/builtin/test_reasoning_simulated.env
[ ${#chains[@]} -eq 0 ] || CHECKPOINT=$stock bash eval.sh env/builtin/test_reasoning.env
