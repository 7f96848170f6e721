#!/usr/bin/env bash
# clang-tidy over the compile commands of the dev preset, less GCC's precompiled headers, which clang
# cannot read.
#   tidy.sh          what reads bytes from strangers (base, proto), and what changed since the
#                    last commit: a minute, so that it can run on every change
#   tidy.sh all      every C++ source of the engine
set -euo pipefail
cd "$(dirname "$0")/.."

sources() {
  if [ "${1:-}" = all ]; then
    find cpp/millrace -name '*.cpp'
    return
  fi
  find cpp/millrace/base cpp/millrace/proto -name '*.cpp'
  git diff --name-only --diff-filter=d HEAD -- 'cpp/millrace/*.cpp' 2>/dev/null || true
}

mkdir -p build/tidy
sed -E 's/ -Winvalid-pch -include [^ ]+//' build/dev/compile_commands.json > build/tidy/compile_commands.json

sources "$@" | sort -u |
  xargs -r -P "${JOBS:-2}" -n 2 clang-tidy -p build/tidy --quiet \
    --extra-arg=-Wno-unknown-warning-option \
    2> >(grep -vE '^[0-9]+ (warning|error).* generated' >&2)
