// The text form of blocks: one operation a line, for logs, tests and bug reports.
//
//   block at 0x123, 7 bytes, mode 0x10, memory 0x5123
//   interpreted 1
//   vector #0 addps map=0x1 opcode=0x58 ...
//   instruction at 0x123, 3 bytes
//     %0 = get_register rax
//     %1 = add.i64 %0, %0
//     set_flags add, %1, %0
//     set_register rax, %1
//   instruction at 0x126, 4 bytes
//     %4 = condition e
//     branch %4, 0x200, 0x12a
//
// Every operation has a number, its index, also those that have no result and hence do not show it. Operands are, in
// this order: register, segment, kind of flags or condition; arguments, "-" for one left out; scale; immediate; words
// ("stack", "call", "only_for_faults"). What ";" begins is a comment. An interpreted operation holds the address of a
// function of this process, so only the number of them is written.
#pragma once

#include <string>
#include <string_view>

#include "jit/ir/ir.h"

namespace calco::jit::ir {

// Of valid blocks; of others as well as can be.
std::string print(const Block& block);
std::string print(const Block& block, Value value);  // one operation, without a line end

// Reads the text form: print's output gives the same block again, but for the contents of Block::interpreted. Numbers
// before "=" are names that may be chosen freely. Returns an empty text or what is wrong in which line; `block` is then
// good for nothing. Types and indices are not checked: that is the verifier's.
std::string parse(std::string_view text, Block& block);

}  // namespace calco::jit::ir
