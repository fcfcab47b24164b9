// Coverage-guided fuzzing with clang:
//   clang -fsanitize=fuzzer,address,undefined <engine sources> attempt.c libfuzzer.c -o lace_fuzzer
//   ./lace_fuzzer corpus/
// test_corpus.py replays the corpus through this same function without libFuzzer.
#include <stdlib.h>
#include <string.h>

#include "attempt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The file as it is, and once more with its checksum made right: else nearly every mutation stops there.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  (void)attempt(data, size);
  if (size < LW_HEADER_BYTES) return 0;
  uint8_t *copy = malloc(size);
  if (copy == NULL) return 0;
  memcpy(copy, data, size);
  attempt_fix_checksum(copy, size);
  (void)attempt(copy, size);
  free(copy);
  return 0;
}
