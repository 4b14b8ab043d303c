#include "cpu/flags.h"

#include "cpu/compute_flags.h"

namespace calco::cpu {

uint64_t arithmetic_flags(const LazyFlags& lazy) { return compute_arithmetic_flags(lazy); }

}  // namespace calco::cpu
