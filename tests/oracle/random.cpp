#include "tests/oracle/random.h"

#include <bit>

namespace calco::oracle {

uint64_t Random::integer() {
  switch (below(8)) {
    case 0:
      return below(3) - uint64_t{1};  // -1, 0, 1
    case 1:
      return below(256);
    case 2: {
      const uint64_t power = uint64_t{1} << below(64);
      return power + below(3) - 1;
    }
    case 3: {
      const uint64_t power = uint64_t{1} << below(64);
      return 0 - power + below(3) - 1;
    }
    case 4: {
      static constexpr uint64_t kLimits[] = {0x7F,
                                             0x80,
                                             0xFF,
                                             0x7FFF,
                                             0x8000,
                                             0xFFFF,
                                             0x7FFFFFFF,
                                             0x80000000,
                                             0xFFFFFFFF,
                                             0x7FFFFFFFFFFFFFFF,
                                             0x8000000000000000,
                                             0x8080808080808080,
                                             0x7F80FF0001027F80};
      return pick(kLimits);
    }
    case 5:
      return static_cast<uint64_t>(static_cast<int64_t>(next()) >> below(64));
    default:
      return next();
  }
}

uint32_t Random::single() {
  static constexpr uint32_t kValues[] = {
      0x00000000, 0x00000001, 0x00400000, 0x007FFFFF, 0x00800000, 0x00800001, 0x3F000000, 0x3F7FFFFF, 0x3F800000,
      0x3F800001, 0x3FC00000, 0x40000000, 0x40200000, 0x40490FDB, 0x4AFFFFFF, 0x4B000000, 0x4B7FFFFF, 0x4EFFFFFF,
      0x4F000000, 0x4F7FFFFF, 0x5EFFFFFF, 0x5F000000, 0x7F000000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FA00000,
      0x7FC00000, 0x7FC12345, 0x7FFFFFFF, 0x1F800000, 0x20000000, 0x33800000, 0x34000000};
  const uint32_t sign = static_cast<uint32_t>(next()) & 0x80000000;
  switch (below(8)) {
    case 0:
    case 1:
    case 2:
      return pick(kValues) | sign;
    case 3:  // moderate size, few digits
      return std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(next()) >> below(32)) / 4) ^ sign;
    case 4:
    case 5:  // near one
      return ((0x3F800000u + ((below(17) - 8u) << 23)) ^ (static_cast<uint32_t>(next()) & 0x7FFFFF)) | sign;
    default:
      return static_cast<uint32_t>(next());
  }
}

uint64_t Random::double_precision() {
  static constexpr uint64_t kValues[] = {
      0x0000000000000000, 0x0000000000000001, 0x0008000000000000, 0x000FFFFFFFFFFFFF, 0x0010000000000000,
      0x0010000000000001, 0x3FE0000000000000, 0x3FEFFFFFFFFFFFFF, 0x3FF0000000000000, 0x3FF0000000000001,
      0x3FF8000000000000, 0x4000000000000000, 0x4004000000000000, 0x400921FB54442D18, 0x41DFFFFFFFC00000,
      0x41DFFFFFFFE00000, 0x41E0000000000000, 0x41EFFFFFFFE00000, 0x43DFFFFFFFFFFFFF, 0x43E0000000000000,
      0x433FFFFFFFFFFFFF, 0x4340000000000000, 0x7FE0000000000000, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000,
      0x7FF0000000000001, 0x7FF4000000000000, 0x7FF8000000000000, 0x7FF8123456789ABC, 0x7FFFFFFFFFFFFFFF,
      0x36A0000000000000, 0x380FFFFFFFFFFFFF, 0x3810000000000000, 0x47EFFFFFE0000000, 0x47EFFFFFF0000000,
      0x47F0000000000000, 0x3CA0000000000000, 0x3CB0000000000000};
  const uint64_t sign = next() & 0x8000000000000000;
  switch (below(8)) {
    case 0:
    case 1:
    case 2:
      return pick(kValues) | sign;
    case 3:
      return std::bit_cast<uint64_t>(static_cast<double>(static_cast<int64_t>(next()) >> below(64)) / 4) ^ sign;
    case 4:
    case 5:
      return ((0x3FF0000000000000u + ((below(17) - uint64_t{8}) << 52)) ^ (next() & 0xFFFFFFFFFFFFF)) | sign;
    default:
      return next();
  }
}

X87Slot Random::extended() {
  X87Slot slot;
  const auto sign = static_cast<uint16_t>(next() & 0x8000);
  switch (below(12)) {
    case 0:  // zeros
      slot.sign_exponent = sign;
      break;
    case 1:  // denormals and pseudo-denormals
      slot.significand = integer();
      slot.sign_exponent = sign;
      break;
    case 2:  // infinities, NaNs and what looks like them
      slot.significand = percent(40) ? 0x8000000000000000 : (integer() | (percent(70) ? 0x8000000000000000 : 0));
      slot.sign_exponent = sign | 0x7FFF;
      break;
    case 3:  // any bits: unnormals
      slot.significand = next();
      slot.sign_exponent = static_cast<uint16_t>(next());
      break;
    case 4:  // limits of the range
      slot.significand = integer() | 0x8000000000000000;
      slot.sign_exponent = static_cast<uint16_t>(sign | (percent(50) ? 1 + below(4) : 0x7FFE - below(4)));
      break;
    case 5:
    case 6:  // integers
    case 7: {
      const auto value = static_cast<int64_t>(next()) >> below(64);
      const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
      if (magnitude != 0) {
        const auto shift = static_cast<unsigned>(std::countl_zero(magnitude));
        slot.significand = magnitude << shift;
        slot.sign_exponent = static_cast<uint16_t>(0x3FFF + 63 - shift);
      }
      slot.sign_exponent |= sign;
      break;
    }
    default:  // near one
      slot.significand = (percent(50) ? next() : integer()) | 0x8000000000000000;
      slot.sign_exponent = static_cast<uint16_t>(sign | (0x3FFF + below(140) - 70));
      break;
  }
  return slot;
}

VectorSlot Random::vector() {
  VectorSlot slot{};
  switch (below(4)) {
    case 0:
      for (uint32_t& lane : slot.dwords) lane = single();
      break;
    case 1:
      for (uint64_t& lane : slot.qwords) lane = double_precision();
      break;
    case 2:
      for (uint64_t& lane : slot.qwords) lane = integer();
      break;
    default:
      for (uint64_t& lane : slot.qwords) lane = next();
      break;
  }
  return slot;
}

uint64_t Random::memory_word() {
  switch (below(4)) {
    case 0:
      return single() | uint64_t{single()} << 32;
    case 1:
      return double_precision();
    case 2:
      return extended().significand;
    default:
      return integer();
  }
}

}  // namespace calco::oracle
