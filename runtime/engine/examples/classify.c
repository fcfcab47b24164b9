// Classifies a photo: maps a model, prepares the image as the converter recorded it in the file, prints the five best
// classes.
//   cc -O2 -ffp-contract=off -Iinclude -Ithreads -Iexamples examples/*.c threads/*.c lib/liblacewing.a -lm -pthread
//   ./a.out model.lace photo.ppm [threads]
// Everything that an app does with Lacewing is in main(); the rest is files and pixels. A photo is a binary PPM
// (`convert photo.jpg photo.ppm`); an app has its camera's pixels instead.
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lacewing.h"
#include "lw_hosted.h"
#include "lw_image.h"

#define BEST 5

_Noreturn static void stop(const char *what, const char *why) {
  fprintf(stderr, "classify: %s: %s\n", what, why);
  exit(1);
}

static void check(lw_status status, const char *path, const lw_error *error) {
  if (status == LW_OK) return;
  fprintf(stderr, "classify: %s: %s (%s %u, found %llu, wanted %llu)\n", path, lw_status_rule(status), error->where,
          error->index, (unsigned long long)error->found, (unsigned long long)error->wanted);
  exit(1);
}

static void *allocate(size_t bytes) {  // 64-byte aligned, a whole number of lines
  void *memory = NULL;
  if (posix_memalign(&memory, 64, (bytes + 63) / 64 * 64) != 0) stop("memory", "there is not enough");
  return memory;
}

static const void *map(const char *path, size_t *bytes) {
  const int file = open(path, O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0 || status.st_size == 0) stop(path, "cannot be opened, or is empty");
  *bytes = (size_t)status.st_size;
  const void *memory = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
  if (memory == MAP_FAILED) stop(path, "cannot be mapped");
  (void)close(file);
  return memory;
}

typedef struct {
  uint32_t width, height;
  uint8_t *rgba;  // [height][width][4]
} photo;

static photo read_ppm(const char *path) {
  photo image = {0};
  FILE *file = fopen(path, "rb");
  if (file == NULL) stop(path, "cannot be opened");
  unsigned width = 0, height = 0;
  if (fscanf(file, "P6 %u %u 255", &width, &height) != 2 || fgetc(file) == EOF || width - 1u > 16383 ||
      height - 1u > 16383)
    stop(path, "is not a binary PPM of 8 bits, up to 16384x16384 and without comments");
  image = (photo){width, height, allocate((size_t)width * height * 4)};
  for (size_t i = 0; i < (size_t)width * height; i++) {
    image.rgba[4 * i + 3] = 255;
    if (fread(image.rgba + 4 * i, 1, 3, file) != 3) stop(path, "ends too early");
  }
  (void)fclose(file);
  return image;
}

// The numbers behind "key": in the metadata, at most `most`; returns how many. The converter writes each key once.
static int numbers(const char *json, const char *key, float *values, int most) {
  const char *at = strstr(json, key);
  int count = 0;
  if (at == NULL) return 0;
  at += strlen(key) + strspn(at + strlen(key), "\": [");
  for (char *end; count < most; count++, at = end + strspn(end, ", ")) {
    values[count] = strtof(at, &end);
    if (end == at) break;
  }
  return count;
}

typedef struct {
  float norm[LW_WEB_NORM_SLOTS];
  float resize;  // short side in pixels; 0 = as much as leaves 7/8 of it to the crop
} preparation;

static preparation read_preparation(const lw_model *model) {
  size_t bytes;
  const char *text = lw_model_metadata(model, &bytes);
  char *json = memcpy(calloc(bytes + 1, 1), text, bytes);
  preparation p = {0};
  const int means = numbers(json, "\"mean\"", p.norm + LW_WEB_NORM_MEAN_0, 3);
  const int deviations = numbers(json, "\"std\"", p.norm + LW_WEB_NORM_STD_0, 3);
  if (means == 0 || deviations == 0) stop("model", "does not say how images are prepared");
  for (int c = 1; c < 3; c++) {  // one value may serve all channels
    if (means == 1) p.norm[LW_WEB_NORM_MEAN_0 + c] = p.norm[LW_WEB_NORM_MEAN_0];
    if (deviations == 1) p.norm[LW_WEB_NORM_STD_0 + c] = p.norm[LW_WEB_NORM_STD_0];
  }
  (void)numbers(json, "\"resize\"", &p.resize, 1);
  p.norm[LW_WEB_NORM_BGR] = strstr(json, "\"bgr\"") != NULL;
  free(json);
  return p;
}

