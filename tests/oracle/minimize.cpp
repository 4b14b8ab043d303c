#include "tests/oracle/minimize.h"

#include <cstddef>

#include "cpu/decode/row.h"

namespace calco::oracle {

namespace {

struct Piece {
  size_t begin, length;
};

// The instructions as they stand in the code; what is not one counts byte by byte.
std::vector<Piece> pieces(const TestCase& test, const decode::FeatureSet& features) {
  std::vector<Piece> found;
  for (size_t at = 0; at < test.code.size();) {
    decode::Instruction instruction;
    const auto rest = std::span<const uint8_t>(test.code).subspan(at);
    const bool good = decode::decode(rest, test.code_size, features, instruction) == decode::Status::Ok;
    const size_t length = good ? instruction.length : 1;
    found.push_back({at, length});
    at += length;
  }
  return found;
}

// Flags that any of the instructions leaves undefined: what defined them again may go.
uint64_t open_flags(const TestCase& test, const decode::FeatureSet& features) {
  uint64_t flags = 0;
  for (const Piece& piece : pieces(test, features)) {
    decode::Instruction instruction;
    const auto bytes = std::span<const uint8_t>(test.code).subspan(piece.begin, piece.length);
    const bool good = decode::decode(bytes, test.code_size, features, instruction) == decode::Status::Ok;
    if (good) flags |= instruction.row->flags.undefined;
  }
  return flags;
}

}  // namespace

TestCase minimized(Oracle& oracle, TestCase test) {
  bool smaller = true;
  while (smaller) {
    smaller = false;
    const std::vector<Piece> all = pieces(test, oracle.features());
    // From the end, so that the places of those before stay.
    for (auto piece = all.rbegin(); piece != all.rend(); ++piece) {
      TestCase candidate = test;
      const auto begin = candidate.code.begin() + static_cast<std::ptrdiff_t>(piece->begin);
      candidate.code.erase(begin, begin + static_cast<std::ptrdiff_t>(piece->length));
      candidate.open_flags = open_flags(candidate, oracle.features());
      if (!oracle.run(candidate)) continue;
      test = candidate;
      smaller = true;
    }
  }
  return test;
}

}  // namespace calco::oracle
