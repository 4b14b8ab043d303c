// The segments that tests run with: Linux' own, and some of the local descriptor table for 16-bit code and for bases
// and limits.
#pragma once

#include <cstdint>

#include "tests/oracle/layout.h"

namespace calco::oracle {

// An entry of the local descriptor table as modify_ldt(2) takes it.
struct LocalSegment {
  enum class Contents : uint8_t { Data, ExpandDownData, Code };
  uint16_t selector;
  uint32_t base;
  uint32_t limit;  // in bytes
  bool big;        // D/B
  Contents contents;
  bool writable;  // code: readable
};

constexpr uint16_t kLocalCode16 = 0x0F, kLocalData16 = 0x17, kLocalExpandDown16 = 0x1F, kLocalData32 = 0x27,
                   kLocalCode32 = 0x2F, kLocalReadOnly32 = 0x37;
constexpr uint32_t kDataLimit = kDataPages * kPage + 0x7FF;
constexpr LocalSegment kLocalSegments[] = {
    {kLocalCode16, kCode, kCodePages* kPage - 1, false, LocalSegment::Contents::Code, true},
    {kLocalData16, kData, kDataLimit, false, LocalSegment::Contents::Data, true},
    {kLocalExpandDown16, kData, 0xFFF, false, LocalSegment::Contents::ExpandDownData, true},
    {kLocalData32, kData, kDataLimit, true, LocalSegment::Contents::Data, true},
    {kLocalCode32, kCode, kCodePages* kPage - 1, true, LocalSegment::Contents::Code, true},
    {kLocalReadOnly32, kData, kDataLimit, true, LocalSegment::Contents::Data, false}};

constexpr uint32_t segment_base(uint64_t selector) {
  for (const LocalSegment& segment : kLocalSegments) {
    if (segment.selector == selector) return segment.base;
  }
  return 0;
}

// The descriptor, with the available bit and the accessed bit set as Linux does.
constexpr uint64_t descriptor_of(const LocalSegment& segment) {
  const uint64_t type = (segment.writable ? 2 : 0) | static_cast<uint64_t>(segment.contents) << 2 | 1;
  const uint64_t access = 0xF0 | type, flags = (segment.big ? 4 : 0) | 1;
  const uint64_t base = segment.base, limit = segment.limit;
  return (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | access << 40 | (limit >> 16 & 0xF) << 48 | flags << 52 |
         (base >> 24) << 56;
}

}  // namespace calco::oracle
