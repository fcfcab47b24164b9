// Attempts every file it is given, or every record of stdin: u32 size, then that many bytes. For each it writes the
// status as a u32 to stdout. Exits with 0 if all were refused or ran; a broken promise or a sanitizer ends it.
#include <stdio.h>
#include <stdlib.h>

#include "attempt.h"

#define MAX_FILE (UINT32_C(64) << 20)  // bytes

static int attempt_stream(FILE *in, uint32_t size) {
  uint8_t *bytes = malloc(size == 0 ? 1 : size);
  if (bytes == NULL || fread(bytes, 1, size, in) != size) {
    fprintf(stderr, "driver: %u bytes expected\n", size);
    return 2;
  }
  const uint32_t status = (uint32_t)attempt(bytes, size);
  free(bytes);
  return fwrite(&status, sizeof status, 1, stdout) == 1 ? 0 : 2;
}

static int attempt_file(const char *path) {
  FILE *in = fopen(path, "rb");
  if (in == NULL || fseek(in, 0, SEEK_END) != 0) {
    perror(path);
    return 2;
  }
  const long size = ftell(in);
  rewind(in);
  const int result = size < 0 || size > (long)MAX_FILE ? 2 : attempt_stream(in, (uint32_t)size);
  fclose(in);
  return result;
}

int main(int count, char **arguments) {
  for (int i = 1; i < count; i++)
    if (attempt_file(arguments[i]) != 0) return 2;
  if (count > 1) return 0;
  uint32_t size = 0;
  while (fread(&size, sizeof size, 1, stdin) == 1)
    if (size > MAX_FILE || attempt_stream(stdin, size) != 0) return 2;
  return 0;
}
