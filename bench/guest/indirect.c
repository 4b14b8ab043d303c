// Indirect branches: calls through pointers, computed jumps, returns.
#include <stdlib.h>
#include <string.h>

#include "rows.h"

// --- function_table: a random one of sixteen functions through a table

typedef uint64_t Function(uint64_t, uint64_t);
#define FUNCTION(name, expression) \
  static NOINLINE uint64_t name(uint64_t a, uint64_t b) { return expression; }
FUNCTION(add, a + b)
FUNCTION(subtract, a - b)
FUNCTION(exclusive, a ^ b)
FUNCTION(multiply, a*(b | 1))
FUNCTION(shift_left, a << (b & 7))
FUNCTION(shift_right, a + (b >> (a & 15)))
FUNCTION(select_smaller, a + (a < b ? a : b))
FUNCTION(rotate, (a << 13 | a >> 51) + b)
FUNCTION(complement, ~a + b)
FUNCTION(average, (a >> 1) + b)
FUNCTION(five_times, a * 5 + b)
FUNCTION(swap_bytes, __builtin_bswap64(a) + b)
FUNCTION(keep_low, (a & 0xffffffffu) * (b | 3))
FUNCTION(negate, b - a)
FUNCTION(mix, a ^ (a >> 29) ^ b)
FUNCTION(nine_times, a + b * 9)
static Function* const functions[16] = {
    add,     subtract,   exclusive,  multiply, shift_left, shift_right, select_smaller, rotate, complement,
    average, five_times, swap_bytes, keep_low, negate,     mix,         nine_times};

enum { kTableCalls = 20000000, kDrawCount = 4096 };
static unsigned char draws[kDrawCount];

static void draws_prepare(void) {
  uint64_t random = 19;
  for (unsigned i = 0; i < kDrawCount; ++i) draws[i] = (unsigned char)(next_random(&random) >> 30);
}

static uint64_t function_table_work(void) {
  uint64_t value = 1;
  for (unsigned i = 0; i < kTableCalls; ++i) value = functions[draws[i % kDrawCount] & 15](value, i);
  return value;
}

// --- virtual_calls: objects of four kinds, each with a pointer to its kind's methods

struct Shape;
struct Methods {
  int64_t (*area)(const struct Shape*);
  void (*grow)(struct Shape*, int64_t);
};
struct Shape {
  const struct Methods* methods;
  int64_t width, height;
};

static int64_t rectangle_area(const struct Shape* s) { return s->width * s->height; }
static int64_t triangle_area(const struct Shape* s) { return s->width * s->height / 2; }
static int64_t square_area(const struct Shape* s) { return s->width * s->width; }
static int64_t frame_area(const struct Shape* s) { return 2 * (s->width + s->height); }
static void grow_width(struct Shape* s, int64_t by) { s->width = (s->width + by) & 1023; }
static void grow_height(struct Shape* s, int64_t by) { s->height = (s->height + by) & 1023; }
static const struct Methods kinds[4] = {
    {rectangle_area, grow_width}, {triangle_area, grow_height}, {square_area, grow_width}, {frame_area, grow_height}};

enum { kShapes = 1000, kShapeRounds = 18000 };
static struct Shape shapes[kShapes];

static void virtual_calls_prepare(void) {
  uint64_t random = 23;
  for (unsigned i = 0; i < kShapes; ++i) {
    const uint64_t draw = next_random(&random);
    shapes[i] = (struct Shape){&kinds[(draw >> 40) & 3], (int64_t)(draw & 255), (int64_t)(draw >> 8 & 255)};
  }
}

static uint64_t virtual_calls_work(void) {
  int64_t sum = 0;
  for (unsigned round = 0; round < kShapeRounds; ++round) {
    for (unsigned i = 0; i < kShapes; ++i) {
      struct Shape* const shape = &shapes[i];
      sum += shape->methods->area(shape);
      shape->methods->grow(shape, sum & 7);
    }
  }
  return (uint64_t)sum;
}

// --- threaded_vm: a stack machine whose operations jump to the next by a computed goto

