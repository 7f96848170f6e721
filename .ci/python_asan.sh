#!/usr/bin/env bash
# Runs the tests marked `sanitize` with the extension of the asan preset in place of the installed
# one. Usage: python_asan.sh PYTHON [PYTEST_ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift

site=$PWD/build/asan/site
rm -rf "$site"
mkdir -p "$site"
cp -r python/millrace "$site/"
cmake --install build/asan --component python --prefix "$site" >/dev/null

# An editable install would go before any path, and rebuild the ordinary engine on the way.
cat >"$site/sitecustomize.py" <<'PY'
import sys

sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]
PY

export PYTHONPATH=$site
# CPython keeps memory on purpose, so leaks are not looked for here; its own allocator would hide
# overflows from the sanitizer, so malloc takes its place.
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1
export PYTHONMALLOC=malloc
# The interpreter itself is not built with the sanitizer, so its runtime has to be there first. The
# C++ library comes along, or the runtime finds no __cxa_throw to watch.
preload="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)"

loaded=$(LD_PRELOAD=$preload "$python" -c 'import millrace._core as core; print(core.__file__)')
case "$loaded" in
  "$site"/*) ;;
  *) echo "python-asan: $loaded was loaded in place of the sanitized extension" >&2; exit 1 ;;
esac

# --capture=sys leaves the file descriptor of a sanitizer that ends the process to the terminal.
LD_PRELOAD=$preload exec "$python" -m pytest -m sanitize -p no:cacheprovider --capture=sys "$@" tests/python
