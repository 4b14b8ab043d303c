// Task management (SDM vol. 3, chapter 7): task switches by JMP, CALL, INT and IRET, directly and through gates, the
// checks of table 7-1 in their order, 16-bit tasks, and the T bit.
#include "roms/testroms/common/testrom.inc"

        .set    TASK_B, FREE
        .set    GATE, FREE + 8
        .set    GATE3, GATE | 3
        .set    TASK_16, FREE + 16
        .set    TASK_TS, FREE + 24              // tasks that handle #TS, #NP and #SS
        .set    TASK_NP, FREE + 32
        .set    TASK_SS, FREE + 40
        .set    TEST, FREE + 48
        .set    LDT, FREE + 56
        .set    STACK_16, FREE + 64             // upper halves of registers are undefined after a 16-bit switch
        .set    TASK_GATE, 0x85
        .set    TSS32, 0x89
        .set    TSS16, 0x81
        .set    BUSY, 2
        .set    VECTOR, 0x90
        .set    SAVED_EIP, 0x20
        .set    SAVED_FLAGS, 0x24
        .set    SAVED_EBX, 0x34
        .set    SAVED_ESP, 0x38
        .set    SAVED_ES, 0x48
        .set    SAVED_CS, 0x4C
        .set    SAVED_SS, 0x50
        .set    SAVED_DS, 0x54
        .set    SAVED_LDT, 0x60
        .set    TRAP_FLAG, 0x64
        .set    DR6_BT, 1 << 15

.macro CHECK_ACCESS name, selector, expected
        movzbl  gdt + (\selector) + 5, %eax
        CHECK   "\name", %eax, $(\expected)
.endm

// One task that handles a fault of the switch itself.
.macro FAULT_TASK name, vector
\name:  popl    task_fault
        orl     $((\vector) << 16), task_fault
        ljmp    $TSS, $0
        jmp     \name
.endm

// Jumps to task B after `change` to its TSS; the switch must fail in B's context with this vector and error code.
.macro SWITCH_FAULT name, vector, error, change:vararg
        call    prepare_task_b
        \change
        movl    $0xFFFFFFFF, task_fault
        ljmp    $TASK_B, $0
        CHECK   "\name", task_fault, $((\vector) << 16 | (\error))
.endm

        .text
main:
        SET_SEGMENT_AT TASK_16, tss_16, 0x2B, TSS16, 0
        SET_SEGMENT_AT TASK_TS, tss_ts, 0x67, TSS32, 0
        SET_SEGMENT_AT TASK_NP, tss_np, 0x67, TSS32, 0
        SET_SEGMENT_AT TASK_SS, tss_ss, 0x67, TSS32, 0
        SET_SEGMENT_AT LDT, ldt, 15, 0x82, 0
        call    calls
        call    jumps
        call    gates
        call    interrupts
        call    refusals
        call    returns
        call    faults_in_new_task
        call    trap_flag
        call    small_tasks
        ret

// Puts task B at its start, available.
prepare_task_b:
        SET_SEGMENT_AT TASK_B, tss_b, 0x67, TSS32, 0
        movl    $0, tss_b
        movl    $task_b, tss_b + SAVED_EIP
        movl    $FLAG_FIXED, tss_b + SAVED_FLAGS
        movl    $task_b_stack_top, tss_b + SAVED_ESP
        movl    $0xB0B0B0B0, tss_b + SAVED_EBX
        movl    $DATA, tss_b + SAVED_ES
        movl    $CODE32, tss_b + SAVED_CS
        movl    $DATA, tss_b + SAVED_SS
        movl    $DATA, tss_b + SAVED_DS
        movl    $0, tss_b + SAVED_DS + 4
        movl    $0, tss_b + SAVED_DS + 8
        movl    $0, tss_b + SAVED_LDT
        movl    $(0x68 << 16), tss_b + TRAP_FLAG
        movl    $0, b_leaves_by_jump
        movl    $0, b_runs
        ret

