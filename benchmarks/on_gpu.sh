#!/usr/bin/env bash
# All that docs/performance.md wants to know of a GPU, in one go of under ten minutes:
#
#   benchmarks/on_gpu.sh DATA_DIR OUT_DIR
#
# DATA_DIR holds TFDS copies of cifar10 and fashion_mnist. OUT_DIR, which must not exist, gets
# measured.json, and what it was taken from. TOTAL=N allows N seconds instead of 570; what does not
# fit is left out, the last things first. FLAGS="..." are added to every run, to try the script on a
# machine without a GPU.
set -euo pipefail

data=$(realpath "$1")
mkdir "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/.."

left() { echo $((${TOTAL:-570} - SECONDS)); }

# measure NAME SECONDS COMMAND...: asked to stop after so many seconds, and made to 20 later.
measure() {
  local name=$1 most=$2 log="$out/$1.log"
  shift 2
  most=$((most < $(left) - 40 ? most : $(left) - 40))
  if ((most < 20)); then
    echo "$name: no time is left"
    return
  fi
  echo "$name: at most $most s"
  timeout --kill-after=20 "$most" "$@" >"$log" 2>&1 || echo "$name: ended with $?, see $log"
}

run() {
  local name=$1 most=$2
  shift 2
  # FLAGS is split into words.
  # shellcheck disable=SC2086
  measure "$name" "$most" python main.py --data_dir="$data" --cache_dir="$out/cache" \
    --results_dir="$out/$name" --jacob_samples=100 "$@" ${FLAGS:-}
}

# Five AllCNN as the paper trains them.
run paper 180 --dataset=cifar10 --noise_type=uniform_noise --noise_rate=0.3 --wd_coef=1e-4 --do_sn \
  --entropy_coef=1 --epochs_num=20 --precision=bf16
# As many epochs of the recipe as fit; the labels make no difference to the time.
run resnet18 100 --recipe=cifar_n --dataset=cifar10 --net=resnet18 --noise_type=symmetric_noise \
  --noise_rate=0.4 --total_repeats=2 --precision=bf16
for precision in float32 tf32 bf16; do
  run "lenet_$precision" 60 --dataset=fashion_mnist --noise_rate=0.4 --wd_coef=1e-4 --do_sn \
    --epochs_num=10 --precision="$precision"
done
rows=$(($(left) - 60))
measure throughput $((rows + 20)) \
  python benchmarks/on_accelerator.py --json="$out/throughput.json" --seconds="$rows"
python benchmarks/gathered.py "$out"
