// Virtual-8086 mode (SDM vol. 3, chapter 20; without CR4.VME): entry by IRET, segments, instructions that are sensitive to
// IOPL, interrupts and exceptions to ring 0.
#include "roms/testroms/common/testrom.inc"

        .set    V86_SEGMENT, 0x0900             // code, data and stack of the 8086 program: linear 0x9000
        .set    V86_BASE, V86_SEGMENT << 4
        .set    V86_STACK, 0xF000
        .set    VECTOR, 0x90
        .set    SOME_PORT, 0x80
        .set    FLAG_AC_ID, 1 << 18 | 1 << 21

// Copies the code between this and V86_CATCH to the 8086 segment and runs it there; flags are fixed bits, VM and `flags`.
.macro V86_TRY flags=0
        call    copy_8086_code
        TRY
        pushl   $V86_SEGMENT                    // GS, FS, DS, ES
        pushl   $V86_SEGMENT
        pushl   $V86_SEGMENT
        pushl   $V86_SEGMENT
        pushl   $V86_SEGMENT
        pushl   $V86_STACK
        pushl   $(FLAG_FIXED | FLAG_VM | (\flags))
        pushl   $V86_SEGMENT
        pushl   $0
        iretl
        .code16
66:
.endm

// The 8086 code ends in INT 0x80 with IOPL 3 or in a fault.
.macro V86_CATCH name, vector, error=0
        int     $NO_FAULT
        .code32
77:     CHECK   "\name", fault_code, $((\vector) << 16 | (\error))
.endm

// One instruction.
.macro V86_CHECK name, flags, vector, instruction:vararg
        movl    $66f, copy_from
        V86_TRY \flags
        \instruction
        V86_CATCH "\name", \vector
.endm

        .text
main:
        call    entry
        call    addresses
        call    sensitive
        call    not_recognized
        call    input_output
        call    interrupts
        call    returns
        call    exceptions
        ret

// Copies 256 bytes from where copy_from says.
copy_8086_code:
        pushal
        movl    copy_from, %esi
        movl    $V86_BASE, %edi
        movl    $256, %ecx
        rep movsb
        popal
        ret

// --- Entry (20.2.3) ------------------------------------------------------------------------------------------------------------
entry:
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        movw    %cs, %ax
        movw    %ds, %bx
        movw    %ss, %cx
        movw    %fs, %dx
        movl    %esp, %ebp
        V86_CATCH "8086 code ran", NO_FAULT
        CHECK   "CS in the frame", fault_cs, $V86_SEGMENT
        CHECK   "SS in the frame", fault_ss, $V86_SEGMENT
        CHECK   "ESP in the frame", fault_sp, $V86_STACK
        movl    fault_flags, %eax
        andl    $(FLAG_VM | FLAG_IOPL3), %eax
        CHECK   "flags in the frame", %eax, $(FLAG_VM | FLAG_IOPL3)
        movl    fault_frame, %eax
        CHECK   "frame of nine doublewords on the ring 0 stack", %eax, $(interrupt_stack_top - FRAME_SS - 4 - 16)
        movl    FRAME_SS + 4(%eax), %ecx
        CHECK   "ES in the frame", %ecx, $V86_SEGMENT
        movl    FRAME_SS + 8(%eax), %ecx
        CHECK   "DS in the frame", %ecx, $V86_SEGMENT
        movl    FRAME_SS + 12(%eax), %ecx
        CHECK   "FS in the frame", %ecx, $V86_SEGMENT
        movl    FRAME_SS + 16(%eax), %ecx
        CHECK   "GS in the frame", %ecx, $V86_SEGMENT
        // The handler's data segments are null (20.3.1); handle_interrupt keeps DS and ES below the registers.
        movl    fault_frame, %eax
        movzwl  4(%eax), %ecx
        CHECK   "DS is null in the handler", %ecx, $0
        movzwl  (%eax), %ecx
        CHECK   "ES is null in the handler", %ecx, $0
        HOOK    VECTOR, note_segments
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        movw    $0x1234, %ax
        movw    %ax, %fs
        int     $VECTOR
        movw    %fs, %bx
        movzwl  %bx, %ebx
        V86_CATCH "INT n and back", NO_FAULT
        CHECK   "FS is null in the handler", noted_fs, $0
        CHECK   "GS is null in the handler", noted_gs, $0
        CHECK   "FS comes back", %ebx, $0x1234
        UNHOOK  VECTOR
        ret