// Task B notes what it finds and goes back.
task_b:
        pushfl
        popl    b_flags
        movl    %ebx, b_ebx
        incl    %ebx
        str     %eax
        movl    %eax, b_task
        movzwl  tss_b, %eax
        movl    %eax, b_link
        movzbl  gdt + TSS + 5, %eax
        movl    %eax, b_access_of_a
        movzbl  gdt + TASK_B + 5, %eax
        movl    %eax, b_access_of_b
        sldt    %eax
        movl    %eax, b_ldt
        movl    %cr0, %eax
        andl    $CR0_TS, %eax
        movl    %eax, b_task_switched
        clts
        incl    b_runs
        cmpl    $0, b_leaves_by_jump
        jne     1f
        iretl
task_b_again:
        jmp     task_b
1:      ljmp    $TSS, $0
        jmp     task_b

// --- CALL and IRET (7.3, 7.4) --------------------------------------------------------------------------------------------
calls:
        call    prepare_task_b
        movl    $0xA0A0A0A0, %ebx
        pushl   $(FLAG_FIXED | FLAG_DF | FLAG_CF)
        popfl
        lcall   $TASK_B, $0
after_call:
        pushfl
        popl    %esi
        cld
        CHECK   "CALL of a TSS runs the task", b_runs, $1
        CHECK   "EBX of the new task", b_ebx, $0xB0B0B0B0
        CHECK   "EBX of the old task comes back", %ebx, $0xA0A0A0A0
        CHECK   "TR", b_task, $TASK_B
        CHECK   "the back link is the old task", b_link, $TSS
        movl    b_flags, %eax
        andl    $(FLAG_NT | FLAG_DF | FLAG_CF), %eax
        CHECK   "NT is set, other flags come from the TSS", %eax, $FLAG_NT
        CHECK   "the old task stays busy", b_access_of_a, $(TSS32 | BUSY)
        CHECK   "the new task is busy", b_access_of_b, $(TSS32 | BUSY)
        CHECK   "CR0.TS is set", b_task_switched, $CR0_TS
        andl    $(FLAG_NT | FLAG_DF | FLAG_CF), %esi
        CHECK   "flags of the old task come back", %esi, $(FLAG_DF | FLAG_CF)
        CHECK_ACCESS "IRET leaves the nested task available", TASK_B, TSS32
        CHECK_ACCESS "and the old one busy", TSS, TSS32 | BUSY
        str     %eax
        andl    $0xFFFF, %eax
        CHECK   "TR comes back", %eax, $TSS
        CHECK   "CALL saved EIP behind it", tss + SAVED_EIP, $after_call
        CHECK   "IRET saved EIP behind it", tss_b + SAVED_EIP, $task_b_again
        movl    tss_b + SAVED_FLAGS, %eax
        andl    $FLAG_NT, %eax
        CHECK   "IRET saved NT clear", %eax, $0
        CHECK   "EBX was saved", tss_b + SAVED_EBX, $0xB0B0B0B1
        movl    %cr0, %eax
        andl    $CR0_TS, %eax
        CHECK   "IRET set CR0.TS again", %eax, $CR0_TS
        clts
        lcall   $TASK_B, $0
        CHECK   "a second CALL goes on where IRET left", b_runs, $2
        CHECK   "with the registers of then", b_ebx, $0xB0B0B0B1
        clts
        // The operand's offset is ignored; the LDT is loaded with the task.
        call    prepare_task_b
        movl    $LDT, tss_b + SAVED_LDT
        movl    $0x0C, tss_b + SAVED_DS + 4     // FS from the LDT
        lcall   $TASK_B, $0xFFFFFFFF
        CHECK   "LDTR of the new task", b_ldt, $LDT
        sldt    %eax
        andl    $0xFFFF, %eax
        CHECK   "LDTR of the old task", %eax, $0
        // Local breakpoint enables are cleared, global ones stay.
        call    prepare_task_b
        movl    $buffer, %eax
        movl    %eax, %dr0
        movl    %eax, %dr1
        movl    $(0x409 | 1 << 16 | 1 << 20), %eax      // L0, G1: writes of a byte
        movl    %eax, %dr7
        lcall   $TASK_B, $0
        movl    %dr7, %eax
        andl    $0xFF, %eax
        CHECK   "a task switch clears local breakpoints only", %eax, $8
        movl    $0x400, %eax
        movl    %eax, %dr7
        clts
        ret

