#!/bin/sh
# Formatting, types and warnings: everything that needs no running model.
set -eu
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
echo "== ruff"
"$BIN/ruff" check .
"$BIN/ruff" format --check .
echo "== mypy --strict"
# The distribution maps folders to packages; mypy sees the same names through links.
stage=build/stage/lacewing
rm -rf build/stage && mkdir -p "$stage"
for path in runtime/*; do test "$path" = runtime/web || ln -s "$PWD/$path" "$stage/$(basename "$path")"; done
ln -s "$PWD/converter" "$stage/converter"
ln -s "$PWD/profiles" "$stage/profiles"
MYPYPATH=build/stage "$BIN/mypy" --strict -p lacewing
echo "== generated files"
"$BIN/python" -m lacewing.format.generate --check
"$BIN/python" -m lacewing.format.document --check
"$BIN/python" tests/bench/document.py --check
echo "== clang-format"
git ls-files '*.c' '*.h' | grep -v lw_format.h | xargs "$BIN/clang-format" --dry-run -Werror
echo "== C warnings are errors"
# gcc is the compiler that users build with; -O2 lets it see through more than -O0 would.
for file in $(git ls-files 'runtime/engine/*.c' 'kernels_x86/*.c'); do
  gcc -std=c11 -O2 -ffp-contract=off -Wall -Wextra -Wconversion -Wshadow -Werror -fsyntax-only \
    -Iruntime/engine/include -Iruntime/engine/src -Iruntime/engine/reference -Iruntime/engine/hosted -Iruntime/engine/wasm \
    -Ikernels_x86 "$file"
done