note_segments:
        movw    %fs, noted_fs
        movw    %gs, noted_gs
        ret

// --- Addresses (20.1.1) ---------------------------------------------------------------------------------------------------------
addresses:
        movl    $0x13572468, V86_BASE + 0x1000
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        movl    0x1000, %ebx
        V86_CATCH "a segment is a paragraph", NO_FAULT
        CHECK   "base is selector times 16", %ebx, $0x13572468
        V86_CHECK "word at offset 0xFFFF", FLAG_IOPL3, GP, movw 0xFFFF, %ax
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        movl    $0x10000, %ebx
        movb    (%ebx), %al
        V86_CATCH "offset above 64 KiB", GP
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        movw    $0xFFFF, %ax
        movw    %ax, %es
        movb    %es:0x10, %bl
        V86_CATCH "linear addresses up to 0x10FFEF", NO_FAULT
        movl    0x100000, %eax
        movzbl  %al, %eax
        movzbl  %bl, %ebx
        CHECK   "no wrap at 1 MiB", %ebx, %eax
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        movw    $1, %sp
        pushw   %ax
        V86_CATCH "push at SP 1", SS_FAULT
        ret

// --- Sensitive to IOPL (20.2.7) --------------------------------------------------------------------------------------------------
sensitive:
        V86_CHECK "CLI with IOPL 0", 0, GP, cli
        V86_CHECK "STI with IOPL 0", 0, GP, sti
        V86_CHECK "PUSHF with IOPL 0", 0, GP, pushfw
        V86_CHECK "POPF with IOPL 0", 0, GP, popfw
        V86_CHECK "IRET with IOPL 0", 0, GP, iretw
        V86_CHECK "INT n with IOPL 0", 0, GP, int $VECTOR
        V86_CHECK "INT3 is not sensitive", 0, BP_TRAP, int3
        V86_CHECK "CLI with IOPL 3", FLAG_IOPL3, NO_FAULT, cli
        V86_CHECK "STI with IOPL 3", FLAG_IOPL3, NO_FAULT, sti
        V86_CHECK "PUSHF with IOPL 3", FLAG_IOPL3, NO_FAULT, pushfw
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        pushfl
        popl    %ebx
        pushl   $FLAG_FIXED
        popfl
        V86_CATCH "PUSHFD and POPFD", NO_FAULT
        andl    $(FLAG_VM | FLAG_RF), %ebx
        CHECK   "PUSHFD does not show VM and RF", %ebx, $0
        movl    fault_flags, %eax
        andl    $(FLAG_VM | FLAG_IOPL3), %eax
        CHECK   "POPFD changes neither VM nor IOPL", %eax, $(FLAG_VM | FLAG_IOPL3)
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        pushw   $(FLAG_FIXED | FLAG_IF)
        popfw
        V86_CATCH "POPF with IOPL 3", NO_FAULT
        movl    fault_flags, %eax
        andl    $(FLAG_IF | FLAG_IOPL3), %eax
        CHECK   "changes IF but not IOPL", %eax, $(FLAG_IF | FLAG_IOPL3)
        ret

// --- Not recognized, privileged (20.2.6, 2.8) -------------------------------------------------------------------------------------
not_recognized:
        V86_CHECK "LAR", FLAG_IOPL3, UD, lar %ax, %bx
        V86_CHECK "VERR", FLAG_IOPL3, UD, verr %ax
        V86_CHECK "ARPL", FLAG_IOPL3, UD, arpl %ax, %bx
        V86_CHECK "SLDT", FLAG_IOPL3, UD, sldtw %ax
        V86_CHECK "STR", FLAG_IOPL3, UD, strw %ax
        V86_CHECK "LLDT", FLAG_IOPL3, UD, lldt %ax
        V86_CHECK "LGDT", FLAG_IOPL3, GP, lgdtw 0x1000
        V86_CHECK "LMSW", FLAG_IOPL3, GP, lmsw %ax
        V86_CHECK "SMSW", FLAG_IOPL3, NO_FAULT, smsww %ax
        V86_CHECK "CLTS", FLAG_IOPL3, GP, clts
        V86_CHECK "HLT", FLAG_IOPL3, GP, hlt
        V86_CHECK "MOV from CR0", FLAG_IOPL3, GP, movl %cr0, %eax
        V86_CHECK "RDMSR", FLAG_IOPL3, GP, rdmsr
        V86_CHECK "WBINVD", FLAG_IOPL3, GP, wbinvd
        V86_CHECK "SYSEXIT", FLAG_IOPL3, GP, sysexit
        ret

