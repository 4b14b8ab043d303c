#include "jit/frontend/host_features.h"
#include "jit/ir/plain_vector.h"

namespace calco::jit {

bool host_executes(const decode::Row&, const ir::HostVectorInstruction& vector) { return ir::is_plain(vector); }
bool host_has(decode::Feature) { return false; }
bool host_has_x87() { return false; }

}  // namespace calco::jit
