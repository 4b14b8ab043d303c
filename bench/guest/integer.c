// Integer code as compilers emit it: loads, stores, ALU operations, predictable and unpredictable branches, direct
// calls.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

// --- quicksort: Hoare's partition over 32-bit numbers, insertion sort for short ranges

enum { kSortCount = 200000, kSortRounds = 18 };
static uint32_t sort_input[kSortCount], sort_array[kSortCount];

static void quicksort_prepare(void) {
  uint64_t random = 1;
  for (unsigned i = 0; i < kSortCount; ++i) sort_input[i] = (uint32_t)next_random(&random);
  memset(sort_array, 1, sizeof sort_array);
}

static void insertion_sort(uint32_t* array, int64_t low, int64_t high) {
  for (int64_t i = low + 1; i <= high; ++i) {
    const uint32_t value = array[i];
    int64_t hole = i;
    for (; hole > low && array[hole - 1] > value; --hole) array[hole] = array[hole - 1];
    array[hole] = value;
  }
}

static NOINLINE void quicksort(uint32_t* array, int64_t low, int64_t high) {
  if (high - low < 12) {
    insertion_sort(array, low, high);
    return;
  }
  const uint32_t pivot = array[low + (high - low) / 2];
  int64_t left = low - 1, right = high + 1;
  for (;;) {
    while (array[++left] < pivot) {
    }
    while (array[--right] > pivot) {
    }
    if (left >= right) break;
    const uint32_t swapped = array[left];
    array[left] = array[right];
    array[right] = swapped;
  }
  quicksort(array, low, right);
  quicksort(array, right + 1, high);
}

static uint64_t quicksort_work(void) {
  uint64_t sum = 0;
  for (unsigned round = 0; round < kSortRounds; ++round) {
    for (unsigned i = 0; i < kSortCount; ++i) sort_array[i] = sort_input[i] * (2 * round + 1);
    quicksort(sort_array, 0, kSortCount - 1);
    for (unsigned i = 0; i < kSortCount; i += 97) sum = fold(sum, sort_array[i]);
  }
  return sum;
}

// --- hash_table: open addressing with linear probing, inserting and finding

enum { kHashSlots = 1 << 16, kHashKeys = 40000, kHashRounds = 250 };
static uint64_t hash_keys[kHashSlots], hash_values[kHashSlots];

static unsigned hash_slot(uint64_t key) {
  unsigned slot = (unsigned)((key * 0x9e3779b97f4a7c15u) >> 48);
  while (hash_keys[slot] != 0 && hash_keys[slot] != key) slot = (slot + 1) & (kHashSlots - 1);
  return slot;
}

static void hash_table_prepare(void) {
  memset(hash_keys, 1, sizeof hash_keys);
  memset(hash_values, 1, sizeof hash_values);
}

static uint64_t hash_table_work(void) {
  uint64_t sum = 0;
  for (unsigned round = 0; round < kHashRounds; ++round) {
    memset(hash_keys, 0, sizeof hash_keys);
    uint64_t random = round + 1;
    for (unsigned i = 0; i < kHashKeys; ++i) {
      const uint64_t key = next_random(&random);
      const unsigned slot = hash_slot(key);
      hash_keys[slot] = key;
      hash_values[slot] = i;
    }
    random = round + 1;
    for (unsigned i = 0; i < kHashKeys; ++i) {
      const unsigned slot = hash_slot(next_random(&random) + (i & 1));  // every second one is missing
      if (hash_keys[slot] != 0) sum += hash_values[slot];
    }
  }
  return sum;
}

// --- sieve: primes of Eratosthenes, one byte a number

enum { kSieveSize = 1 << 20, kSieveRounds = 80 };
static unsigned char sieve[kSieveSize];

static void sieve_prepare(void) { memset(sieve, 1, sizeof sieve); }

static uint64_t sieve_work(void) {
  uint64_t primes = 0;
  for (unsigned round = 0; round < kSieveRounds; ++round) {
    memset(sieve, 0, sizeof sieve);
    for (unsigned i = 2; i * i < kSieveSize; ++i) {
      if (sieve[i]) continue;
      for (unsigned multiple = i * i; multiple < kSieveSize; multiple += i) sieve[multiple] = 1;
    }
    for (unsigned i = 2; i < kSieveSize; ++i) primes += !sieve[i];
  }
  return primes;
}

// --- compressor: replaces repeated strings by (distance, length), then unpacks and compares

enum { kTextSize = 1 << 18, kCompressorRounds = 200, kMatchTable = 1 << 13, kShortestMatch = 4, kLongestMatch = 130 };
static unsigned char text[kTextSize], packed[2 * kTextSize], unpacked[kTextSize + kLongestMatch];
static uint32_t last_seen[kMatchTable];

