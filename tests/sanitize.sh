#!/bin/sh
# The engine suite and the kernel suite again, under AddressSanitizer and UndefinedBehaviorSanitizer. Python itself is not
# instrumented, so the sanitizer's runtime is preloaded and leaks (of the interpreter) are not counted.
set -eu
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
make -s -f runtime/engine/engine.mk build/test/liblacewing_sanitized.so
export ASAN_OPTIONS=detect_leaks=0
preload=$(gcc -print-file-name=libasan.so)
echo "== engine suite under ASan and UBSan"
LD_PRELOAD=$preload LW_TEST_LIBRARY=build/test/liblacewing_sanitized.so \
  "$BIN/python" -m pytest -q -n auto -p no:cacheprovider tests/unit/engine
echo "== kernel suite under ASan and UBSan"
LD_PRELOAD=$preload LW_TEST_SANITIZE=1 "$BIN/python" -m pytest -q -n auto -p no:cacheprovider tests/unit/kernels -m "not slow"
echo "== thread pool under ThreadSanitizer"
gcc -O1 -g -std=c11 -Wall -Wextra -Wconversion -Wshadow -Werror -fsanitize=thread -Iruntime/engine/include \
  -Iruntime/engine/hosted tests/unit/engine/pool_stress.c runtime/engine/hosted/threads_pthread.c -pthread \
  -o build/test/pool_stress
# Where the kernel scatters memory wider than this, gcc 12's sanitizer finds its own places taken.
if [ "$(cat /proc/sys/vm/mmap_rnd_bits)" -le 28 ]; then build/test/pool_stress; else setarch -R build/test/pool_stress; fi
