// The x87 unit behind functions: bit-exact 80-bit arithmetic. x86-64 hosts have one (x87_host_x86_64.cpp); on others it
// is software (x87_host_portable.cpp).
//
// Every function runs one instruction under the guest's control word, masks included, and returns the status word after
// it: the flags that this operation raised and perhaps some that the guest's status word has anyway, C0-C3 (garbage
// where the instruction leaves them alone), and ES where it raised an unmasked exception. That one has the
// instruction's documented response and is then forgotten; nothing traps on the host. Any thread.
#pragma once

#include <cstdint>

#include "cpu/state.h"

namespace calco::cpu::x87_host {

struct Mode {
  uint16_t control;  // the guest's
  uint16_t known;    // exception flags that are masked and set in the guest's status word
};

// Memory formats of SDM vol. 1, 4.2 and 4.7.
enum class Format : uint8_t { Extended, Single, Double, Int16, Int32, Int64, Bcd };

// What a function that may or may not push, pop or store did.
struct Outcome {
  uint16_t status;
  bool done;  // false: an unmasked exception (or C2, argument out of range) prevented it
};

enum class Arithmetic : uint8_t { Add, Multiply, Subtract, SubtractReversed, Divide, DivideReversed };
// destination = destination operation source. `source` points at an X87Register (Extended) or at a Single, Double,
// Int16 or Int32 in memory.
template <Arithmetic kOperation, Format kFormat>
uint16_t arithmetic(Mode mode, X87Register& destination, const void* source);

// FCOM, FICOM; C3, C2, C0 are the answer.
template <Format kFormat>
uint16_t compare(Mode mode, const X87Register& first, const void* second);
uint16_t compare_unordered(Mode mode, const X87Register& first, const X87Register& second);  // FUCOM
uint16_t test(Mode mode, const X87Register& value);                                          // FTST
uint16_t examine(const X87Register& value);                                                  // FXAM

// FLD, FILD, FBLD of every format but Extended. `value` changes only where done.
template <Format kFormat>
Outcome load(Mode mode, const void* source, X87Register& value);

// FST, FIST, FBSTP and (kTruncate) FISTTP to every format but Extended. `destination` is written only where done.
template <Format kFormat, bool kTruncate>
Outcome store(Mode mode, const X87Register& value, void* destination);

enum class Constant : uint8_t { One, Log2Ten, Log2E, Pi, Log10Two, LogETwo, Zero };
X87Register constant(Mode mode, Constant which);

enum class Unary : uint8_t { TwoToXMinusOne, SquareRoot, RoundToInteger, Sine, Cosine };
template <Unary kOperation>
uint16_t unary(Mode mode, X87Register& value);

// FPREM, FPREM1, FSCALE: change ST(0) by ST(1).
enum class Binary : uint8_t { PartialRemainder, PartialRemainderNearest, Scale };
template <Binary kOperation>
uint16_t binary(Mode mode, X87Register& st0, const X87Register& st1);

// FPATAN, FYL2X, FYL2XP1: the result replaces ST(1), ST(0) is popped; done: it is.
enum class Popping : uint8_t { ArcTangent, YLog2X, YLog2XPlusOne };
template <Popping kOperation>
Outcome popping(Mode mode, const X87Register& st0, X87Register& st1);

// FXTRACT, FPTAN, FSINCOS: replace ST(0) and push a second result; done: `pushed` is valid.
enum class Pushing : uint8_t { Extract, Tangent, SineCosine };
template <Pushing kOperation>
Outcome pushing(Mode mode, X87Register& st0, X87Register& pushed);

}  // namespace calco::cpu::x87_host