// --- JMP -----------------------------------------------------------------------------------------------------------------
jumps:
        call    prepare_task_b
        movl    $1, b_leaves_by_jump
        movl    $0x1234, tss_b
        ljmp    $TASK_B, $0
        CHECK   "JMP to a TSS runs the task", b_runs, $1
        movl    b_flags, %eax
        andl    $FLAG_NT, %eax
        CHECK   "JMP does not set NT", %eax, $0
        CHECK   "JMP does not write the back link", b_link, $0x1234
        CHECK   "JMP leaves the old task available", b_access_of_a, $TSS32
        CHECK   "and makes the new one busy", b_access_of_b, $(TSS32 | BUSY)
        CHECK_ACCESS "JMP back: the other task is available", TASK_B, TSS32
        CHECK_ACCESS "JMP back: this one is busy", TSS, TSS32 | BUSY
        ljmp    *task_pointer
        CHECK   "JMP through memory", b_runs, $2
        clts
        ret

// --- Task gates (7.2.5) --------------------------------------------------------------------------------------------------
gates:
        call    prepare_task_b
        SET_GATE gdt, GATE, 0, TASK_B, TASK_GATE
        lcall   $GATE, $0
        CHECK   "CALL of a task gate", b_runs, $1
        CHECK   "writes the back link", b_link, $TSS
        movl    $1, b_leaves_by_jump
        ljmp    $GATE, $0
        CHECK   "JMP to a task gate", b_runs, $2
        movl    $0, b_leaves_by_jump
        // DPL of the gate counts, that of the TSS does not.
        SET_GATE gdt, GATE, 0, TASK_B, TASK_GATE | DPL3
        call    prepare_task_b
        TRY_USER
        lcall   $GATE3, $0
        CATCH   "task gate of DPL 3 from ring 3", NO_FAULT
        CHECK   "runs the task", b_runs, $1
        SET_GATE gdt, GATE, 0, TASK_B, TASK_GATE
        TRY_USER
        lcall   $GATE3, $0
        CATCH   "task gate of DPL 0 from ring 3", GP, GATE
        TRY_USER
        lcall   $(TASK_B | 3), $0
        CATCH   "TSS of DPL 0 from ring 3", GP, TASK_B
        SET_GATE gdt, GATE, 0, TASK_B, TASK_GATE & ~0x80
        TRY
        lcall   $GATE, $0
        CATCH   "task gate not present", NP, GATE
        SET_GATE gdt, GATE, 0, 0, TASK_GATE
        TRY
        lcall   $GATE, $0
        CATCH   "task gate with a null selector", GP
        SET_GATE gdt, GATE, 0, TSS, TASK_GATE
        TRY
        lcall   $GATE, $0
        CATCH   "task gate to a busy task", GP, TSS
        SET_GATE gdt, GATE, 0, DATA, TASK_GATE
        TRY
        lcall   $GATE, $0
        CATCH   "task gate to data", GP, DATA
        SET_GATE gdt, GATE, 0, 0x0C, TASK_GATE
        TRY
        lcall   $GATE, $0
        CATCH   "task gate into the LDT", GP, 0x0C
        clts
        ret

