// Ways out of a region's code to addresses that are known only while it is compiled.
#pragma once

#include <string>

namespace calco::jit {

// Code calls and jumps to symbols; behind each stands a few bytes of code in the same allocation that go to `target`.
// So code needs no register for the address of a tail call, of which the calling convention leaves LLVM none.
struct Thunk {
  enum class Kind {
    Jump,  // to `target`
    Cell,  // to the address that the 8 bytes at `target` hold at that time
    Call,  // of a function of the preserve_allcc convention
  };
  std::string symbol;
  Kind kind;
  const void* target;
};

}  // namespace calco::jit