// The centre of the resized photo: width x height pixels, RGBA.
static uint8_t *resized_centre(const photo *from, float short_side, uint32_t width, uint32_t height) {
  const double across = (double)width / from->width, down = (double)height / from->height;
  const double least = from->width < from->height ? from->width : from->height;
  const double factor = short_side > 0 ? (double)short_side / least : (across > down ? across : down) / 0.875;
  const uint32_t to_width = (uint32_t)rint(from->width * factor), to_height = (uint32_t)rint(from->height * factor);
  if (to_width < width || to_height < height) stop("photo", "is too small for the model's crop");
  const uint32_t words_x = lw_web_axis_words(from->width, to_width);
  const uint32_t words_y = lw_web_axis_words(from->height, to_height);
  int32_t *x = allocate((size_t)width * words_x * 4), *y = allocate((size_t)height * words_y * 4);
  lw_web_axis(from->width, to_width, (to_width - width) / 2, width, x);
  lw_web_axis(from->height, to_height, (to_height - height) / 2, height, y);
  uint8_t *rows = allocate((size_t)from->height * width * 4), *centre = allocate((size_t)width * height * 4);
  lw_web_resize_rows(from->rgba, from->height, from->width, x, words_x, width, rows);
  lw_web_resize_columns(rows, 0, width, y, words_y, height, centre);
  free(x);
  free(y);
  free(rows);
  return centre;
}

static void *prepare(const lw_model *model, const photo *image) {
  const lw_tensor_info input = lw_model_input(model, 0);
  const int planar = input.dims[1] == 3;
  if (lw_model_input_count(model) != 1 || input.rank != 4 || (!planar && input.dims[3] != 3))
    stop("model", "its input is not one colour image");
  const uint32_t height = input.dims[planar ? 2 : 1], width = input.dims[planar ? 3 : 2];
  preparation p = read_preparation(model);
  p.norm[LW_WEB_NORM_CHANNELS] = 3;
  p.norm[LW_WEB_NORM_PLANAR] = (float)planar;
  p.norm[LW_WEB_NORM_SCALE] = input.dtype == LW_DTYPE_U7 ? input.scale : 0;
  p.norm[LW_WEB_NORM_ZERO_POINT] = (float)input.zero_point;
  uint8_t *pixels = resized_centre(image, p.resize, width, height);
  void *tensor = allocate(input.bytes);
  lw_web_pixels_to_tensor(pixels, width * height, p.norm, tensor);
  free(pixels);
  return tensor;
}

static void print_best(lw_tensor_info output, const void *scores) {
  const int is_float = output.dtype == LW_DTYPE_F32;
  const size_t classes = is_float ? output.bytes / sizeof(float) : output.bytes;
  uint8_t *printed = calloc(classes, 1);
  for (int rank = 1; rank <= BEST && (size_t)rank <= classes; rank++) {
    size_t best = classes;
    float best_score = 0;
    for (size_t i = 0; i < classes; i++) {
      const float score = is_float ? ((const float *)scores)[i]
                                   : ((float)((const uint8_t *)scores)[i] - (float)output.zero_point) * output.scale;
      if (printed[i] || (best != classes && score <= best_score)) continue;
      best = i;
      best_score = score;
    }
    printed[best] = 1;
    printf("%d. class %zu, score %.6f\n", rank, best, (double)best_score);
  }
  free(printed);
}

int main(int count, char **arguments) {
  if (count < 3 || count > 4) stop("usage", "classify MODEL.lace PHOTO.ppm [THREADS]");
  const long threads = count == 4 ? strtol(arguments[3], NULL, 10) : 1;
  const char *path = arguments[1];
  lw_pool *pool = threads > 0 && threads <= LW_POOL_MAX ? lw_pool_create((uint32_t)threads) : NULL;
  if (pool == NULL) stop("threads", "give a number from 1 to 256 that the system can start");
  const lw_options options = {
      .tier = LW_TIER_AUTO, .workers = (uint32_t)threads, .parallel = lw_pool_parallel, .parallel_context = pool};
  size_t bytes, need;
  lw_error error = {0};
  lw_model *model;
  const void *file = map(path, &bytes);
  check(lw_model_memory(file, bytes, &options, &need, &error), path, &error);
  void *memory = allocate(need);
  check(lw_model_create(file, bytes, &options, memory, need, &model, &error), path, &error);

  const photo image = read_ppm(arguments[2]);
  const void *input = prepare(model, &image);
  const lw_tensor_info output = lw_model_output(model, 0);
  void *scores = allocate(output.bytes);
  if (lw_model_output_count(model) != 1) stop(path, "has more than one output: not a classifier");
  check(lw_run(model, &input, &scores, &error), path, &error);
  print_best(output, scores);

  lw_pool_destroy(pool);
  free(scores);
  free((void *)(uintptr_t)input);
  free(image.rgba);
  free(memory);
  return 0;
}
