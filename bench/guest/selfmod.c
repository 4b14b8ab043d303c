// Programs that write code and run it. x86 keeps code and data coherent: a jump after the write is enough (SDM vol.
// 3, 8.1.3).
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "rows.h"

enum { kCodeSize = 16 * 4096 };
static unsigned char* code;
typedef uint64_t Function(uint64_t);

static void code_prepare(void) {
  code = mmap(NULL, kCodeSize, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) abort();
  memset(code, 0xcc, kCodeSize);
}

static Function* function_at(const unsigned char* at) {
  Function* function;
  memcpy(&function, &at, sizeof function);
  barrier();
  return function;
}

static unsigned char* emit(unsigned char* at, const char* bytes, unsigned count) {
  memcpy(at, bytes, count);
  return at + count;
}

static unsigned char* emit_constant(unsigned char* at, const char* operation, unsigned count, uint32_t constant) {
  at = emit(at, operation, count);
  memcpy(at, &constant, sizeof constant);
  return at + sizeof constant;
}

// RAX = (RDI ^ a) + b
static void write_small_function(unsigned char* at, uint32_t a, uint32_t b) {
  at = emit(at, "\x48\x89\xf8", 3);          // mov rax, rdi
  at = emit_constant(at, "\x48\x35", 2, a);  // xor rax, a
  at = emit_constant(at, "\x48\x05", 2, b);  // add rax, b
  emit(at, "\xc3", 1);                       // ret
}

// --- rewrite: writes a small function at the same place and calls it once

enum { kRewrites = 100000 };

static uint64_t rewrite_work(void) {
  uint64_t value = 0;
  for (unsigned i = 0; i < kRewrites; ++i) {
    write_small_function(code, i & 0x7fffffff, i * 7 & 0x7fffffff);
    value = function_at(code)(value);
  }
  return value;
}

// --- patch: changes one constant inside a loop that then runs a hundred times

enum { kPatches = 50000 };

static uint64_t patch_work(void) {
  unsigned char* at = emit(code, "\xb9\x64\x00\x00\x00", 5);  // mov ecx, 100
  at = emit(at, "\x48\x89\xf8", 3);                           // mov rax, rdi
  unsigned char* const again = at;
  at = emit_constant(at, "\x48\x05", 2, 0);      // again: add rax, constant
  at = emit(at, "\x48\xd1\xc0\xff\xc9\x75", 6);  // rol rax, 1; dec ecx; jnz again
  *at = (unsigned char)(again - (at + 1));
  emit(at + 1, "\xc3", 1);
  uint64_t value = 1;
  for (unsigned i = 0; i < kPatches; ++i) {
    const uint32_t constant = i & 0x7fffffff;
    memcpy(again + 2, &constant, sizeof constant);
    value = function_at(code)(value);
  }
  return value;
}

// --- data_beside_code: a counter a few cache lines away from the code that is running

enum { kWritesBeside = 4000000 };

static uint64_t data_beside_code_work(void) {
  write_small_function(code, 12345, 67890);
  uint64_t* const counter = (uint64_t*)(code + 512);
  *counter = 0;
  Function* const function = function_at(code);
  for (unsigned i = 0; i < kWritesBeside; ++i) {
    *counter += function(i);
    barrier();
  }
  return *counter;
}

// --- template_jit: translates random expressions to code over and over in a ring of pages, runs each fifty times

enum { kExpressions = 2000, kOperations = 30, kRunsOfAnExpression = 50 };

static unsigned char* translate(unsigned char* at, uint64_t* random) {
  at = emit(at, "\x48\x89\xf8", 3);  // mov rax, rdi
  for (unsigned i = 0; i < kOperations; ++i) {
    const uint64_t draw = next_random(random);
    const uint32_t constant = (uint32_t)(draw >> 33);
    switch (draw % 6) {
      case 0:
        at = emit_constant(at, "\x48\x05", 2, constant);
        break;  // add rax, constant
      case 1:
        at = emit_constant(at, "\x48\x35", 2, constant);
        break;  // xor rax, constant
      case 2:
        at = emit_constant(at, "\x48\x69\xc0", 3, constant);
        break;  // imul rax, rax, constant
      case 3:
        at = emit(at, "\x48\xc1\xc8\x0b", 4);
        break;  // ror rax, 11
      case 4:
        at = emit(at, "\x48\x01\xf8", 3);
        break;  // add rax, rdi
      default:
        at = emit(at, "\xa8\x01\x75\x03\x48\x29\xf8", 7);
        break;  // test al, 1; jnz over; sub rax, rdi
    }
  }
  return emit(at, "\xc3", 1);  // ret
}

static uint64_t template_jit_work(void) {
  uint64_t value = 1, random = 53;
  unsigned char* at = code;
  for (unsigned i = 0; i < kExpressions; ++i) {
    if (at + 16 * kOperations > code + kCodeSize) at = code;
    Function* const function = function_at(at);
    at = translate(at, &random);
    barrier();
    for (unsigned run = 0; run < kRunsOfAnExpression; ++run) value = function(value + run);
  }
  return value;
}

const struct Row selfmod_rows[] = {
    {"rewrite", code_prepare, rewrite_work, kNothing},
    {"patch", code_prepare, patch_work, kNothing},
    {"data_beside_code", code_prepare, data_beside_code_work, kNothing},
    {"template_jit", code_prepare, template_jit_work, kNothing},
    {NULL, NULL, NULL, kNothing},
};
