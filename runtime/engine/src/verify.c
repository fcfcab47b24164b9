// The file's frame: header, section table, padding, checksum; and the order in which everything is proved.
#include "checked.h"
#include "lw_internal.h"

#define HEADER "header"
#define SECTION "section"

int lw_all_zero(const uint8_t *bytes, uint64_t count) {
  uint8_t any = 0;
  for (uint64_t i = 0; i < count; i++) any |= bytes[i];
  return any == 0;
}

static lw_status check_header(const uint8_t *base, size_t size, lw_header_record *header, lw_error *error) {
  __builtin_memcpy(header, base, sizeof *header);
  if (!lw_same_bytes(header->magic, LW_MAGIC, sizeof header->magic))
    return lw_fail(error, LW_E_MAGIC, HEADER, 0, header->magic[0], (uint8_t)LW_MAGIC[0]);
  if (header->version_major != LW_VERSION_MAJOR)
    return lw_fail(error, LW_E_VERSION, HEADER, 0, header->version_major, LW_VERSION_MAJOR);
  if (header->version_minor > LW_VERSION_MINOR)
    return lw_fail(error, LW_E_VERSION, HEADER, 1, header->version_minor, LW_VERSION_MINOR);
  if (header->file_bytes != size) return lw_fail(error, LW_E_TRUNCATED, HEADER, 0, size, header->file_bytes);
  if (!lw_all_zero(header->reserved, sizeof header->reserved)) return lw_fail(error, LW_E_RESERVED, HEADER, 0, 1, 0);
  if (header->section_count != LW_SECTION_COUNT)
    return lw_fail(error, LW_E_SECTION_TABLE, HEADER, 0, header->section_count, LW_SECTION_COUNT);
  return LW_OK;
}

static lw_status check_sections(const uint8_t *base, size_t size, const lw_section_record **table, lw_error *error) {
  const uint64_t table_end = LW_HEADER_BYTES + LW_SECTION_COUNT * LW_SECTION_ENTRY_BYTES;
  if (size < table_end) return lw_fail(error, LW_E_SECTION_TABLE, HEADER, 0, size, table_end);
  const lw_section_record *sections = (const lw_section_record *)(const void *)(base + LW_HEADER_BYTES);
  uint64_t cursor = lw_sat_align(table_end, LW_ALIGNMENT);
  for (uint32_t i = 0; i < LW_SECTION_COUNT; i++) {
    const lw_section_record *section = &sections[i];
    if (section->kind != i + 1) return lw_fail(error, LW_E_SECTION_TABLE, SECTION, i, section->kind, i + 1);
    if ((section->reserved0 | section->reserved1) != 0) return lw_fail(error, LW_E_RESERVED, SECTION, i, 1, 0);
    if (section->offset != cursor) return lw_fail(error, LW_E_SECTION_OFFSET, SECTION, i, section->offset, cursor);
    cursor = lw_sat_align(lw_sat_add(cursor, section->bytes), LW_ALIGNMENT);
    if (cursor > size) return lw_fail(error, LW_E_SECTION_OFFSET, SECTION, i, cursor, size);
  }
  if (cursor != size) return lw_fail(error, LW_E_SECTION_OFFSET, SECTION, LW_SECTION_COUNT - 1, cursor, size);
  *table = sections;
  return LW_OK;
}

static lw_status check_records(const lw_section_record *section, uint64_t record, uint64_t most, lw_error *error) {
  const uint64_t index = section->kind - 1;
  if (section->bytes % record != 0)
    return lw_fail(error, LW_E_SECTION_BYTES, SECTION, index, section->bytes, section->bytes / record * record);
  if (section->bytes / record > most)
    return lw_fail(error, LW_E_SECTION_BYTES, SECTION, index, section->bytes / record, most);
  return LW_OK;
}

static lw_status view_graph(const lw_section_record *section, lw_file *file, lw_error *error) {
  LW_TRY(check_records(section, 4, UINT64_MAX, error));
  if (section->bytes < sizeof(lw_graph_record))
    return lw_fail(error, LW_E_SECTION_BYTES, SECTION, 2, section->bytes, sizeof(lw_graph_record));
  lw_graph_record counts;
  __builtin_memcpy(&counts, file->base + section->offset, sizeof counts);
  const uint64_t ids = (uint64_t)counts.input_count + counts.output_count;
  if (ids != (section->bytes - sizeof counts) / 4)
    return lw_fail(error, LW_E_GRAPH_COUNTS, "graph", 0, ids, (section->bytes - sizeof counts) / 4);
  if (counts.input_count - 1u >= LW_MAX_GRAPH)
    return lw_fail(error, LW_E_GRAPH_COUNTS, "graph", 0, counts.input_count, LW_MAX_GRAPH);
  if (counts.output_count - 1u >= LW_MAX_GRAPH)
    return lw_fail(error, LW_E_GRAPH_COUNTS, "graph", 1, counts.output_count, LW_MAX_GRAPH);
  file->input_count = counts.input_count;
  file->output_count = counts.output_count;
  file->graph = (const uint32_t *)(const void *)(file->base + section->offset + sizeof counts);
  return LW_OK;
}

