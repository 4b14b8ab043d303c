// What is being delivered to the guest: an exception, an interrupt, a software interrupt.
#pragma once

#include <cstdint>

#include "cpu/state.h"

namespace calco::cpu {

enum class InterruptSource : uint8_t {
  Hardware,     // INTR: vector from the interrupt controller
  SoftwareInt,  // INT n
  Int3,
  Into,
  Icebp,  // INT1 (F1)
  Nmi,
  Exception,  // fault, trap or abort found by the processor
};

// What another engine had begun to deliver when it gave the processor back.
struct UndeliveredEvent {
  InterruptSource source = InterruptSource::Hardware;  // Hardware, Nmi or Exception
  uint8_t vector = 0;
  bool has_error_code = false;
  uint32_t error_code = 0;
};

// The delivery under way. A fault that is raised meanwhile is combined with it (SDM vol. 3, 6.15, table 6-5) and has
// the EXT bit of its error code set where the first event was external to the program (SDM vol. 3, 6.13).
struct EventDelivery {
  bool active = false;
  bool external = false;
  bool exception = false;  // `vector` is an exception's; interrupts and software interrupts are benign
  uint8_t vector = 0;
};

// What the instruction that just executed did to debugging; reset by after_instruction() (cpu/system/debug.h).
struct InstructionTrace {
  bool resume_flag_loaded = false;  // IRET or a task switch loaded RF: it holds for the next instruction
  bool no_single_step = false;      // delivered an event or cleared TF by itself: no trap although TF was set
  bool general_detect = false;      // MOV DR ran into DR7.GD: its #DB is a fault that sets RF
};

}  // namespace calco::cpu