interrupts:
        call    prepare_task_b
        SET_GATE idt, VECTOR * 8, 0, TASK_B, TASK_GATE
        int     $VECTOR
        CHECK   "INT n through a task gate", b_runs, $1
        movl    b_flags, %eax
        andl    $FLAG_NT, %eax
        CHECK   "sets NT", %eax, $FLAG_NT
        CHECK   "and the back link", b_link, $TSS
        TRY_USER
        int     $VECTOR
        CATCH   "INT n through a task gate of DPL 0 from ring 3", GP, VECTOR * 8 + 2
        SET_GATE idt, VECTOR * 8, 0, TSS, TASK_GATE
        TRY
        int     $VECTOR
        CATCH   "INT n to a busy task", GP, TSS
        SET_GATE idt, UD * 8, 0, TSS, TASK_GATE
        TRY
        ud2
        CATCH   "an exception to a busy task sets EXT", GP, TSS | 1
        SET_GATE idt, UD * 8, interrupt_stubs + UD * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        // An exception pushes its error code on the new task's stack.
        call    prepare_task_b
        movl    $error_task, tss_b + SAVED_EIP
        SET_GATE idt, GP * 8, 0, TASK_B, TASK_GATE
        movw    $0x1F0, %ax
        movw    %ax, %fs
1:      SET_GATE idt, GP * 8, interrupt_stubs + GP * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        CHECK   "error code on the new task's stack", task_error, $0x1F0
        CHECK   "which is a doubleword", b_ebx, $(task_b_stack_top - 4)
        clts
        ret

// Skips the instruction that faulted: MOV FS, AX has two bytes.
error_task:
        movl    %esp, b_ebx
        popl    task_error
        addl    $2, tss + SAVED_EIP
        iretl

// --- Refused in the old task (table 7-1, first rows) ------------------------------------------------------------------------
refusals:
        TRY
        ljmp    $TSS, $0
        CATCH   "JMP to a busy task", GP, TSS
        TRY
        lcall   $TSS, $0
        CATCH   "CALL of the running task", GP, TSS
        call    prepare_task_b
        andb    $0x7F, gdt + TASK_B + 5
        TRY
        ljmp    $TASK_B, $0
        CATCH   "TSS not present", NP, TASK_B
        call    prepare_task_b
        movw    $0x66, gdt + TASK_B
        TRY
        ljmp    $TASK_B, $0
        CATCH   "TSS too short", TS, TASK_B
        CHECK_ACCESS "is not made busy", TASK_B, TSS32
        CHECK_ACCESS "and the old task is still", TSS, TSS32 | BUSY
        TRY
        ljmp    $0x0C, $0
        CATCH   "a TSS cannot be in the LDT", GP, 0x0C
        ret

// --- IRET with NT ------------------------------------------------------------------------------------------------------------
.macro NESTED_RETURN name, link, vector, error
        movw    $(\link), tss
        TRY
        pushl   $(FLAG_FIXED | FLAG_NT)
        popfl
        iretl
        CATCH   "\name", \vector, \error
        pushl   $FLAG_FIXED
        popfl
.endm

returns:
        call    prepare_task_b
        NESTED_RETURN "IRET to a task that is not busy", TASK_B, TS, TASK_B
        NESTED_RETURN "IRET with a null back link", 0, TS, 0
        NESTED_RETURN "IRET to data", DATA, TS, DATA
        NESTED_RETURN "IRET to a selector in the LDT", 0x0C, TS, 0x0C
        NESTED_RETURN "IRET beyond the GDT", 0x1F8 + 0x100, TS, 0x1F8 + 0x100
        orb     $BUSY, gdt + TASK_B + 5
        andb    $0x7F, gdt + TASK_B + 5
        NESTED_RETURN "IRET to a TSS not present", TASK_B, NP, TASK_B
        movw    $0, tss
        ret

