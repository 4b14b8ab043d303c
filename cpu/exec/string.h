// Repeated string instructions, for whoever has a quicker way for the usual ones.
#pragma once

#include <array>

#include "cpu/exec/op.h"

namespace calco::cpu {

// REP MOVS and REP STOS with elements of 1 << index bytes. Op::extra is that index, Op::segment what MOVS reads from.
extern const std::array<Handler, 4> kRepeatedMoves, kRepeatedStores;

}  // namespace calco::cpu
