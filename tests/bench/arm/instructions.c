// A plugin of qemu's user mode that counts executed guest instructions between two marks of the guest.
//   qemu-aarch64 -plugin file=instructions.so,out=FILE ...
// The guest makes its marks with getpriority(0x1ACE, which): a system call that fails and changes nothing.
// FILE gets, per counted stretch, "begin", one line "<address> <instructions> <executions>" per block of code that ran,
// and "end". Counters are not atomic: one thread of the guest at a time.
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The part of qemu's plugin interface, version 1, that is used here; Debian ships no header for it.
#define EXPORT __attribute__((visibility("default")))
typedef uint64_t plugin_id;
typedef struct qemu_plugin_tb translation;
enum { ADD_U64 = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*callback)(plugin_id id, translation *block));
void qemu_plugin_register_vcpu_tb_exec_inline(translation *block, int operation, void *counter, uint64_t addend);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id id,
                                          void (*callback)(plugin_id id, unsigned vcpu, int64_t number, uint64_t a,
                                                           uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
                                                           uint64_t g, uint64_t h));
size_t qemu_plugin_tb_n_insns(const translation *block);
uint64_t qemu_plugin_tb_vaddr(const translation *block);
EXPORT int qemu_plugin_version = 1;

enum { SYS_GETPRIORITY = 141, MARK = 0x1ACE, MARK_BEGIN = 0, MARK_END = 1 };
enum { BUCKETS = 1 << 16 };

// qemu may translate the same code again; a block is its address and its length.
typedef struct block {
  uint64_t address;
  uint64_t instructions;
  uint64_t executions;
  struct block *next;
} block;

static block *buckets[BUCKETS];
static FILE *out;

static block *block_of(uint64_t address, uint64_t instructions) {
  block **bucket = &buckets[(address / 4 + instructions * 40503) % BUCKETS];
  for (block *b = *bucket; b != NULL; b = b->next)
    if (b->address == address && b->instructions == instructions) return b;
  block *b = malloc(sizeof *b);
  if (b == NULL) abort();
  *b = (block){address, instructions, 0, *bucket};
  *bucket = b;
  return b;
}

static void translated(plugin_id id, translation *code) {
  (void)id;
  block *b = block_of(qemu_plugin_tb_vaddr(code), qemu_plugin_tb_n_insns(code));
  qemu_plugin_register_vcpu_tb_exec_inline(code, ADD_U64, &b->executions, 1);
}

static void forget(void) {
  for (size_t i = 0; i < BUCKETS; i++)
    for (block *b = buckets[i]; b != NULL; b = b->next) b->executions = 0;
}

static void report(void) {
  fputs("begin\n", out);
  for (size_t i = 0; i < BUCKETS; i++)
    for (const block *b = buckets[i]; b != NULL; b = b->next)
      if (b->executions != 0)
        fprintf(out, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n", b->address, b->instructions, b->executions);
  fputs("end\n", out);
  fflush(out);
}

static void system_call(plugin_id id, unsigned vcpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                        uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  (void)id, (void)vcpu, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
  if (number != SYS_GETPRIORITY || a != MARK) return;
  if (b == MARK_BEGIN) forget();
  if (b == MARK_END) report();
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || (out = fopen(argv[0] + 4, "w")) == NULL) {
    fputs("instructions.so: needs out=FILE, a file that can be written\n", stderr);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, system_call);
  return 0;
}