// --- Ports (20.2.8): the bitmap counts, IOPL does not ----------------------------------------------------------------------------
input_output:
        V86_CHECK "port closed in the bitmap, IOPL 3", FLAG_IOPL3, GP, outb %al, $SOME_PORT
        andb    $~1, tss_io_map + SOME_PORT / 8
        V86_CHECK "port open in the bitmap", FLAG_IOPL3, NO_FAULT, outb %al, $SOME_PORT
        V86_CHECK "word over a closed port", FLAG_IOPL3, GP, outw %ax, $SOME_PORT
        movb    $0xFF, tss_io_map + SOME_PORT / 8
        ret

// --- Interrupts (20.3) -----------------------------------------------------------------------------------------------------------
interrupts:
        V86_CHECK "INT n with IOPL 3", FLAG_IOPL3, VECTOR, int $VECTOR
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, CODE32, INTERRUPT_GATE
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        int     $VECTOR
        V86_CATCH "INT n through a gate of DPL 0", GP, VECTOR * 8 + 2
        // The handler must be in ring 0.
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, USER_CODE32, INTERRUPT_GATE | DPL3
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        int     $VECTOR
        V86_CATCH "INT n to a handler in ring 3", GP, USER_CODE32 & ~3
        SET_SEGMENT FREE, 0, 0xFFFFF, CODE_ACCESS | 4, FLAT
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, FREE, INTERRUPT_GATE | DPL3
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        int     $VECTOR
        V86_CATCH "INT n to a conforming handler", GP, FREE
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        V86_CHECK "INTO with IOPL 3", FLAG_IOPL3, NO_FAULT, into
        ret

// --- IRET in 8086 code ---------------------------------------------------------------------------------------------------------
returns:
        movw    $0x0B0F, V86_BASE + 0x10 + 0x2000       // UD2
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3
        pushw   $(FLAG_FIXED | FLAG_CF)
        pushw   $V86_SEGMENT + 1
        pushw   $0x2000
        iretw
        V86_CATCH "IRET in 8086 code", UD
        CHECK   "goes where the stack said: CS", fault_cs, $(V86_SEGMENT + 1)
        CHECK   "IP", fault_ip, $0x2000
        movl    fault_flags, %eax
        andl    $(FLAG_CF | FLAG_VM | FLAG_IOPL3), %eax
        CHECK   "flags", %eax, $(FLAG_CF | FLAG_VM | FLAG_IOPL3)
        ret

// --- Exceptions -----------------------------------------------------------------------------------------------------------------
exceptions:
        movl    $66f, copy_from
        V86_TRY 0
        xorw    %cx, %cx
        divw    %cx
        V86_CATCH "#DE in 8086 code", DE
        CHECK   "IP of the instruction", fault_ip, $2
        V86_CHECK "#UD in 8086 code", 0, UD, ud2
        movl    $66f, copy_from
        V86_TRY 0
        .fill   15, 1, 0x26
        nop
        V86_CATCH "instruction of 16 bytes", GP
        // Single step: TF in the image.
        HOOK    DB, step_hook
        movl    $0, steps
        movl    $66f, copy_from
        V86_TRY FLAG_IOPL3 | FLAG_TF
        nop
        nop
        nop
        V86_CATCH "single step in 8086 code", NO_FAULT
        CHECK   "one trap an instruction", steps, $3
        UNHOOK  DB
        ret

step_hook:
        incl    steps
        ret

        .data
        .balign 4
copy_from:      .long 0

        .bss
noted_fs:       .skip 4
noted_gs:       .skip 4
steps:          .skip 4
