// Names and metadata: consumed in order, UTF-8 without control characters, metadata one JSON object.
#include "lw_internal.h"

#define MAX_DEPTH 64u  // of nested JSON values
#define MAX_NUMBER 32  // characters of a JSON number

// Bytes of the well-formed UTF-8 character at `text`, 0 if there is none or it is a control character.
static uint32_t utf8_step(const uint8_t *text, uint64_t left) {
  const uint8_t lead = text[0];
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7F ? 1 : 0;
  const uint32_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || left < length) return 0;
  for (uint32_t i = 1; i < length; i++)
    if ((text[i] & 0xC0) != 0x80) return 0;
  const uint8_t next = text[1];
  if (lead == 0xC2 && next < 0xA0) return 0;                                     // C1 controls
  if ((lead == 0xE0 && next < 0xA0) || (lead == 0xED && next > 0x9F)) return 0;  // overlong, surrogates
  if ((lead == 0xF0 && next < 0x90) || (lead == 0xF4 && next > 0x8F)) return 0;  // overlong, past U+10FFFF
  return length;
}

static int is_utf8(const uint8_t *text, uint64_t bytes) {
  for (uint64_t i = 0; i < bytes;) {
    const uint32_t step = utf8_step(text + i, bytes - i);
    if (step == 0) return 0;
    i += step;
  }
  return 1;
}

static lw_status check_name(const lw_file *file, uint32_t offset, uint32_t bytes, uint64_t *cursor, const char *where,
                            uint32_t index, lw_error *error) {
  if (offset != *cursor) return lw_fail(error, LW_E_NAME_RANGE, where, index, offset, *cursor);
  if (bytes > file->names_bytes - *cursor)
    return lw_fail(error, LW_E_NAME_RANGE, where, index, bytes, file->names_bytes - *cursor);
  if (bytes > LW_MAX_NAME_BYTES) return lw_fail(error, LW_E_NAME_UTF8, where, index, bytes, LW_MAX_NAME_BYTES);
  if (!is_utf8(file->names + offset, bytes)) return lw_fail(error, LW_E_NAME_UTF8, where, index, 0, 0);
  *cursor += bytes;
  return LW_OK;
}

static lw_status check_names(const lw_file *file, lw_error *error) {
  uint64_t cursor = 0;
  for (uint32_t i = 0; i < file->tensor_count; i++)
    LW_TRY(check_name(file, file->tensors[i].name_offset, file->tensors[i].name_bytes, &cursor, "tensor", i, error));
  for (uint32_t i = 0; i < file->op_count; i++)
    LW_TRY(check_name(file, file->ops[i].name_offset, file->ops[i].name_bytes, &cursor, "op", i, error));
  if (cursor != file->names_bytes) return lw_fail(error, LW_E_NAME_RANGE, "section", 3, cursor, file->names_bytes);
  return LW_OK;
}

static lw_status check_unique(const lw_file *file, const uint32_t *ids, uint32_t count, lw_error *error) {
  for (uint32_t i = 0; i < count; i++) {
    const lw_tensor_record *a = &file->tensors[ids[i]];
    if (a->name_bytes == 0) return lw_fail(error, LW_E_NAME_UNIQUE, "tensor", ids[i], 0, 1);
    for (uint32_t j = 0; j < i; j++) {
      const lw_tensor_record *b = &file->tensors[ids[j]];
      if (a->name_bytes == b->name_bytes &&
          lw_same_bytes(file->names + a->name_offset, file->names + b->name_offset, a->name_bytes))
        return lw_fail(error, LW_E_NAME_UNIQUE, "tensor", ids[i], ids[j], ids[i]);
    }
  }
  return LW_OK;
}

typedef struct {
  const uint8_t *at, *end;
} json_text;

static int json_take(json_text *text, uint8_t c) {
  if (text->at == text->end || *text->at != c) return 0;
  text->at++;
  return 1;
}

static void json_space(json_text *text) {
  while (text->at != text->end && *text->at == ' ') text->at++;  // other white space is a control character
}

static int json_word(json_text *text, const char *word) {
  for (; *word != 0; word++)
    if (!json_take(text, (uint8_t)*word)) return 0;
  return 1;
}

