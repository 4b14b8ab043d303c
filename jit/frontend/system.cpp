// MFENCE and its kin, PREFETCHW.
#include "jit/frontend/groups.h"

namespace calco::jit {

Outcome translate_system(Emitter& emit) {
  using decode::Mnemonic;
  switch (emit.instruction().mnemonic) {
    case Mnemonic::Lfence:
    case Mnemonic::Mfence:
    case Mnemonic::Sfence:
      emit.operation(ir::Opcode::Fence, ir::Type::Void);
      return Outcome::Next;
    case Mnemonic::Prefetch:
    case Mnemonic::Prefetchw:
      return Outcome::Next;
    default:
      return Outcome::Interpret;
  }
}

}  // namespace calco::jit
