// Rows that the host and the interpreter cannot be compared on, each with the reason.
#pragma once

#include "cpu/decode/row.h"

namespace calco::oracle {

// Why tests of `row` are never generated for a model with `features`, or null where they are.
const char* reason_for_exclusion(const decode::Row& row, const decode::FeatureSet& features);

}  // namespace calco::oracle
