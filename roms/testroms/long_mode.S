// 64-bit mode and compatibility mode: interrupts, fast system calls, bases, control registers, debugging, NMIs
// (SDM vol. 3, chapters 2, 5, 6 and 17; vol. 2 for SYSCALL and its relatives).
#define LONG_MODE
#include "roms/testroms/common/testrom.inc"

        .set    MSR_STAR, 0xC0000081
        .set    MSR_LSTAR, 0xC0000082
        .set    MSR_CSTAR, 0xC0000083
        .set    MSR_FMASK, 0xC0000084
        .set    MSR_FS_BASE, 0xC0000100
        .set    MSR_GS_BASE, 0xC0000101
        .set    MSR_KERNEL_GS_BASE, 0xC0000102
        .set    MSR_SYSENTER_CS, 0x174
        .set    MSR_SYSENTER_ESP, 0x175
        .set    MSR_SYSENTER_EIP, 0x176

        .set    APIC_ID, 0x20
        .set    APIC_TPR, 0x80
        .set    APIC_EOI, 0xB0
        .set    APIC_SPURIOUS, 0xF0
        .set    APIC_ICR_LOW, 0x300
        .set    APIC_ICR_HIGH, 0x310
        .set    ICR_NMI, 4 << 8
        .set    ICR_ASSERT, 1 << 14
        .set    ICR_SELF, 1 << 18

        .set    VECTOR, 0x90
        .set    VECTOR_ERROR, VECTOR * 8 + 2
        .set    IRQ_VECTOR, 0x51
        .set    TEST, FREE
        .set    GATE, FREE + 8                  // 16 bytes
        .set    GATE3, GATE | 3

// A 64-bit immediate of which only bit 47 is set: the lowest address that is not canonical.
.macro NON_CANONICAL register
        movabsq $0x0000800000000000, %\register
.endm

        .text
main:
        call    interrupt_frames
        call    interrupt_stacks
        call    interrupt_gate_errors
        call    interrupt_returns
        call    instructions_gone
        call    system_calls
        call    system_enter
        call    far_calls
        call    segment_bases
        call    addresses
        call    breakpoints
        call    single_step
        call    interrupt_shadows
        call    non_maskable_interrupts
        call    double_fault
        call    system_segments
        call    wide_operands
        call    model_specific_registers
        call    control_registers               // last, as QEMU's TCG accepts what breaks it
        ret

#include "roms/testroms/long_mode/interrupts.inc"
#include "roms/testroms/long_mode/instructions_gone.inc"
#include "roms/testroms/long_mode/transfers.inc"
#include "roms/testroms/long_mode/registers_and_addresses.inc"
#include "roms/testroms/long_mode/debugging.inc"
#include "roms/testroms/long_mode/interrupts_held_back.inc"
#include "roms/testroms/long_mode/system_segments.inc"
#include "roms/testroms/long_mode/operands.inc"

        .data
        .balign 8
words:  .quad   0, 0x1111, 0x2222, 0
short_idt_pointer:
        .word   0xFF * 16 + 14
        .long   idt, 0
compatibility_pointer:
        .long   compatibility_code
        .word   CODE32

        .bss
        .balign 0x1000
page:   .skip   0x2000
buffer: .skip   64
noted_ss:               .skip 8
noted_cs:               .skip 8
noted_ip:               .skip 8
noted_rcx:              .skip 8
noted_r11:              .skip 8
noted_rsp:              .skip 8
noted_flags:            .skip 8
noted_frame:            .skip 32
steps:                  .skip 8
step_first:             .skip 8
step_second:            .skip 8
step_third:             .skip 8
interrupts:             .skip 8
interrupts_inside:      .skip 8
interrupt_ip:           .skip 8