// --- Faults in the new task (table 7-1, last rows; 6.15, interrupt 10) ---------------------------------------------------------
faults_in_new_task:
        SET_GATE idt, TS * 8, 0, TASK_TS, TASK_GATE
        SET_GATE idt, NP * 8, 0, TASK_NP, TASK_GATE
        SET_GATE idt, SS_FAULT * 8, 0, TASK_SS, TASK_GATE
        SWITCH_FAULT "null CS", TS, 0, movl $0, tss_b + SAVED_CS
        SWITCH_FAULT "CS is data", TS, DATA, movl $DATA, tss_b + SAVED_CS
        SWITCH_FAULT "CS beyond the GDT", TS, 0x2F8, movl $0x2F8, tss_b + SAVED_CS
        SWITCH_FAULT "RPL of CS is not its DPL", TS, CODE32, movl $(CODE32 | 3), tss_b + SAVED_CS
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS & ~0x80, FLAT
        SWITCH_FAULT "CS not present", NP, TEST, movl $TEST, tss_b + SAVED_CS
        SWITCH_FAULT "null SS", TS, 0, movl $0, tss_b + SAVED_SS
        SWITCH_FAULT "SS is code", TS, CODE32, movl $CODE32, tss_b + SAVED_SS
        SWITCH_FAULT "DPL of SS is not CPL", TS, USER_DATA & ~3, movl $USER_DATA, tss_b + SAVED_SS
        SWITCH_FAULT "RPL of SS is not CPL", TS, DATA, movl $(DATA | 3), tss_b + SAVED_SS
        SET_SEGMENT TEST, 0, 0xFFFFF, DATA_ACCESS & ~0x80, FLAT
        SWITCH_FAULT "SS not present", SS_FAULT, TEST, movl $TEST, tss_b + SAVED_SS
        SWITCH_FAULT "DS not present", NP, TEST, movl $TEST, tss_b + SAVED_DS
        SWITCH_FAULT "ES is a TSS", TS, TSS, movl $TSS, tss_b + SAVED_ES
        SWITCH_FAULT "RPL of DS above its DPL", TS, DATA, movl $(DATA | 3), tss_b + SAVED_DS
        SWITCH_FAULT "LDT is data", TS, DATA, movl $DATA, tss_b + SAVED_LDT
        SWITCH_FAULT "LDT in the LDT", TS, 0x0C, movl $0x0C, tss_b + SAVED_LDT
        andb    $0x7F, gdt + LDT + 5
        SWITCH_FAULT "LDT not present", TS, LDT, movl $LDT, tss_b + SAVED_LDT
        orb     $0x80, gdt + LDT + 5
        // The fault came in the context of the new task: it is the one that was interrupted.
        movzwl  tss_ts, %eax
        CHECK   "the new task is the one that faulted", %eax, $TASK_B
        CHECK   "at its first instruction", tss_b + SAVED_EIP, $task_b
        SET_GATE idt, TS * 8, interrupt_stubs + TS * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        SET_GATE idt, NP * 8, interrupt_stubs + NP * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        SET_GATE idt, SS_FAULT * 8, interrupt_stubs + SS_FAULT * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        clts
        ret

        FAULT_TASK task_ts, TS
        FAULT_TASK task_np, NP
        FAULT_TASK task_ss, SS_FAULT

// --- T bit (17.3.1.5) ------------------------------------------------------------------------------------------------------
trap_flag:
        HOOK    DB, debug_hook
        call    prepare_task_b
        movl    $0, debug_traps
        xorl    %eax, %eax
        movl    %eax, %dr6
        movw    $1, tss_b + TRAP_FLAG
        lcall   $TASK_B, $0
        CHECK   "T raises #DB in the new task", debug_traps, $1
        CHECK   "before its first instruction", debug_ip, $task_b
        movl    debug_status, %eax
        andl    $0xE00F, %eax
        CHECK   "DR6.BT", %eax, $DR6_BT
        CHECK   "and the task runs on", b_runs, $1
        UNHOOK  DB
        clts
        ret