static lw_status view_sections(const lw_section_record *table, lw_file *file, lw_error *error) {
  const lw_section_record *tensors = &table[0], *ops = &table[1], *metadata = &table[4];
  LW_TRY(check_records(tensors, sizeof(lw_tensor_record), LW_MAX_TENSORS, error));
  LW_TRY(check_records(ops, sizeof(lw_op_record), LW_MAX_OPS, error));
  LW_TRY(view_graph(&table[2], file, error));
  if (metadata->bytes > LW_MAX_METADATA_BYTES)
    return lw_fail(error, LW_E_METADATA, SECTION, 4, metadata->bytes, LW_MAX_METADATA_BYTES);
  file->tensors = (const lw_tensor_record *)(const void *)(file->base + tensors->offset);
  file->tensor_count = (uint32_t)(tensors->bytes / sizeof(lw_tensor_record));
  file->ops = (const lw_op_record *)(const void *)(file->base + ops->offset);
  file->op_count = (uint32_t)(ops->bytes / sizeof(lw_op_record));
  if (file->op_count == 0) return lw_fail(error, LW_E_GRAPH_COUNTS, "graph", 2, 0, 1);
  file->names = file->base + table[3].offset;
  file->names_bytes = table[3].bytes;
  file->metadata = file->base + metadata->offset;
  file->metadata_bytes = metadata->bytes;
  file->data = file->base + table[5].offset;
  file->data_bytes = table[5].bytes;
  return LW_OK;
}

lw_status lw_file_open(const void *bytes, size_t size, lw_file *file, lw_error *error) {
  *file = (lw_file){.base = bytes, .bytes = size};
  if (size < LW_HEADER_BYTES) return lw_fail(error, LW_E_TRUNCATED, HEADER, 0, size, LW_HEADER_BYTES);
  if (bytes == NULL) return lw_fail(error, LW_E_ARGUMENT, HEADER, 0, 0, 1);
  if ((uintptr_t)bytes % LW_ALIGNMENT != 0)
    return lw_fail(error, LW_E_ALIGNMENT, HEADER, 0, (uintptr_t)bytes % LW_ALIGNMENT, 0);
  lw_header_record header;
  LW_TRY(check_header(bytes, size, &header, error));
  const lw_section_record *table = NULL;
  LW_TRY(check_sections(bytes, size, &table, error));
  return view_sections(table, file, error);
}

lw_status lw_verify_checksum(const lw_file *file, lw_error *error) {
  lw_header_record header;
  __builtin_memcpy(&header, file->base, sizeof header);
  const uint64_t sum = lw_checksum(file->base + LW_HEADER_BYTES, file->bytes - LW_HEADER_BYTES);
  return sum == header.checksum ? LW_OK : lw_fail(error, LW_E_CHECKSUM, HEADER, 0, sum, header.checksum);
}

lw_status lw_verify_padding(const lw_file *file, lw_error *error) {
  const lw_section_record *table = (const lw_section_record *)(const void *)(file->base + LW_HEADER_BYTES);
  for (uint32_t i = 0; i < LW_SECTION_COUNT; i++) {
    const uint64_t end = table[i].offset + table[i].bytes;
    if (!lw_all_zero(file->base + end, lw_sat_align(end, LW_ALIGNMENT) - end))
      return lw_fail(error, LW_E_PADDING, SECTION, i, 1, 0);
  }
  return LW_OK;
}

lw_status lw_verify_structure(const lw_file *file, lw_error *error) {
  LW_TRY(lw_verify_padding(file, error));
  LW_TRY(lw_verify_graph(file, error));
  LW_TRY(lw_verify_text(file, error));
  LW_TRY(lw_verify_ops(file, error));
  return lw_verify_data_ranges(file, error);
}

lw_status lw_verify(const void *bytes, size_t size, lw_error *error) {
  lw_file file;
  if (error != NULL) *error = (lw_error){0};
  LW_TRY(lw_file_open(bytes, size, &file, error));
  LW_TRY(lw_verify_checksum(&file, error));
  LW_TRY(lw_verify_structure(&file, error));
  return lw_verify_data(&file, error);
}
