// Segmentation, protection, gates and the exceptions of protected mode (SDM vol. 3, chapters 3, 5 and 6).
#include "roms/testroms/common/testrom.inc"

        .set    TEST, FREE                      // the descriptor under test
        .set    TEST2, FREE + 8
        .set    GATE, FREE + 16
        .set    GATE3, GATE | 3
        .set    STACK3, FREE + 24
        .set    USER_AT, FREE + 32              // user code with a base
        .set    KERNEL_AT, FREE + 40            // kernel code with a base
        .set    LDT, FREE + 48
        .set    FAULT_TASK, FREE + 56
        .set    BUFFER_SIZE, 0x3000

// Loads a data segment register in ring 0 and expects an outcome.
.macro LOAD_CHECK name, register, selector, vector=NO_FAULT, error=0
        TRY
        movw    $(\selector), %ax
        movw    %ax, %\register
        CATCH   "\name", \vector, \error
        movw    $DATA, %ax
        movw    %ax, %ds
        movw    %ax, %es
.endm

        .text
main:
        call    segment_loads
        call    segment_limits
        call    segment_types
        call    direct_transfers
        call    call_gates
        call    far_returns
        call    selector_instructions
        call    input_output_privilege
        call    privileged_instructions
        call    interrupt_gates
        call    software_exceptions
        call    alignment_check
        call    double_fault
        call    paging_without_protection
        ret

#include "roms/testroms/protected_mode/segments.inc"
#include "roms/testroms/protected_mode/transfers.inc"
#include "roms/testroms/protected_mode/privileges.inc"
#include "roms/testroms/protected_mode/exceptions.inc"

        .data
        .balign 8
ldt:    .quad   0x00CF93000000FFFF
        .quad   0x00CF93000000FFFF
not_present_pointer:
        .long   0
        .word   TEST
        .word   0
short_idt_pointer:
        .word   0xFF * 8 + 6
        .long   idt
        .balign 8
bounds: .long   0, 10
fault_tss:
        .long   0                               // back link
        .long   0, 0, 0, 0, 0, 0
fault_tss_cr3:
        .long   0
        .long   fault_task_start, FLAG_FIXED
        .long   0, 0, 0, 0, ist_stack_top, 0, 0, 0
        .long   DATA, CODE32, DATA, DATA, 0, 0
        .long   0                               // LDT
        .word   0, 0x68

        .bss
        .balign 0x1000
buffer: .skip   BUFFER_SIZE
        .skip   0x10000                         // what expand-down segments reach
        .skip   0x1000
ist_stack_top:
gate_stack:             .skip   4
gate_code:              .skip   4
gate_stack_segment:     .skip   4
gate_frame:             .skip   24
user_stack_after:       .skip   4
user_code_after:        .skip   4
bad_stack_error:        .skip   4
noted_flags:            .skip   4
double_faults:          .skip   4
double_fault_error:     .skip   4
double_fault_resume:    .skip   4
double_fault_stack:     .skip   4
