// The host's x87 unit.
#include "cpu/exec/x87_host.h"

namespace calco::cpu::x87_host {
namespace {

constexpr uint16_t kExceptions = 0x3F;
constexpr uint16_t kRelevantControl = 0x0F3F;  // masks, precision control, rounding control
constexpr uint16_t kHostControl = 0x037F;      // what the ABI promises to all other code

// The register stack is empty at function entry (ABI), TOP is 0: one value on it makes TOP 7, two make it 6. So bit 11
// of the status word, TOP's lowest, tells whether an instruction did push or pop.
constexpr uint16_t kTopLowest = 0x0800;

bool is_host_control(uint16_t control) { return (control & kRelevantControl) == (kHostControl & kRelevantControl); }

// Flags of earlier work would be taken for the operation's, and trap under the guest's masks. Those that the guest has
// set as well do no harm: they are masked and stay set. FNCLEX takes longer than most operations (40 to 100 ns on Zen
// 5), and the usual flag, precision, is nearly always set already.
[[gnu::always_inline]] inline void enter(Mode mode) {
  uint16_t status;
  asm volatile("fnstsw %0" : "=a"(status));
  if ((status & kExceptions & ~mode.known) != 0) [[unlikely]] {
    asm volatile("fnclex");
  }
  if (!is_host_control(mode.control)) [[unlikely]] {
    const uint16_t control = mode.control & kRelevantControl;
    asm volatile("fldcw %0" ::"m"(control));
  }
}
[[gnu::always_inline]] inline void leave(Mode mode) {
  if (!is_host_control(mode.control)) [[unlikely]] {
    const uint16_t host = kHostControl;
    asm volatile("fldcw %0" ::"m"(host));
  }
}

// The memory an asm statement reads or writes, whatever its type.
template <unsigned kSize>
struct Memory {
  uint8_t bytes[kSize];
};
template <unsigned kSize>
const Memory<kSize>& read_memory(const void* source) {
  return *static_cast<const Memory<kSize>*>(source);
}
template <unsigned kSize>
Memory<kSize>& written_memory(void* destination) {
  return *static_cast<Memory<kSize>*>(destination);
}

constexpr unsigned size_of(Format format) {
  switch (format) {
    case Format::Int16:
      return 2;
    case Format::Single:
    case Format::Int32:
      return 4;
    case Format::Double:
    case Format::Int64:
      return 8;
    default:
      return 10;
  }
}

}  // namespace

// Takes the status word; a pending exception is dropped before the next waiting instruction can report it.
#define CALCO_TAKE_STATUS "fnstsw %w[status]\n testb $0x80, %b[status]\n jz 1f\n fnclex\n 1:\n"

// `instruction` has a memory source.
#define CALCO_WITH_MEMORY(instruction)                                                                     \
  asm volatile("fldt %[destination]\n" instruction " %[source]\n" CALCO_TAKE_STATUS "fstpt %[destination]" \
               : [destination] "+m"(destination), [status] "=&a"(status)                                   \
               : [source] "m"(read_memory<size_of(kFormat)>(source)))
#define CALCO_WITH_REGISTER(instruction)                                                                 \
  asm volatile("fldt %[source]\n fldt %[destination]\n" instruction " %%st(1), %%st\n" CALCO_TAKE_STATUS \
               "fstpt %[destination]\n fstp %%st(0)"                                                     \
               : [destination] "+m"(destination), [status] "=&a"(status)                                 \
               : [source] "m"(*static_cast<const X87Register*>(source)))
#define CALCO_ARITHMETIC(name)                                                \
  do {                                                                        \
    if constexpr (kFormat == Format::Extended) CALCO_WITH_REGISTER("f" name); \
    if constexpr (kFormat == Format::Single) CALCO_WITH_MEMORY("f" name "s"); \
    if constexpr (kFormat == Format::Double) CALCO_WITH_MEMORY("f" name "l"); \
    if constexpr (kFormat == Format::Int16) CALCO_WITH_MEMORY("fi" name "s"); \
    if constexpr (kFormat == Format::Int32) CALCO_WITH_MEMORY("fi" name "l"); \
  } while (false)

template <Arithmetic kOperation, Format kFormat>
uint16_t arithmetic(Mode mode, X87Register& destination, const void* source) {
  uint16_t status;
  enter(mode);
  if constexpr (kOperation == Arithmetic::Add) CALCO_ARITHMETIC("add");
  if constexpr (kOperation == Arithmetic::Multiply) CALCO_ARITHMETIC("mul");
  if constexpr (kOperation == Arithmetic::Subtract) CALCO_ARITHMETIC("sub");
  if constexpr (kOperation == Arithmetic::SubtractReversed) CALCO_ARITHMETIC("subr");
  if constexpr (kOperation == Arithmetic::Divide) CALCO_ARITHMETIC("div");
  if constexpr (kOperation == Arithmetic::DivideReversed) CALCO_ARITHMETIC("divr");
  leave(mode);
  return status;
}

#define CALCO_COMPARE_MEMORY(instruction)                                                    \
  asm volatile("fldt %[first]\n" instruction " %[second]\n" CALCO_TAKE_STATUS "fstp %%st(0)" \
               : [status] "=&a"(status)                                                      \
               : [first] "m"(first), [second] "m"(read_memory<size_of(kFormat)>(second)))
#define CALCO_COMPARE_REGISTERS(instruction, second_register)                                \
  asm volatile("fldt %[second]\n fldt %[first]\n" instruction " %%st(1)\n" CALCO_TAKE_STATUS \
               "fstp %%st(0)\n fstp %%st(0)"                                                 \
               : [status] "=&a"(status)                                                      \
               : [first] "m"(first), [second] "m"(second_register))

template <Format kFormat>
uint16_t compare(Mode mode, const X87Register& first, const void* second) {
  uint16_t status;
  enter(mode);
  if constexpr (kFormat == Format::Extended) CALCO_COMPARE_REGISTERS("fcom", *static_cast<const X87Register*>(second));
  if constexpr (kFormat == Format::Single) CALCO_COMPARE_MEMORY("fcoms");
  if constexpr (kFormat == Format::Double) CALCO_COMPARE_MEMORY("fcoml");
  if constexpr (kFormat == Format::Int16) CALCO_COMPARE_MEMORY("ficoms");
  if constexpr (kFormat == Format::Int32) CALCO_COMPARE_MEMORY("ficoml");
  leave(mode);
  return status;
}

uint16_t compare_unordered(Mode mode, const X87Register& first, const X87Register& second) {
  uint16_t status;
  enter(mode);
  CALCO_COMPARE_REGISTERS("fucom", second);
  leave(mode);
  return status;
}

uint16_t test(Mode mode, const X87Register& value) {
  uint16_t status;
  enter(mode);
  asm volatile("fldt %[value]\n ftst\n" CALCO_TAKE_STATUS "fstp %%st(0)" : [status] "=&a"(status) : [value] "m"(value));
  leave(mode);
  return status;
}

uint16_t examine(const X87Register& value) {
  uint16_t status;
  asm volatile("fldt %[value]\n fxam\n fnstsw %[status]\n fstp %%st(0)" : [status] "=&a"(status) : [value] "m"(value));
  return status;
}

#define CALCO_LOAD(instruction)                                                                                  \
  asm volatile(instruction " %[source]\n" CALCO_TAKE_STATUS "btl $11, %k[status]\n jnc 2f\n fstpt %[value]\n 2:" \
               : [value] "+m"(value), [status] "=&a"(status)                                                     \
               : [source] "m"(read_memory<size_of(kFormat)>(source))                                             \
               : "cc")

template <Format kFormat>
Outcome load(Mode mode, const void* source, X87Register& value) {
  uint16_t status;
  enter(mode);
  if constexpr (kFormat == Format::Single) CALCO_LOAD("flds");
  if constexpr (kFormat == Format::Double) CALCO_LOAD("fldl");
  if constexpr (kFormat == Format::Int16) CALCO_LOAD("filds");
  if constexpr (kFormat == Format::Int32) CALCO_LOAD("fildl");
  if constexpr (kFormat == Format::Int64) CALCO_LOAD("fildll");
  if constexpr (kFormat == Format::Bcd) CALCO_LOAD("fbld");
  leave(mode);
  return {status, (status & kTopLowest) != 0};
}

#define CALCO_STORE(instruction)                                                                           \
  asm volatile("fldt %[value]\n" instruction " %[destination]\n" CALCO_TAKE_STATUS                         \
               "btl $11, %k[status]\n jnc 2f\n fstp %%st(0)\n 2:"                                          \
               : [destination] "+m"(written_memory<size_of(kFormat)>(destination)), [status] "=&a"(status) \
               : [value] "m"(value)                                                                        \
               : "cc")

template <Format kFormat, bool kTruncate>
Outcome store(Mode mode, const X87Register& value, void* destination) {
  uint16_t status;
  enter(mode);
  if constexpr (kTruncate) {
    if constexpr (kFormat == Format::Int16) CALCO_STORE("fisttps");
    if constexpr (kFormat == Format::Int32) CALCO_STORE("fisttpl");
    if constexpr (kFormat == Format::Int64) CALCO_STORE("fisttpll");
  } else {
    if constexpr (kFormat == Format::Single) CALCO_STORE("fstps");
    if constexpr (kFormat == Format::Double) CALCO_STORE("fstpl");
    if constexpr (kFormat == Format::Int16) CALCO_STORE("fistps");
    if constexpr (kFormat == Format::Int32) CALCO_STORE("fistpl");
    if constexpr (kFormat == Format::Int64) CALCO_STORE("fistpll");
    if constexpr (kFormat == Format::Bcd) CALCO_STORE("fbstp");
  }
  leave(mode);
  return {status, (status & kTopLowest) == 0};
}

X87Register constant(Mode mode, Constant which) {
  X87Register value;
  enter(mode);
  switch (which) {
    case Constant::One:
      asm volatile("fld1\n fstpt %0" : "=m"(value));
      break;
    case Constant::Log2Ten:
      asm volatile("fldl2t\n fstpt %0" : "=m"(value));
      break;
    case Constant::Log2E:
      asm volatile("fldl2e\n fstpt %0" : "=m"(value));
      break;
    case Constant::Pi:
      asm volatile("fldpi\n fstpt %0" : "=m"(value));
      break;
    case Constant::Log10Two:
      asm volatile("fldlg2\n fstpt %0" : "=m"(value));
      break;
    case Constant::LogETwo:
      asm volatile("fldln2\n fstpt %0" : "=m"(value));
      break;
    case Constant::Zero:
      asm volatile("fldz\n fstpt %0" : "=m"(value));
      break;
  }
  leave(mode);
  return value;
}

#define CALCO_UNARY(instruction)                                                     \
  asm volatile("fldt %[value]\n" instruction "\n" CALCO_TAKE_STATUS "fstpt %[value]" \
               : [value] "+m"(value), [status] "=&a"(status))

template <Unary kOperation>
uint16_t unary(Mode mode, X87Register& value) {
  uint16_t status;
  enter(mode);
  if constexpr (kOperation == Unary::TwoToXMinusOne) CALCO_UNARY("f2xm1");
  if constexpr (kOperation == Unary::SquareRoot) CALCO_UNARY("fsqrt");
  if constexpr (kOperation == Unary::RoundToInteger) CALCO_UNARY("frndint");
  if constexpr (kOperation == Unary::Sine) CALCO_UNARY("fsin");
  if constexpr (kOperation == Unary::Cosine) CALCO_UNARY("fcos");
  leave(mode);
  return status;
}

#define CALCO_BINARY(instruction)                                                                             \
  asm volatile("fldt %[st1]\n fldt %[st0]\n" instruction "\n" CALCO_TAKE_STATUS "fstpt %[st0]\n fstp %%st(0)" \
               : [st0] "+m"(st0), [status] "=&a"(status)                                                      \
               : [st1] "m"(st1))

template <Binary kOperation>
uint16_t binary(Mode mode, X87Register& st0, const X87Register& st1) {
  uint16_t status;
  enter(mode);
  if constexpr (kOperation == Binary::PartialRemainder) CALCO_BINARY("fprem");
  if constexpr (kOperation == Binary::PartialRemainderNearest) CALCO_BINARY("fprem1");
  if constexpr (kOperation == Binary::Scale) CALCO_BINARY("fscale");
  leave(mode);
  return status;
}

// Where the instruction did not pop, ST(0) is dropped and ST(1) goes back unchanged.
#define CALCO_POPPING(instruction)                                              \
  asm volatile("fldt %[st1]\n fldt %[st0]\n" instruction "\n" CALCO_TAKE_STATUS \
               "btl $11, %k[status]\n jc 2f\n fstp %%st(0)\n 2: fstpt %[st1]"   \
               : [st1] "+m"(st1), [status] "=&a"(status)                        \
               : [st0] "m"(st0)                                                 \
               : "cc")

template <Popping kOperation>
Outcome popping(Mode mode, const X87Register& st0, X87Register& st1) {
  uint16_t status;
  enter(mode);
  if constexpr (kOperation == Popping::ArcTangent) CALCO_POPPING("fpatan");
  if constexpr (kOperation == Popping::YLog2X) CALCO_POPPING("fyl2x");
  if constexpr (kOperation == Popping::YLog2XPlusOne) CALCO_POPPING("fyl2xp1");
  leave(mode);
  return {status, (status & kTopLowest) != 0};
}

#define CALCO_PUSHING(instruction)                                               \
  asm volatile("fldt %[st0]\n" instruction "\n" CALCO_TAKE_STATUS                \
               "btl $11, %k[status]\n jc 2f\n fstpt %[pushed]\n 2: fstpt %[st0]" \
               : [st0] "+m"(st0), [pushed] "+m"(pushed), [status] "=&a"(status)  \
               :                                                                 \
               : "cc")

template <Pushing kOperation>
Outcome pushing(Mode mode, X87Register& st0, X87Register& pushed) {
  uint16_t status;
  enter(mode);
  if constexpr (kOperation == Pushing::Extract) CALCO_PUSHING("fxtract");
  if constexpr (kOperation == Pushing::Tangent) CALCO_PUSHING("fptan");
  if constexpr (kOperation == Pushing::SineCosine) CALCO_PUSHING("fsincos");
  leave(mode);
  return {status, (status & kTopLowest) == 0};
}

#include "cpu/exec/x87_instantiations.inc"

}  // namespace calco::cpu::x87_host
