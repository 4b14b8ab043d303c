// Which of the guest's instructions translated code may hand to the host.
#pragma once

#include "cpu/decode/row.h"
#include "jit/ir/host_vector.h"

namespace calco::jit {

bool host_executes(const decode::Row& row, const ir::HostVectorInstruction& vector);
bool host_has(decode::Feature feature);
// The host has an x87 unit; x86-64 alone does.
bool host_has_x87();

}  // namespace calco::jit