static int json_digits(json_text *text) {
  const uint8_t *start = text->at;
  while (text->at != text->end && *text->at >= '0' && *text->at <= '9') text->at++;
  return text->at != start;
}

static int json_number_form(json_text *text) {
  (void)json_take(text, '-');
  if (!json_take(text, '0') && !json_digits(text)) return 0;
  if (json_take(text, '.') && !json_digits(text)) return 0;
  if (json_take(text, 'e') || json_take(text, 'E')) {
    if (!json_take(text, '+')) (void)json_take(text, '-');
    return json_digits(text);
  }
  return 1;
}

// Readers differ in what they make of very long numbers; some refuse them with an error of their own.
static int json_number(json_text *text) {
  const uint8_t *start = text->at;
  return json_number_form(text) && text->at - start <= MAX_NUMBER;
}

static int json_escape(json_text *text) {
  if (text->at == text->end) return 0;
  const uint8_t c = *text->at++;
  if (c != 'u') return c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't';
  uint32_t value = 0;
  for (int i = 0; i < 4; i++) {
    if (text->at == text->end) return 0;
    const uint8_t digit = *text->at++ | 0x20;
    if (!((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'))) return 0;
    value = value * 16 + (digit <= '9' ? digit - (uint32_t)'0' : digit - (uint32_t)'a' + 10);
  }
  return value < 0xD800 || value > 0xDFFF;  // half a character: what lies past U+FFFF is written as UTF-8
}

static int json_string(json_text *text) {
  if (!json_take(text, '"')) return 0;
  while (!json_take(text, '"')) {
    if (text->at == text->end) return 0;
    if (*text->at++ == '\\' && !json_escape(text)) return 0;
  }
  return 1;
}

static int json_scalar(json_text *text) {
  if (text->at == text->end) return 0;
  switch (*text->at) {
    case '"':
      return json_string(text);
    case 't':
      return json_word(text, "true");
    case 'f':
      return json_word(text, "false");
    case 'n':
      return json_word(text, "null");
    default:
      return json_number(text);
  }
}

static int json_key(json_text *text) {
  json_space(text);
  if (!json_string(text)) return 0;
  json_space(text);
  return json_take(text, ':');
}

// Reads the closers and the comma after a value. *depth falls; returns 0 when neither follows.
static int json_after_value(json_text *text, uint64_t objects, uint32_t *depth) {
  for (; *depth > 0; *depth -= 1) {
    const int object = (int)((objects >> (*depth - 1)) & 1);
    json_space(text);
    if (json_take(text, ',')) return !object || json_key(text);
    if (!json_take(text, object ? '}' : ']')) return 0;
  }
  return 1;
}

// One object and nothing else. No recursion: `objects` holds one bit per open value, 1 for an object.
static int json_object(json_text text) {
  uint64_t objects = 0;
  uint32_t depth = 0;
  do {
    json_space(&text);
    const int object = json_take(&text, '{');
    if (depth == 0 && !object) return 0;
    if (object || json_take(&text, '[')) {
      if (depth == MAX_DEPTH) return 0;
      objects = (objects & ~(UINT64_C(1) << depth)) | ((uint64_t)object << depth);
      depth++;
      json_space(&text);
      const int empty = text.at != text.end && *text.at == (object ? '}' : ']');
      if (!empty) {
        if (object && !json_key(&text)) return 0;
        continue;
      }
    } else if (!json_scalar(&text)) {
      return 0;
    }
    if (!json_after_value(&text, objects, &depth)) return 0;
  } while (depth > 0);
  json_space(&text);
  return text.at == text.end;
}

lw_status lw_verify_text(const lw_file *file, lw_error *error) {
  LW_TRY(check_names(file, error));
  LW_TRY(check_unique(file, file->graph, file->input_count, error));
  LW_TRY(check_unique(file, file->graph + file->input_count, file->output_count, error));
  if (file->metadata_bytes == 0) return LW_OK;
  if (!is_utf8(file->metadata, file->metadata_bytes)) return lw_fail(error, LW_E_NAME_UTF8, "section", 4, 0, 0);
  if (!json_object((json_text){file->metadata, file->metadata + file->metadata_bytes}))
    return lw_fail(error, LW_E_METADATA, "section", 4, 0, 0);
  return LW_OK;
}