static void compressor_prepare(void) {
  uint64_t random = 7;
  char words[256][12];
  for (unsigned i = 0; i < 256; ++i) {
    snprintf(words[i], sizeof words[i], "%.*s ", 2 + (int)(next_random(&random) % 8), "emulatorbench" + i % 6);
    for (char* letter = words[i]; letter[1]; ++letter) *letter = (char)('a' + (next_random(&random) >> 20) % 26);
  }
  unsigned size = 0;
  while (size + 12 < kTextSize) {
    const uint64_t draw = next_random(&random) >> 8;
    const char* const word = words[(draw & 255) & (draw >> 8)];  // some words come often
    const unsigned length = (unsigned)strlen(word);
    memcpy(text + size, word, length);
    size += length;
  }
  memset(packed, 1, sizeof packed);
  memset(unpacked, 1, sizeof unpacked);
}

static uint32_t four_bytes(const unsigned char* from) {
  uint32_t value;
  memcpy(&value, from, sizeof value);
  return value;
}

// Tokens: below 128 so many plus one literal bytes follow; else a match of that many minus 128 plus kShortestMatch
// bytes, with a distance of three bytes.
static NOINLINE unsigned compress(void) {
  memset(last_seen, 0, sizeof last_seen);
  unsigned out = 0, literals = 0, at = 0;
  while (at + kShortestMatch <= kTextSize) {
    const uint32_t value = four_bytes(text + at);
    uint32_t* const seen = &last_seen[(value * 2654435761u) >> 19];
    const unsigned before = *seen;
    *seen = at;
    unsigned length = 0;
    if (before < at && four_bytes(text + before) == value) {
      const unsigned limit = kTextSize - at < kLongestMatch ? kTextSize - at : kLongestMatch;
      for (length = kShortestMatch; length < limit && text[before + length] == text[at + length];) ++length;
    }
    if (length == 0) {
      if (literals == 0 || packed[out - literals - 1] == 127) {
        packed[out++] = 0;
        literals = 0;
      } else {
        ++packed[out - literals - 1];
      }
      packed[out++] = text[at++];
      ++literals;
      continue;
    }
    const unsigned distance = at - before;
    packed[out++] = (unsigned char)(128 + length - kShortestMatch);
    packed[out++] = (unsigned char)distance;
    packed[out++] = (unsigned char)(distance >> 8);
    packed[out++] = (unsigned char)(distance >> 16);
    at += length;
    literals = 0;
  }
  return out;
}

static NOINLINE unsigned decompress(unsigned size) {
  unsigned out = 0;
  for (unsigned at = 0; at < size;) {
    const unsigned token = packed[at++];
    if (token < 128) {
      for (unsigned i = 0; i <= token; ++i) unpacked[out++] = packed[at++];
      continue;
    }
    const unsigned distance = packed[at] + packed[at + 1] * 256u + packed[at + 2] * 65536u;
    at += 3;
    for (unsigned i = 0; i < token - 128 + kShortestMatch; ++i, ++out) unpacked[out] = unpacked[out - distance];
  }
  return out;
}

static uint64_t compressor_work(void) {
  uint64_t sum = 0;
  for (unsigned round = 0; round < kCompressorRounds; ++round) {
    text[round * 1000] ^= 1;
    const unsigned size = compress();
    const unsigned back = decompress(size);
    sum = fold(fold(sum, size), (uint64_t)memcmp(text, unpacked, back) == 0);
  }
  return sum;
}

// --- recursion: Fibonacci and Ackermann, nothing but calls and small arithmetic

