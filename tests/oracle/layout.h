// Where test code and its data lie: the same linear addresses on the host and in the interpreter, all below 2 GiB so
// that 32-bit code and absolute displacements reach them.
#pragma once

#include <cstdint>

namespace calco::oracle {

constexpr uint64_t kPage = 4096;

// Code: readable, writable and executable. Filled with INT3 where no test stands. The page before and the page behind
// are not mapped.
constexpr uint64_t kCode = 0x10000000, kCodePages = 3, kCodeEnd = kCode + kCodePages * kPage;
// Where every test jumps when it is through: on the host the code that saves the state, in the interpreter an INT3.
constexpr uint64_t kExit = 0x1A5B3000;
// Data: writable pages, a read-only one behind them; the pages around are not mapped.
constexpr uint64_t kData = 0x20000000, kDataPages = 3, kWritablePages = 2;
constexpr uint64_t kReadOnly = kData + kWritablePages * kPage, kDataEnd = kData + kDataPages * kPage;
// Upper part of the writable pages, where stacks begin.
constexpr uint64_t kStack = kData + kPage + 0xA00;

// Never mapped, canonical, above what 32-bit code reaches.
constexpr uint64_t kUnmappedHigh = 0x400000000000;

constexpr uint16_t kCode64Selector = 0x33, kCode32Selector = 0x23, kDataSelector = 0x2B;  // Linux' user segments

}  // namespace calco::oracle