debug_hook:
        incl    debug_traps
        movl    FRAME_IP(%eax), %ecx
        movl    %ecx, debug_ip
        movl    %dr6, %ecx
        movl    %ecx, debug_status
        ret

// --- 16-bit TSS (7.6) ------------------------------------------------------------------------------------------------------
        .set    SAVED_IP_16, 0x0E
        .set    SAVED_BX_16, 0x18
        .set    LOW_CODE, 0x7000                // where the task's code lies, below 64 KiB

small_tasks:
        movl    $small_task, %esi
        movl    $LOW_CODE, %edi
        movl    $(small_task_end - small_task), %ecx
        rep movsb
        movl    $0, small_flags
        SET_SEGMENT STACK_16, 0, 0xFFFF, DATA_ACCESS, 0
        lcall   $TASK_16, $0
        movl    small_flags, %eax
        andl    $FLAG_NT, %eax
        CHECK   "CALL of a 16-bit TSS", %eax, $FLAG_NT
        movzwl  %bx, %eax
        movzwl  small_bx, %eax
        CHECK   "BX from the TSS", %eax, $0xBB00
        movzwl  tss_16, %eax
        CHECK   "back link", %eax, $TSS
        CHECK_ACCESS "available again", TASK_16, TSS16
        movzwl  tss_16 + SAVED_IP_16, %eax
        CHECK   "IP was saved", %eax, $(LOW_CODE + small_task_again - small_task)
        movzwl  tss_16 + SAVED_BX_16, %eax
        CHECK   "BX was saved", %eax, $0xBB01
        movw    $0x2A, gdt + TASK_16
        TRY
        lcall   $TASK_16, $0
        CATCH   "16-bit TSS too short", TS, TASK_16
        clts
        ret

small_task:
        pushfl
        popl    small_flags
        movw    %bx, small_bx
        incw    %bx
        iretl
small_task_again:
        hlt
small_task_end:

        .data
        .balign 8
ldt:    .quad   0x00CF93000000FFFF
        .quad   0x00CF93000000FFFF
task_pointer:
        .long   0
        .word   TASK_B
        .word   0
        .balign 4
.macro FAULT_TSS name, entry, stack
\name:  .long   0, 0, 0, 0, 0, 0, 0, 0
        .long   \entry, FLAG_FIXED
        .long   0, 0, 0, 0, \stack, 0, 0, 0
        .long   DATA, CODE32, DATA, DATA, 0, 0
        .long   0
        .word   0, 0x68
.endm
        FAULT_TSS tss_ts, task_ts, task_ts_stack_top
        FAULT_TSS tss_np, task_np, task_np_stack_top
        FAULT_TSS tss_ss, task_ss, task_ss_stack_top
tss_b:  .fill   26, 4, 0
tss_16: .word   0
        .word   0, 0, 0, 0, 0, 0
        .word   LOW_CODE, FLAG_FIXED
        .word   0, 0, 0, 0xBB00, 0x6FF0, 0, 0, 0
        .word   DATA, CODE32, STACK_16, DATA
        .word   0

        .bss
        .balign 16
        .skip   0x1000
task_b_stack_top:
        .skip   0x400
task_ts_stack_top:
        .skip   0x400
task_np_stack_top:
        .skip   0x400
task_ss_stack_top:
buffer:                 .skip 16
b_runs:                 .skip 4
b_flags:                .skip 4
b_ebx:                  .skip 4
b_task:                 .skip 4
b_link:                 .skip 4
b_access_of_a:          .skip 4
b_access_of_b:          .skip 4
b_ldt:                  .skip 4
b_task_switched:        .skip 4
b_leaves_by_jump:       .skip 4
task_fault:             .skip 4
task_error:             .skip 4
debug_traps:            .skip 4
debug_ip:               .skip 4
debug_status:           .skip 4
small_flags:            .skip 4
small_bx:               .skip 4
