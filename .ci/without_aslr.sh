#!/usr/bin/env bash
# Runs a command with a fixed address layout where the kernel randomises more bits than GCC 12's
# ThreadSanitizer can map (it then dies with "unexpected memory mapping" before main).
set -euo pipefail
bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)
if [ "$bits" -gt 28 ]; then
  exec setarch "$(uname -m)" --addr-no-randomize "$@"
fi
exec "$@"
