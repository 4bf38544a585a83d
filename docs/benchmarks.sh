#!/bin/sh
# benchmarks.sh WHAT CONFIG THREADS [OPTION...]: mlecs bench WHAT (step or generate) and PyTorch in turn, A B A B, and the ratio of their medians.
# Options go to both: --runs N, --processor-time. KERNEL=AVX2 has both compute as on a processor without AVX-512.
set -eu
what=${1:-step} config=${2:-A} threads=${3:-1} here=$(dirname "$0")
shift $(( $# < 3 ? $# : 3 ))
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export OMP_NUM_THREADS="$threads" GOMAXPROCS="$threads"
if [ "${KERNEL:-}" = AVX2 ]; then
	export OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 DNNL_MAX_CPU_ISA=AVX2
fi
for i in 1 2 3 4; do
	mlecs bench "$what" --config "$config" --threads "$threads" --kernel "${KERNEL:-}" --json - "$@" | tr -d '\n' >>"$out/mlecs"
	echo >>"$out/mlecs"
	python3 "$here/benchmarks.py" "$what" --config "$config" --threads "$threads" "$@" >>"$out/torch"
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
