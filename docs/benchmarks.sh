#!/bin/sh
# benchmarks.sh CONFIG THREADS: training steps of mlecs and PyTorch in turn, A B A B, and the ratio of their medians.
set -eu
config=${1:-A} threads=${2:-1} here=$(dirname "$0")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export OMP_NUM_THREADS="$threads" GOMAXPROCS="$threads"
for i in 1 2 3 4; do
	mlecs bench step --config "$config" --threads "$threads" --json - | tr -d '\n' >>"$out/mlecs"
	echo >>"$out/mlecs"
	python3 "$here/benchmarks.py" step --config "$config" --threads "$threads" >>"$out/torch"
done
python3 - "$out" <<'PY'
import json, statistics, sys
medians = {}
for name in "mlecs", "torch":
    with open(f"{sys.argv[1]}/{name}") as f:
        medians[name] = [json.loads(line)["median_ms"] for line in f]
    print(name, "ms:", " ".join(f"{m:.2f}" for m in medians[name]))
print(f"mlecs / PyTorch: {statistics.median(medians['mlecs']) / statistics.median(medians['torch']):.2f}")
PY
