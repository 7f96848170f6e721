#!/usr/bin/env bash
# Runs every fuzz target on its corpus. Arguments go to libFuzzer and bound the run:
#   fuzz.sh -runs=20000 -entropic=0   a fixed number of executions, nearly the same every time: what is
#                                     tried next depends on no clock
#   fuzz.sh -max_total_time=600       seconds per target
# What is found is kept under build/fuzz/found; new corpus entries under build/fuzz/corpus, from
# where the telling ones are copied to tests/fuzz/corpus by hand.
set -euo pipefail
cd "$(dirname "$0")/.."

found=build/fuzz/found
mkdir -p "$found"
targets=(build/fuzz/tests/fuzz/*_fuzz)
[ -x "${targets[0]}" ] || { echo "fuzz: no target was built" >&2; exit 1; }

# Addresses are among what is compared and remembered; a container may forbid to fix them.
fixed=(setarch "$(uname -m)" --addr-no-randomize)
"${fixed[@]}" true 2>/dev/null || fixed=()

for target in "${targets[@]}"; do
  name=$(basename "$target" _fuzz)
  fresh=build/fuzz/corpus/$name
  kept=tests/fuzz/corpus/$name
  mkdir -p "$fresh"
  [ -d "$kept" ] || { echo "fuzz: $kept is missing: a target starts from a corpus" >&2; exit 1; }
  dictionary=()
  [ ! -f "tests/fuzz/$name.dict" ] || dictionary=(-dict="tests/fuzz/$name.dict")

  # A seed, and inputs in an order that no file system decides, make a bounded run repeatable. The
  # memory limit is part of the test: whatever grows from network input has a limit of its own, far
  # below this one.
  mapfile -t inputs < <(find "$kept" -type f | LC_ALL=C sort)
  (IFS=, && echo "${inputs[*]}") >"$found/$name.inputs"
  echo "fuzz: $name on ${#inputs[@]} kept inputs, $*"
  "${fixed[@]}" "$target" -seed=1 -seed_inputs=@"$found/$name.inputs" -timeout=10 \
    -rss_limit_mb=512 -print_final_stats=1 -artifact_prefix="$found/$name-" \
    "${dictionary[@]}" "$@" "$fresh" 2>"$found/$name.log" ||
    { tail -n 60 "$found/$name.log" >&2; exit 1; }
  grep -E '^stat::number_of_executed_units|^Done ' "$found/$name.log"
done
