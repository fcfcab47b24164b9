// A main for machines without libFuzzer: gives each file named on the command line to LLVMFuzzerTestOneInput.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int count, char **arguments) {
  static uint8_t bytes[1 << 20];
  for (int i = 1; i < count; i++) {
    FILE *in = fopen(arguments[i], "rb");
    if (in == NULL) {
      perror(arguments[i]);
      return 2;
    }
    const size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    if (LLVMFuzzerTestOneInput(bytes, size) != 0) return 1;
  }
  printf("%d files\n", count - 1);
  return 0;
}
