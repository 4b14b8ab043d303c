// The only host code that is not the compiler's or LLVM's: a few instructions that tell who they are and go on in C++.
// Code that region code jumps to must have an address of its own, so that the place can be told by it.
#pragma once

#include "jit/runtime/code_cache.h"

namespace calco::jit {

// What a stub leads to. It lies where the stub's owner put it, as long as the stub.
struct Route {
  const void* target = nullptr;  // in the convention of abi.h; never changes
};

// Whether stubs can be made on this host.
bool can_emit_route_stubs(int offset);

// Emits a stub: stores the route's address to StateLayout::exit_link, `offset` bytes from the CpuState's first byte,
// and jumps to its target. The executable address; null where the cache's segment is full.
const uint8_t* emit_route_stub(CodeCache& cache, const Route& route, int offset);

}  // namespace calco::jit
