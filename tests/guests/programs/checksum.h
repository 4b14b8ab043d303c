// What the programs that compare results with the host's share: operands and checksums, the same on every run.
#pragma once

#include <stdint.h>

static uint64_t random_state = 0x9E3779B97F4A7C15;

static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static uint64_t mix(uint64_t sum, const void* data, unsigned size) {
  const unsigned char* bytes = data;
  for (unsigned i = 0; i < size; ++i) sum = (sum ^ bytes[i]) * 0x100000001B3;
  return sum;
}
