// Hardware task switches (SDM vol. 3, chapter 7).
#pragma once

#include <cstdint>

#include "cpu/cpu.h"
#include "cpu/system/descriptors.h"

namespace calco::cpu {

enum class TaskSwitch : uint8_t { Jump, Call, Interrupt, Return };

// A TSS selector that a task gate or the back link of a nested task names, checked to be in the GDT, of the right type
// (busy only for Return) and present. Faults: #TS for Return, else #GP; #NP where not present.
Descriptor check_task_segment(Cpu& cpu, uint16_t selector, TaskSwitch kind);

// Leaves the current task for the one of `descriptor` (checked by check_task_segment). `return_address` is the EIP
// that the old task goes on at, `flags` the EFLAGS image that is saved in it. Once the old task's state is saved, what
// faults does so in the new task. When this returns RIP is the new task's and current_op is null.
void switch_task(Cpu& cpu, uint16_t selector, const Descriptor& descriptor, TaskSwitch kind, uint64_t return_address,
                 uint64_t flags);

// Raises #GP(0) where EIP of the task just switched to lies outside of its code segment.
void check_new_task_instruction_pointer(Cpu& cpu);

}  // namespace calco::cpu
