// From guest code to IR.
#pragma once

#include <cstdint>
#include <span>

#include "cpu/decode/instruction.h"
#include "jit/ir/ir.h"

namespace calco::jit {

// Each can be switched off to find out whose fault something is: the interpreter then does it.
struct FrontendOptions {
  bool x87 = true;      // x87 instructions are the host's
  bool vectors = true;  // SSE and AVX instructions, too
  bool last = true;     // a block may end with an instruction that the interpreter executes (ir::Block::last)
};

// Guest code to translate.
struct CodeSource {
  std::span<const uint8_t> bytes;  // from the block's first instruction to the end of its page
  uint64_t memory_offset = 0;      // of the first byte
  uint32_t mode_key = 0;           // cpu/exec/block_cache.h; 64-bit code
  const decode::FeatureSet& features;
  unsigned maximum_instructions = 64;
  // Where the first instruction runs over the page's end, and is translated alone: the guest's memory at the page
  // behind it, whose first bytes `bytes` goes on with. Else null.
  const uint8_t* next_page = nullptr;
  FrontendOptions options = {};
};

// Fills `block` with the code up to and with the first control transfer, or up to the first instruction that only the
// interpreter can execute, that ends blocks there, or that runs over the page's end (the block then ends in Leave).
// Returns false where not even the first instruction can be translated.
bool translate(const CodeSource& source, ir::Block& block);

}  // namespace calco::jit
