// Transcendental functions with more digits than any x87 result has, for finite arguments that are not zero. Results
// round right (soft_float.h). Any thread.
#pragma once

#include "cpu/exec/portable/soft_float.h"

namespace calco::cpu::soft_float {

Number two_to_x_minus_one(const Number& x);
Number sine(const Number& x);
Number cosine(const Number& x);
Number tangent(const Number& x);
// The angle of the point (x, y).
Number arc_tangent(const Number& y, const Number& x);
// x > 0; x > -1
Number y_log2_x(const Number& y, const Number& x);
Number y_log2_x_plus_one(const Number& y, const Number& x);
// pi * numerator / 4
Number pi_quarters(unsigned numerator);

}  // namespace calco::cpu::soft_float