static NOINLINE uint64_t fibonacci(unsigned n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

static NOINLINE uint64_t ackermann(uint64_t m, uint64_t n) {
  if (m == 0) return n + 1;
  return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static uint64_t recursion_work(void) { return fold(fibonacci(37), ackermann(2, 1800)); }

// --- bytecode_vm: a register machine whose interpreter is one switch; it computes Collatz lengths

enum Operation {
  kLoad,
  kAddRegister,
  kAddConstant,
  kHalve,
  kTriple,
  kSkipIfOdd,
  kSkipIfNotOne,
  kSkipIfLess,
  kJump,
  kStop
};
struct Instruction {
  unsigned char operation, to, from;
  int32_t constant;
};

// r0: length of all paths; r1: current number; r2: first number; r3: limit.
static const struct Instruction collatz[] = {
    {kLoad, 2, 0, 1},          // 0: r2 = 1
    {kLoad, 1, 0, 0},          // 1: r1 = 0
    {kAddRegister, 1, 2, 0},   // 2: r1 += r2
    {kSkipIfNotOne, 1, 0, 0},  // 3
    {kJump, 0, 0, 11},         // 4
    {kAddConstant, 0, 0, 1},   // 5: r0 += 1
    {kSkipIfOdd, 1, 0, 0},     // 6
    {kJump, 0, 0, 9},          // 7
    {kTriple, 1, 0, 1},        // 8: r1 = 3 * r1 + 1, which is even
    {kHalve, 1, 0, 0},         // 9: r1 /= 2
    {kJump, 0, 0, 3},          // 10
    {kAddConstant, 2, 0, 1},   // 11: r2 += 1
    {kSkipIfLess, 2, 3, 0},    // 12: r2 < r3?
    {kStop, 0, 0, 0},          // 13
    {kJump, 0, 0, 1},          // 14
};

static NOINLINE uint64_t interpret(const struct Instruction* program, uint64_t limit) {
  uint64_t registers[4] = {0, 0, 0, limit};
  for (const struct Instruction* at = program;; ++at) {
    uint64_t* const to = &registers[at->to];
    switch ((enum Operation)at->operation) {
      case kLoad:
        *to = (uint64_t)at->constant;
        break;
      case kAddRegister:
        *to += registers[at->from];
        break;
      case kAddConstant:
        *to += (uint64_t)at->constant;
        break;
      case kHalve:
        *to >>= 1;
        break;
      case kTriple:
        *to = *to * 3 + (uint64_t)at->constant;
        break;
      case kSkipIfOdd:
        at += *to & 1;
        break;
      case kSkipIfNotOne:
        at += *to != 1;
        break;
      case kSkipIfLess:
        at += *to < registers[at->from];
        break;
      case kJump:
        at = program + at->constant - 1;
        break;
      case kStop:
        return registers[0];
    }
  }
}

static uint64_t bytecode_vm_work(void) { return interpret(collatz, 100000); }

// --- crc32: the table method over bytes

enum { kMessageSize = 1 << 16, kCrcRounds = 1500 };
static unsigned char message[kMessageSize];
static uint32_t crc_table[256];

static void message_prepare(void) {
  uint64_t random = 3;
  for (unsigned i = 0; i < kMessageSize; ++i) message[i] = (unsigned char)next_random(&random);
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (unsigned bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (0xedb88320u & -(value & 1));
    crc_table[i] = value;
  }
}

static uint64_t crc32_work(void) {
  uint32_t crc = ~0u;
  for (unsigned round = 0; round < kCrcRounds; ++round) {
    for (unsigned i = 0; i < kMessageSize; ++i) crc = (crc >> 8) ^ crc_table[(crc ^ message[i]) & 255];
  }
  return crc;
}

// --- sha256: the compression function over 64 KiB (FIPS 180-4, 6.2.2); the constants are made as 4.2.2 defines them

enum { kShaRounds = 700 };
static uint32_t sha_constants[64];

// The first 32 bits of the fraction of the cube root of a prime, by bisection in integers.
static uint32_t cube_root_fraction(uint64_t prime) {
  uint64_t low = 0, high = (uint64_t)7 << 32;  // in units of 2^-32
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    const unsigned __int128 square = ((unsigned __int128)middle * middle) >> 32;
    if (square * middle < ((unsigned __int128)prime << 64)) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return (uint32_t)low;
}

static void sha256_prepare(void) {
  message_prepare();
  unsigned count = 0;
  for (unsigned number = 2; count < 64; ++number) {
    unsigned divisor = 2;
    while (number % divisor != 0) ++divisor;
    if (divisor == number) sha_constants[count++] = cube_root_fraction(number);
  }
}

static uint32_t rotate_right(uint32_t value, unsigned count) { return value >> count | value << (32 - count); }

static NOINLINE void sha256_block(uint32_t state[8], const unsigned char* block) {
  uint32_t schedule[64];
  for (unsigned i = 0; i < 16; ++i) schedule[i] = __builtin_bswap32(four_bytes(block + 4 * i));
  for (unsigned i = 16; i < 64; ++i) {
    const uint32_t near = schedule[i - 2], far = schedule[i - 15];
    schedule[i] = schedule[i - 16] + schedule[i - 7] + (rotate_right(near, 17) ^ rotate_right(near, 19) ^ near >> 10) +
                  (rotate_right(far, 7) ^ rotate_right(far, 18) ^ far >> 3);
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (unsigned i = 0; i < 64; ++i) {
    const uint32_t first = h + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) + ((e & f) ^ (~e & g)) +
                           sha_constants[i] + schedule[i];
    const uint32_t second =
        (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static uint64_t sha256_work(void) {
  uint32_t state[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (unsigned round = 0; round < kShaRounds; ++round) {
    for (unsigned at = 0; at < kMessageSize; at += 64) sha256_block(state, message + at);
  }
  return (uint64_t)state[0] << 32 | state[7];
}

// --- formatting: numbers to text and back by the C library

enum { kFormatCount = 200000 };

static uint64_t formatting_work(void) {
  uint64_t sum = 0, random = 5;
  for (unsigned i = 0; i < kFormatCount; ++i) {
    char line[96];
    const uint64_t number = next_random(&random);
    snprintf(line, sizeof line, "%s %llu %x %d;", i & 1 ? "odd" : "even", (unsigned long long)number, i, -(int)i);
    char* at = strchr(line, ' ');
    sum += strtoull(at, &at, 10) ^ strtoull(at, &at, 16) ^ (uint64_t)strtoll(at, &at, 10);
    sum += (uint64_t)(at - line);
  }
  return sum;
}

// --- matrix: product of matrices of 64-bit integers

enum { kMatrixSize = 128, kMatrixRounds = 100 };
static uint64_t matrix_a[kMatrixSize][kMatrixSize], matrix_b[kMatrixSize][kMatrixSize],
    matrix_c[kMatrixSize][kMatrixSize];

static void matrix_prepare(void) {
  uint64_t random = 11;
  for (unsigned i = 0; i < kMatrixSize; ++i) {
    for (unsigned j = 0; j < kMatrixSize; ++j) {
      matrix_a[i][j] = next_random(&random);
      matrix_b[i][j] = next_random(&random);
    }
  }
}

static uint64_t matrix_work(void) {
  for (unsigned round = 0; round < kMatrixRounds; ++round) {
    matrix_a[round][0] ^= matrix_c[0][round];
    for (unsigned i = 0; i < kMatrixSize; ++i) {
      for (unsigned j = 0; j < kMatrixSize; ++j) {
        uint64_t sum = 0;
        for (unsigned k = 0; k < kMatrixSize; ++k) sum += matrix_a[i][k] * matrix_b[k][j];
        matrix_c[i][j] = sum;
      }
    }
  }
  return fold_bytes(0, matrix_c[kMatrixSize - 1], 64);
}

// --- pointer_chase: a ring of nodes in random order, 4 MiB in all

enum { kNodes = 1 << 16, kChaseSteps = 8 << 20 };
static struct Node {
  struct Node* next;
  uint64_t padding[7];
} nodes[kNodes];

static void pointer_chase_prepare(void) {
  static uint32_t order[kNodes];
  uint64_t random = 13;
  for (unsigned i = 0; i < kNodes; ++i) {
    const unsigned other = (unsigned)(next_random(&random) % (i + 1));
    order[i] = order[other];
    order[other] = i;
  }
  for (unsigned i = 0; i < kNodes; ++i) nodes[order[i]].next = &nodes[order[(i + 1) % kNodes]];
}

static uint64_t pointer_chase_work(void) {
  const struct Node* at = nodes;
  for (unsigned i = 0; i < kChaseSteps + 5; ++i) at = at->next;
  return (uint64_t)(at - nodes);
}

// --- binary_tree: inserts random keys into an unbalanced tree, then walks it in order

enum { kTreeNodes = 60000, kTreeRounds = 40 };
static struct Leaf {
  struct Leaf *left, *right;
  uint64_t key;
} tree_nodes[kTreeNodes];

static void binary_tree_prepare(void) { memset(tree_nodes, 1, sizeof tree_nodes); }

static NOINLINE uint64_t walk(const struct Leaf* leaf, uint64_t sum) {
  if (!leaf) return sum;
  return walk(leaf->right, fold(walk(leaf->left, sum), leaf->key));
}

static uint64_t binary_tree_work(void) {
  uint64_t sum = 0, random = 17;
  for (unsigned round = 0; round < kTreeRounds; ++round) {
    struct Leaf* root = NULL;
    for (unsigned i = 0; i < kTreeNodes; ++i) {
      struct Leaf* const leaf = &tree_nodes[i];
      *leaf = (struct Leaf){NULL, NULL, next_random(&random)};
      struct Leaf** at = &root;
      while (*at) at = leaf->key < (*at)->key ? &(*at)->left : &(*at)->right;
      *at = leaf;
    }
    sum = walk(root, sum);
  }
  return sum;
}

const struct Row integer_rows[] = {
    {"quicksort", quicksort_prepare, quicksort_work, kNothing},
    {"hash_table", hash_table_prepare, hash_table_work, kNothing},
    {"sieve", sieve_prepare, sieve_work, kNothing},
    {"compressor", compressor_prepare, compressor_work, kNothing},
    {"recursion", NULL, recursion_work, kNothing},
    {"bytecode_vm", NULL, bytecode_vm_work, kNothing},
    {"crc32", message_prepare, crc32_work, kNothing},
    {"sha256", sha256_prepare, sha256_work, kNothing},
    {"formatting", NULL, formatting_work, kNothing},
    {"matrix", matrix_prepare, matrix_work, kNothing},
    {"pointer_chase", pointer_chase_prepare, pointer_chase_work, kNothing},
    {"binary_tree", binary_tree_prepare, binary_tree_work, kNothing},
    {NULL, NULL, NULL, kNothing},
};