enum { kPush, kAdd, kMultiply, kExclusive, kDuplicate, kSwap, kDecrement, kLoop, kEnd };
static const unsigned char threaded_program[] = {
    kDuplicate, kPush, 37, kMultiply, kPush, 11, kAdd, kSwap, kPush, 91, kExclusive, kAdd, kDecrement, kLoop, kEnd};
enum { kThreadedLoops = 8000000 };

static NOINLINE uint64_t run_threaded(const unsigned char* program, uint64_t loops) {
  static const void* const labels[] = {&&push, &&add,       &&multiply, &&exclusive, &&duplicate,
                                       &&swap, &&decrement, &&loop,     &&end};
  uint64_t stack[16] = {1, 1}, *top = stack + 1, swapped;
  const unsigned char* at = program;
#define NEXT goto* labels[*at++]
  NEXT;
push:
  *++top = *at++;
  NEXT;
add:
  --top;
  top[0] += top[1];
  NEXT;
multiply:
  --top;
  top[0] *= top[1];
  NEXT;
exclusive:
  --top;
  top[0] ^= top[1];
  NEXT;
duplicate:
  top[1] = top[0];
  ++top;
  NEXT;
swap:
  swapped = top[0];
  top[0] = top[-1];
  top[-1] = swapped;
  NEXT;
decrement:
  --loops;
  NEXT;
loop:
  if (loops != 0) at = program;
  NEXT;
end:
  return *top;
#undef NEXT
}

static uint64_t threaded_vm_work(void) { return run_threaded(threaded_program, kThreadedLoops); }

// --- qsort_callback: the C library's qsort with a comparison function

enum { kRecords = 100000, kRecordRounds = 12 };
static struct Record {
  uint32_t key, value;
} records[kRecords];

static int compare_records(const void* left, const void* right) {
  const uint32_t a = ((const struct Record*)left)->key, b = ((const struct Record*)right)->key;
  return (a > b) - (a < b);
}

static void qsort_callback_prepare(void) { memset(records, 1, sizeof records); }

static uint64_t qsort_callback_work(void) {
  uint64_t sum = 0, random = 29;
  for (unsigned round = 0; round < kRecordRounds; ++round) {
    for (unsigned i = 0; i < kRecords; ++i) records[i] = (struct Record){(uint32_t)(next_random(&random) >> 16), i};
    qsort(records, kRecords, sizeof records[0], compare_records);
    for (unsigned i = 0; i < kRecords; i += 101) sum = fold(sum, records[i].key);
  }
  return sum;
}

// --- deep_calls: four functions call one another down to a depth of 4,000, and return all the way

enum { kCallDepth = 4000, kCallRounds = 14000 };
static NOINLINE uint64_t call_b(uint64_t depth, uint64_t value);
static NOINLINE uint64_t call_c(uint64_t depth, uint64_t value);
static NOINLINE uint64_t call_d(uint64_t depth, uint64_t value);

static NOINLINE uint64_t call_a(uint64_t depth, uint64_t value) {
  return depth == 0 ? value : call_b(depth - 1, value + 1) ^ depth;
}
static NOINLINE uint64_t call_b(uint64_t depth, uint64_t value) {
  return depth == 0 ? value : (value & 1 ? call_c : call_d)(depth - 1, value * 3) + depth;
}
static NOINLINE uint64_t call_c(uint64_t depth, uint64_t value) {
  return depth == 0 ? value : call_d(depth - 1, value - 5) ^ (depth << 1);
}
static NOINLINE uint64_t call_d(uint64_t depth, uint64_t value) {
  return depth == 0 ? value : call_a(depth - 1, value >> 1) + 7;
}

static uint64_t deep_calls_work(void) {
  uint64_t sum = 0;
  for (unsigned round = 0; round < kCallRounds; ++round) sum = fold(sum, call_a(kCallDepth, round));
  return sum;
}

const struct Row indirect_rows[] = {
    {"function_table", draws_prepare, function_table_work, kNothing},
    {"virtual_calls", virtual_calls_prepare, virtual_calls_work, kNothing},
    {"threaded_vm", NULL, threaded_vm_work, kNothing},
    {"qsort_callback", qsort_callback_prepare, qsort_callback_work, kNothing},
    {"deep_calls", NULL, deep_calls_work, kNothing},
    {NULL, NULL, NULL, kNothing},
};
