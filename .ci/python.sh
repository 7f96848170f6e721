#!/usr/bin/env bash
# Prints the Python to make a virtual environment with: one that starts, is a CPython from 3.11 to
# 3.13 and can make environments. Usage: python.sh [3.N]; the variable PYTHON overrides the choice.
set -uo pipefail
version="${1:-}"

# A name on PATH proves little: a version manager's stand-in is there for every version it has
# ever seen. So each candidate is run, and answers with its real path if it will do.
real_path() {
  "$1" - "$version" 2>/dev/null <<'PY'
import ensurepip, platform, sys, venv
wanted = sys.argv[1]
own = "%d.%d" % sys.version_info[:2]
fits = (3, 11) <= sys.version_info[:2] <= (3, 13) and wanted in ("", own)
if fits and platform.python_implementation() == "CPython":
    print(sys.executable)
PY
}

candidates() {
  if [ -n "${PYTHON:-}" ]; then
    echo "$PYTHON"
    return
  fi
  local names=(python3.13 python3.12 python3.11 python3)
  [ -z "$version" ] || names=("python$version")
  printf '%s\n' "${names[@]}"
  local managed
  if managed=$(pyenv root 2>/dev/null); then
    printf '%s\n' "$managed/versions/${version:-3.1[1-3]}"*/bin/python3
  fi
}

while read -r candidate; do
  found=$(real_path "$candidate")
  if [ -n "$found" ]; then
    echo "$found"
    exit 0
  fi
done < <(candidates)

if [ -n "${PYTHON:-}" ]; then
  echo "python: PYTHON=$PYTHON does not start, is not CPython ${version:-3.11 to 3.13}, or lacks venv" >&2
else
  echo "python: no CPython ${version:-3.11 to 3.13} with venv found; install one or set PYTHON=/path/to/python3" >&2
fi
exit 1
