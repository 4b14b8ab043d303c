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

// --- 5.4, 3.4.5: loading segment registers -------------------------------------------------------------------------------
segment_loads:
        xorw    %ax, %ax
        lldt    %ax                             // after reset LDTR is present at address 0
        LOAD_CHECK "null selector into DS", ds, 0
        LOAD_CHECK "null selector with RPL 3 into DS", ds, 3
        TRY
        movw    $0, %ax
        movw    %ax, %es
        movb    %es:buffer, %al
        CATCH   "read through a null segment", GP
        movw    $DATA, %ax
        movw    %ax, %es
        LOAD_CHECK "null selector into SS", ss, 0, GP, 0
        LOAD_CHECK "selector beyond the GDT", ds, GDT_LIMIT + 1, GP, GDT_LIMIT + 1
        LOAD_CHECK "selector beyond the GDT keeps RPL out of the error code", ds, 0xFFFB, GP, 0xFFF8
        LOAD_CHECK "LDT selector without an LDT", ds, 0x0C, GP, 0x0C
        TRY
        movw    $CODE32, %ax
        .byte   0x8E, 0xC8                      // MOV CS, AX
        CATCH   "MOV to CS", UD

        SET_SEGMENT TEST, 0, 0xFFFFF, DATA_ACCESS & ~0x80, FLAT
        LOAD_CHECK "data segment not present", ds, TEST, NP, TEST
        LOAD_CHECK "stack segment not present", ss, TEST, SS_FAULT, TEST
        TRY
        lfs     not_present_pointer, %ebx
        CATCH   "LFS of a segment not present", NP, TEST

        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS & ~2, FLAT
        LOAD_CHECK "execute-only code into DS", ds, TEST, GP, TEST
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS, FLAT
        LOAD_CHECK "readable code into DS", ds, TEST
        LOAD_CHECK "code into SS", ss, TEST, GP, TEST
        SET_SEGMENT TEST, 0, 0xFFFFF, DATA_ACCESS & ~2, FLAT
        LOAD_CHECK "read-only data into DS", ds, TEST
        LOAD_CHECK "read-only data into SS", ss, TEST, GP, TEST
        LOAD_CHECK "task state segment into DS", ds, TSS, GP, TSS
        LOAD_CHECK "RPL 3 for data of DPL 0", ds, DATA | 3, GP, DATA
        LOAD_CHECK "data of DPL 3 into DS in ring 0", ds, USER_DATA
        LOAD_CHECK "data of DPL 3 into SS in ring 0", ss, USER_DATA, GP, USER_DATA & ~3
        LOAD_CHECK "RPL 3 into SS in ring 0", ss, DATA | 3, GP, DATA
        TRY_USER
        movw    $DATA, %ax
        movw    %ax, %fs
        CATCH   "data of DPL 0 in ring 3", GP, DATA
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS | 4, FLAT
        TRY_USER
        movw    $(TEST | 3), %ax
        movw    %ax, %fs
        CATCH   "conforming readable code of DPL 0 into FS in ring 3", NO_FAULT
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS, FLAT
        TRY_USER
        movw    $(TEST | 3), %ax
        movw    %ax, %fs
        CATCH   "readable code of DPL 0 into FS in ring 3", GP, TEST

        SET_SEGMENT TEST, 0, 0xFFFFF, DATA_ACCESS & ~1, FLAT
        movw    $TEST, %ax
        movw    %ax, %fs
        movzbl  gdt + TEST + 5, %eax
        CHECK   "a load sets the accessed bit", %eax, $DATA_ACCESS

        // The local descriptor table.
        SET_SEGMENT_AT LDT, ldt, 15, 0x82, 0
        TRY
        movw    $LDT, %ax
        lldt    %ax
        CATCH   "LLDT", NO_FAULT
        LOAD_CHECK "a segment of the LDT", ds, 0x0C
        LOAD_CHECK "selector beyond the LDT", ds, 0x14, GP, 0x14
        LOAD_CHECK "entry 0 of the LDT is not null", ds, 0x04
        TRY
        movw    $DATA, %ax
        lldt    %ax
        CATCH   "LLDT of a data segment", GP, DATA
        SET_SEGMENT_AT LDT, ldt, 15, 0x02, 0
        TRY
        movw    $LDT, %ax
        lldt    %ax
        CATCH   "LLDT of an LDT not present", NP, LDT
        TRY
        movw    $0x0C, %ax
        lldt    %ax
        CATCH   "LLDT of a selector in the LDT", GP, 0x0C
        TRY
        movw    $TSS, %ax
        ltr     %ax
        CATCH   "LTR of a busy TSS", GP, TSS
        TRY
        xorw    %ax, %ax
        ltr     %ax
        CATCH   "LTR of a null selector", GP    // QEMU's TCG accepts it
        movb    $0x89, gdt + TSS + 5
        movw    $TSS, %ax
        ltr     %ax
        xorw    %ax, %ax
        lldt    %ax
        LOAD_CHECK "a null LDTR takes the LDT away", ds, 0x0C, GP, 0x0C
        movzbl  gdt + TSS + 5, %eax
        CHECK   "LTR left the TSS busy", %eax, $0x8B
        ret

// --- 5.3: limits ---------------------------------------------------------------------------------------------------------
.macro LIMIT_CHECK name, offset, vector=NO_FAULT, operation=movb, register=al
        TRY
        movw    $TEST, %ax
        movw    %ax, %fs
        movl    $(\offset), %ebx
        \operation %fs:(%ebx), %\register
        CATCH   "\name", \vector
.endm

segment_limits:
        SET_SEGMENT_AT TEST, buffer, 0xFFF, DATA_ACCESS, FLAG_BIG
        LIMIT_CHECK "byte at the limit", 0xFFF
        LIMIT_CHECK "byte behind the limit", 0x1000, GP
        LIMIT_CHECK "word over the limit", 0xFFF, GP, movw, ax
        LIMIT_CHECK "doubleword that ends at the limit", 0xFFC, NO_FAULT, movl, eax
        LIMIT_CHECK "doubleword over the limit", 0xFFD, GP, movl, eax
        LIMIT_CHECK "doubleword that wraps at 4 GiB", 0xFFFFFFFE, GP, movl, eax
        SET_SEGMENT_AT TEST, buffer, 0, DATA_ACCESS, FLAG_BIG
        LIMIT_CHECK "limit 0 holds one byte", 0
        LIMIT_CHECK "limit 0 ends behind it", 1, GP
        SET_SEGMENT_AT TEST, buffer, 0, DATA_ACCESS, FLAG_BIG | FLAG_GRANULAR
        LIMIT_CHECK "limit 0 in pages reaches 0xFFF", 0xFFF
        LIMIT_CHECK "limit 0 in pages ends there", 0x1000, GP
        // Expand-down: valid are the offsets above the limit.
        SET_SEGMENT_AT TEST, buffer, 0xFFF, DATA_ACCESS | 4, 0
        LIMIT_CHECK "expand-down: at the limit", 0xFFF, GP
        LIMIT_CHECK "expand-down: above the limit", 0x1000
        LIMIT_CHECK "expand-down: word from the limit", 0xFFF, GP, movw, ax
        LIMIT_CHECK "expand-down, B = 0: last byte", 0xFFFF
        LIMIT_CHECK "expand-down, B = 0: behind 64 KiB", 0x10000, GP
        LIMIT_CHECK "expand-down, B = 0: word over 64 KiB", 0xFFFF, GP, movw, ax
        SET_SEGMENT_AT TEST, buffer, 0xFFF, DATA_ACCESS | 4, FLAG_BIG
        LIMIT_CHECK "expand-down, B = 1: behind 64 KiB", 0x10000
        LIMIT_CHECK "expand-down, B = 1: still nothing below", 0, GP
        SET_SEGMENT_AT TEST, buffer, 0, DATA_ACCESS | 4, FLAG_BIG | FLAG_GRANULAR
        LIMIT_CHECK "expand-down in pages: at the limit", 0xFFF, GP
        LIMIT_CHECK "expand-down in pages: above the limit", 0x1000

        // A fault leaves the operands: nothing of a doubleword over the limit is stored.
        SET_SEGMENT_AT TEST, buffer, 0xFFF, DATA_ACCESS, FLAG_BIG
        movl    $0, buffer + 0xFFC
        movl    $0, buffer + 0x1000
        TRY
        movw    $TEST, %ax
        movw    %ax, %fs
        movl    $-1, %fs:0xFFE
        CATCH   "store over the limit", GP
        CHECK   "store over the limit stores nothing", buffer + 0xFFC, $0

        // 6.15: stack accesses raise #SS, with BP and SP as base as well.
        SET_SEGMENT_AT STACK3, buffer, 0xFFF, DATA_ACCESS | DPL3, FLAG_BIG
        TRY_USER
        movw    $(STACK3 | 3), %ax
        movw    %ax, %ss
        movl    $0x1000, %ebp
        movb    (%ebp), %al
        CATCH   "read by EBP behind the stack's limit", SS_FAULT
        TRY_USER
        movw    $(STACK3 | 3), %ax
        movw    %ax, %ss
        movl    $0x2000, %esp
        pushl   %eax
        CATCH   "push behind the stack's limit", SS_FAULT
        CHECK   "a push that faults leaves ESP", fault_sp, $0x2000
        TRY_USER
        movw    $(STACK3 | 3), %ax
        movw    %ax, %ss
        movl    $0xFFE, %esp
        popl    %eax
        CATCH   "pop over the stack's limit", SS_FAULT
        TRY_USER
        movw    $(STACK3 | 3), %ax
        movw    %ax, %ss
        movl    $0x2000, %esp
        call    *%eax
        CATCH   "call with a stack behind the limit", SS_FAULT
        SET_SEGMENT_AT STACK3, buffer, 0xFFF, DATA_ACCESS | DPL3, 0
        TRY_USER
        movw    $(STACK3 | 3), %ax
        movw    %ax, %ss
        movl    $0xABCD0010, %esp
        pushl   $0x12345678
        CATCH   "push on a 16-bit stack uses SP", NO_FAULT
        CHECK   "and stores there", buffer + 12, $0x12345678
        CHECK   "and keeps the upper half of ESP", fault_sp, $0xABCD000C
        TRY_USER
        movw    $(STACK3 | 3), %ax
        movw    %ax, %ss
        movl    $2, %esp
        pushl   $0x12345678
        CATCH   "push over offset 0 of a 16-bit stack", SS_FAULT
        ret

// --- 5.5, 3.4.5.1: types -------------------------------------------------------------------------------------------------
segment_types:
        SET_SEGMENT TEST, 0, 0xFFFFF, DATA_ACCESS & ~2, FLAT
        TRY
        movw    $TEST, %ax
        movw    %ax, %fs
        movb    $1, %fs:buffer
        CATCH   "write to read-only data", GP
        TRY
        movw    $TEST, %ax
        movw    %ax, %fs
        lock xaddl %eax, %fs:buffer
        CATCH   "read-modify-write of read-only data", GP
        TRY
        movl    buffer, %eax
        notl    %eax
        movw    $TEST, %cx
        movw    %cx, %fs
        cmpxchgl %ecx, %fs:buffer
        CATCH   "CMPXCHG that differs on read-only data", GP
        TRY
        movb    $1, %cs:buffer
        CATCH   "write to a code segment", GP
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS & ~2, FLAT
        TRY
        ljmp    $TEST, $1f
1:      nop
        movb    %cs:buffer, %al
        CATCH   "read from execute-only code", GP
        CHECK   "the read was from execute-only code", fault_cs, $TEST
        ljmp    $CODE32, $1f
1:      ret

// --- 5.8.1: direct far transfers -----------------------------------------------------------------------------------------
.macro JUMP_CHECK name, selector, vector=NO_FAULT, error=0
        TRY
        ljmp    $(\selector), $66f
66:     CATCH   "\name", \vector, \error
        ljmp    $CODE32, $66f
66:
.endm
.macro USER_JUMP_CHECK name, selector, vector=NO_FAULT, error=0
        TRY_USER
        ljmp    $(\selector), $66f
66:     CATCH   "\name", \vector, \error
.endm

direct_transfers:
        JUMP_CHECK "jump to a null selector", 0, GP
        JUMP_CHECK "jump beyond the GDT", 0x3F8, GP, 0x3F8
        JUMP_CHECK "jump to data", DATA, GP, DATA
        JUMP_CHECK "jump to code of DPL 3 from ring 0", USER_CODE32, GP, USER_CODE32 & ~3
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS & ~0x80, FLAT
        JUMP_CHECK "jump to code not present", TEST, NP, TEST
        SET_SEGMENT TEST, 0, 0xFFF, CODE_ACCESS, FLAG_BIG
        JUMP_CHECK "jump behind the limit", TEST, GP
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS | 4, FLAT
        USER_JUMP_CHECK "jump to conforming code of DPL 0 from ring 3", TEST | 3
        CHECK   "conforming code keeps CPL 3", fault_cs, $(TEST | 3)
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS | 4 | DPL3, FLAT
        JUMP_CHECK "jump to conforming code of DPL 3 from ring 0", TEST, GP, TEST
        USER_JUMP_CHECK "jump to code of DPL 0 from ring 3", CODE32, GP, CODE32
        USER_JUMP_CHECK "RPL 0 for code of DPL 3 from ring 3", USER_CODE32 & ~3
        CHECK   "CS gets CPL as RPL", fault_cs, $USER_CODE32
        TRY
        lcall   $CODE32, $1f
1:      popl    %eax
        popl    %ecx
        CATCH   "far call in ring 0", NO_FAULT
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS & ~1, FLAT
        JUMP_CHECK "jump to a segment not accessed yet", TEST
        movzbl  gdt + TEST + 5, %eax
        CHECK   "a jump sets the accessed bit", %eax, $CODE_ACCESS
        // A call to a code segment whose EIP lies behind the limit faults before it pushes.
        SET_SEGMENT TEST, 0, 0xFFF, CODE_ACCESS, FLAG_BIG
        TRY
        movl    %esp, %esi
        lcall   $TEST, $0x1000
        CATCH   "far call behind the limit", GP
        ret

// --- 5.8.3-5.8.5: call gates ---------------------------------------------------------------------------------------------
        .set    CALL_GATE32, 0x8C
        .set    CALL_GATE16, 0x84

.macro SET_CALL_GATE target, selector, access, parameters=0
        SET_GATE gdt, GATE, \target, \selector, \access, \parameters
.endm

// Calls GATE from ring 3.
.macro GATE_CHECK name, vector=NO_FAULT, error=0
        TRY_USER
        lcall   $GATE3, $0x12345678
        CATCH   "\name", \vector, \error
.endm

gate_target:
        movl    %esp, gate_stack
        movw    %cs, gate_code
        movw    %ss, gate_stack_segment
        movl    (%esp), %eax
        movl    %eax, gate_frame
        movl    4(%esp), %eax
        movl    %eax, gate_frame + 4
        movl    8(%esp), %eax
        movl    %eax, gate_frame + 8
        movl    12(%esp), %eax
        movl    %eax, gate_frame + 12
        movl    16(%esp), %eax
        movl    %eax, gate_frame + 16
        movl    20(%esp), %eax
        movl    %eax, gate_frame + 20
        lret    $8
gate_target_plain:
        movl    %esp, gate_stack
        lret

call_gates:
        SET_CALL_GATE gate_target, CODE32, CALL_GATE32 | DPL3, 2
        TRY_USER
        movw    %ss, %bx
        pushl   $0x11111111
        pushl   $0x22222222
        movl    %esp, %esi
        lcall   $GATE3, $0x12345678
1:      movl    %esp, user_stack_after
        movl    %cs, %ebx
        movl    %ebx, user_code_after
        CATCH   "call gate from ring 3 with two parameters", NO_FAULT
        CHECK   "the gate's code runs with CPL 0", gate_code, $CODE32
        CHECK   "on the stack of the TSS", gate_stack_segment, $DATA
        CHECK   "frame of six doublewords", gate_stack, $(interrupt_stack_top - 24)
        CHECK   "return EIP", gate_frame, $1b
        CHECK   "return CS", gate_frame + 4, $USER_CODE32
        CHECK   "last parameter", gate_frame + 8, $0x22222222
        CHECK   "first parameter", gate_frame + 12, $0x11111111
        CHECK   "caller's ESP", gate_frame + 16, $(user_stack_top - 8)
        CHECK   "caller's SS", gate_frame + 20, $USER_DATA
        CHECK   "RET n releases the parameters on both stacks", user_stack_after, $user_stack_top
        CHECK   "back in ring 3", user_code_after, $USER_CODE32

        SET_CALL_GATE gate_target_plain, CODE32, CALL_GATE32 | DPL3, 2
        TRY
        movl    %esp, %esi
        lcall   $GATE, $0
        CATCH   "call gate within ring 0", NO_FAULT
        subl    $8, %esi
        CHECK   "no stack switch and no parameters within a ring", gate_stack, %esi

        SET_CALL_GATE gate_target_plain, CODE32, CALL_GATE32, 0
        GATE_CHECK "call gate of DPL 0 from ring 3", GP, GATE
        TRY
        lcall   $GATE3, $0
        CATCH   "RPL 3 for a call gate of DPL 0", GP, GATE
        SET_CALL_GATE gate_target_plain, CODE32, (CALL_GATE32 | DPL3) & ~0x80, 0
        GATE_CHECK "call gate not present", NP, GATE
        SET_CALL_GATE gate_target_plain, 0, CALL_GATE32 | DPL3, 0
        GATE_CHECK "call gate with a null selector", GP
        SET_CALL_GATE gate_target_plain, DATA, CALL_GATE32 | DPL3, 0
        GATE_CHECK "call gate to data", GP, DATA
        SET_CALL_GATE gate_target_plain, 0x300, CALL_GATE32 | DPL3, 0
        GATE_CHECK "call gate beyond the GDT", GP, 0x300
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS & ~0x80, FLAT
        SET_CALL_GATE gate_target_plain, TEST, CALL_GATE32 | DPL3, 0
        GATE_CHECK "call gate to code not present", NP, TEST
        SET_SEGMENT TEST, 0, 0xFFF, CODE_ACCESS, FLAG_BIG
        GATE_CHECK "call gate to an offset behind the limit", GP
        SET_CALL_GATE gate_target_plain, CODE32, CALL_GATE32 | DPL3, 0
        TRY_USER
        ljmp    $GATE3, $0
        CATCH   "jump through a gate to a more privileged ring", GP, CODE32
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS | 4, FLAT
        SET_CALL_GATE 2f, TEST, CALL_GATE32 | DPL3, 0
        TRY_USER
        ljmp    $GATE3, $0
2:      CATCH   "jump through a gate to conforming code", NO_FAULT
        CHECK   "stays in ring 3", fault_cs, $(TEST | 3)

        // A 16-bit gate: words everywhere. Both code segments have a base, so that offsets fit in 16 bits.
        SET_SEGMENT_AT USER_AT, user_16, 0xFFFF, CODE_ACCESS | DPL3, FLAG_BIG
        SET_SEGMENT_AT KERNEL_AT, gate_16, 0xFFFF, CODE_ACCESS, FLAG_BIG
        SET_CALL_GATE 0, KERNEL_AT, CALL_GATE16 | DPL3, 2
        TRY_USER
        ljmp    $(USER_AT | 3), $0
user_16:
        pushw   $0x1111
        pushw   $0x2222
        lcall   $GATE3, $0
user_16_return:
        movl    %esp, user_stack_after
        CATCH   "16-bit call gate from ring 3 with two parameters", NO_FAULT
        CHECK   "frame of six words", gate_stack, $(interrupt_stack_top - 12)
        CHECK   "return IP and CS", gate_frame, $((USER_AT | 3) << 16 | (user_16_return - user_16))
        CHECK   "parameters", gate_frame + 4, $0x11112222
        movl    $(user_stack_top - 4), %eax
        andl    $0xFFFF, %eax
        orl     $(USER_DATA << 16), %eax
        CHECK   "caller's SP and SS", gate_frame + 8, %eax

        // The stack of the inner ring is at fault: #TS with its selector. Its handler has to run in ring 3.
        SET_CALL_GATE gate_target_plain, CODE32, CALL_GATE32 | DPL3, 0
        SET_GATE idt, TS * 8, bad_stack_handler, USER_CODE32, INTERRUPT_GATE
        movw    $USER_DATA, tss + 8
        TRY_USER
        lcall   $GATE3, $0
        END_TRY
        CHECK   "inner stack of the wrong DPL", bad_stack_error, $(TS << 16 | (USER_DATA & ~3))
        movw    $0, tss + 8
        TRY_USER
        lcall   $GATE3, $0
        END_TRY
        CHECK   "inner stack with a null selector", bad_stack_error, $(TS << 16)
        movw    $0x310, tss + 8
        TRY_USER
        lcall   $GATE3, $0
        END_TRY
        CHECK   "inner stack beyond the GDT", bad_stack_error, $(TS << 16 | 0x310)
        SET_GATE idt, SS_FAULT * 8, bad_stack_handler_ss, USER_CODE32, INTERRUPT_GATE
        SET_SEGMENT TEST, 0, 0xFFFFF, DATA_ACCESS & ~0x80, FLAT
        movw    $TEST, tss + 8
        TRY_USER
        lcall   $GATE3, $0
        END_TRY
        CHECK   "inner stack not present", bad_stack_error, $(SS_FAULT << 16 | TEST)
        SET_SEGMENT TEST, 0, 0, DATA_ACCESS | 4, FLAT   // expand-down: room begins at buffer + 0x1000
        movl    $buffer, %eax
        shrl    $12, %eax
        movw    %ax, gdt + TEST
        movw    $TEST, tss + 8
        movl    $(buffer + 0x1004), tss + 4
        TRY_USER
        lcall   $GATE3, $0
        END_TRY
        CHECK   "no room on the inner stack", bad_stack_error, $(SS_FAULT << 16 | TEST)
        movw    $DATA, tss + 8
        movl    $interrupt_stack_top, tss + 4
        call    set_up_gates_again
        ret

gate_16:
        movl    %esp, gate_stack
        movl    (%esp), %eax
        movl    %eax, gate_frame
        movl    4(%esp), %eax
        movl    %eax, gate_frame + 4
        movl    8(%esp), %eax
        movl    %eax, gate_frame + 8
        .byte   0x66                            // RETFW 4
        lret    $4

// In ring 3: keep the error code, mend the TSS, go back to ring 0.
bad_stack_handler:
        popl    bad_stack_error
        orl     $(TS << 16), bad_stack_error
        jmp     1f
bad_stack_handler_ss:
        popl    bad_stack_error
        orl     $(SS_FAULT << 16), bad_stack_error
1:      movw    $DATA, tss + 8
        movl    $interrupt_stack_top, tss + 4
        int     $NO_FAULT

set_up_gates_again:
        SET_GATE idt, TS * 8, interrupt_stubs + TS * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        SET_GATE idt, SS_FAULT * 8, interrupt_stubs + SS_FAULT * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        SET_GATE idt, NP * 8, interrupt_stubs + NP * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        SET_GATE idt, GP * 8, interrupt_stubs + GP * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        ret

// --- 5.8.6: returns ------------------------------------------------------------------------------------------------------
far_returns:
        TRY
        movw    $DATA, %ax
        movw    %ax, %ds
        movw    %ax, %fs
        movw    $USER_DATA, %ax
        movw    %ax, %es
        pushl   $USER_DATA
        pushl   $user_stack_top
        pushl   $USER_CODE32
        pushl   $1f
        lret
1:      movl    %ds, %eax
        movl    %fs, %ebx
        movl    %es, %ecx
        movw    $USER_DATA, %dx
        movw    %dx, %ds
        movl    %eax, gate_frame
        movl    %ebx, gate_frame + 4
        movl    %ecx, gate_frame + 8
        CATCH   "far return to ring 3", NO_FAULT
        CHECK   "a return outwards clears DS of DPL 0", gate_frame, $0
        CHECK   "and FS of DPL 0", gate_frame + 4, $0
        CHECK   "and keeps ES of DPL 3", gate_frame + 8, $USER_DATA
        CHECK   "SP as popped", fault_sp, $user_stack_top
        TRY
        pushl   $DATA
        pushl   $user_stack_top
        pushl   $USER_CODE32
        pushl   $1f
        lret
1:      CATCH   "far return to ring 3 with a stack of DPL 0", GP, DATA
        TRY
        pushl   $0
        pushl   $user_stack_top
        pushl   $USER_CODE32
        pushl   $1f
        lret
1:      CATCH   "far return to ring 3 with a null stack", GP
        TRY
        pushl   $USER_DATA
        pushl   $user_stack_top
        pushl   $0
        pushl   $1f
        lret
1:      CATCH   "far return to a null selector", GP
        TRY
        pushl   $USER_DATA
        pushl   $user_stack_top
        pushl   $(CODE32 | 3)
        pushl   $1f
        lret
1:      CATCH   "far return to ring 3 with code of DPL 0", GP, CODE32
        TRY_USER
        pushl   $CODE32
        pushl   $1f
        lret
1:      CATCH   "far return inwards", GP, CODE32
        TRY_USER
        pushfl
        pushl   $CODE32
        pushl   $1f
        iretl
1:      CATCH   "IRET inwards", GP, CODE32
        TRY_USER
        pushfl
        orl     $(FLAG_IF | FLAG_IOPL3), (%esp)
        pushl   $USER_CODE32
        pushl   $1f
        iretl
1:      CATCH   "IRET in ring 3 that asks for IF and IOPL", NO_FAULT
        movl    fault_flags, %eax
        andl    $(FLAG_IF | FLAG_IOPL3), %eax
        CHECK   "does not get them", %eax, $0
        ret

// --- 5.10: LAR, LSL, VERR, VERW, ARPL ------------------------------------------------------------------------------------
// LAR and LSL leave the destination where they clear ZF.
.macro LAR_CHECK name, selector, expected
        movl    $(\selector), %ecx
        movl    $0xDEAD, %eax
        lar     %ecx, %eax
        pushfl                                  // bits 16-19 of an attribute word are undefined
        andl    $~0xF0000, %eax
        popfl
        CHECK   "\name", %eax, $(\expected)
.endm
.macro LSL_CHECK name, selector, expected
        movl    $(\selector), %ecx
        movl    $0xDEAD, %eax
        lsl     %ecx, %eax
        CHECK   "\name", %eax, $(\expected)
.endm
.macro VERIFY_CHECK name, instruction, selector, expected
        movw    $(\selector), %cx
        \instruction %cx
        setz    %al
        movzbl  %al, %eax
        CHECK   "\name", %eax, $(\expected)
.endm

selector_instructions:
        LAR_CHECK "LAR of a flat code segment", CODE32, 0x00C09B00
        LAR_CHECK "LAR of a null selector", 0, 0xDEAD
        LAR_CHECK "LAR beyond the GDT", 0x3F8, 0xDEAD
        LAR_CHECK "LAR of a TSS", TSS, 0x00008B00
        LAR_CHECK "LAR with RPL above DPL", DATA | 3, 0xDEAD
        SET_CALL_GATE gate_target, CODE32, CALL_GATE32, 2
        LAR_CHECK "LAR of a call gate", GATE, (gate_target_high | 0x8C00)
        SET_SEGMENT TEST, 0, 0xFFFFF, DATA_ACCESS & ~0x80, FLAT
        LAR_CHECK "LAR of a segment not present", TEST, 0x00C01300
        SET_GATE gdt, TEST2, 0, CODE32, INTERRUPT_GATE
        LAR_CHECK "LAR of an interrupt gate", TEST2, 0xDEAD
        LSL_CHECK "LSL of a flat segment", DATA, 0xFFFFFFFF
        LSL_CHECK "LSL of a TSS", TSS, TSS_LIMIT
        LSL_CHECK "LSL of a call gate", GATE, 0xDEAD
        SET_SEGMENT TEST, 0, 0x12345, DATA_ACCESS, FLAG_BIG
        LSL_CHECK "LSL in bytes", TEST, 0x12345
        SET_SEGMENT TEST, 0, 0x12345, DATA_ACCESS, FLAT
        LSL_CHECK "LSL in pages", TEST, 0x12345FFF
        movl    $DATA, %ecx
        movl    $0xAAAAAAAA, %eax
        lsl     %cx, %ax
        CHECK   "LSL of 16 bits", %eax, $0xAAAAFFFF
        VERIFY_CHECK "VERR of data", verr, DATA, 1
        VERIFY_CHECK "VERW of data", verw, DATA, 1
        VERIFY_CHECK "VERR of readable code", verr, CODE32, 1
        VERIFY_CHECK "VERW of code", verw, CODE32, 0
        VERIFY_CHECK "VERR of a null selector", verr, 0, 0
        VERIFY_CHECK "VERR of a TSS", verr, TSS, 0
        VERIFY_CHECK "VERR with RPL above DPL", verr, DATA | 3, 0
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS & ~2, FLAT
        VERIFY_CHECK "VERR of execute-only code", verr, TEST, 0
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS | 4, FLAT
        VERIFY_CHECK "VERR of conforming code with RPL above DPL", verr, TEST | 3, 1
        SET_SEGMENT TEST, 0, 0xFFFFF, DATA_ACCESS & ~2, FLAT
        VERIFY_CHECK "VERW of read-only data", verw, TEST, 0
        movw    $0x20, %ax
        movw    $3, %cx
        arpl    %cx, %ax
        setz    %dl
        movzbl  %dl, %edx
        movzwl  %ax, %eax
        CHECK   "ARPL raises RPL", %eax, $0x23
        CHECK   "and says so in ZF", %edx, $1
        movw    $0x23, %ax
        movw    $1, %cx
        arpl    %cx, %ax
        setz    %dl
        movzbl  %dl, %edx
        CHECK   "ARPL that changes nothing clears ZF", %edx, $0
        TRY_USER
        movl    $0xDEAD, %eax
        movl    $DATA, %ecx
        lar     %ecx, %eax
        movl    %eax, gate_frame
        CATCH   "LAR in ring 3", NO_FAULT
        CHECK   "LAR sees nothing of a more privileged segment", gate_frame, $0xDEAD
        ret

        .set    gate_target_high, 0x00100000    // offset bits 16-31 of a ROM at 1 MiB

// --- I/O privilege (vol. 1, 19.5) ----------------------------------------------------------------------------------------
        .set    SOME_PORT, 0x80

input_output_privilege:
        TRY_USER
        outb    %al, $SOME_PORT
        CATCH   "port closed in the bitmap", GP
        andb    $~1, tss_io_map + SOME_PORT / 8
        TRY_USER
        outb    %al, $SOME_PORT
        CATCH   "port open in the bitmap", NO_FAULT
        TRY_USER
        outw    %ax, $SOME_PORT
        CATCH   "word over a closed port", GP
        andb    $~3, tss_io_map + SOME_PORT / 8
        TRY_USER
        outw    %ax, $SOME_PORT
        CATCH   "word over two open ports", NO_FAULT
        TRY_USER
        outl    %eax, $SOME_PORT
        CATCH   "doubleword over two closed ports", GP
        andb    $~0x80, tss_io_map + SOME_PORT / 8
        TRY_USER
        inw     $(SOME_PORT + 7), %ax
        CATCH   "word over a byte's end in the bitmap", GP
        movb    $0xFF, tss_io_map + SOME_PORT / 8
        TRY_USER FLAG_IOPL3
        outb    %al, $SOME_PORT
        CATCH   "IOPL 3 needs no bitmap", NO_FAULT
        movw    $TSS_LIMIT, tss + 102           // map behind the limit but for one byte
        TRY_USER
        outb    %al, $SOME_PORT
        CATCH   "bitmap behind the TSS's limit", GP
        movw    $(tss_io_map - tss), tss + 102
        TRY_USER
        cli
        CATCH   "CLI in ring 3", GP
        TRY_USER
        sti
        CATCH   "STI in ring 3", GP
        TRY_USER FLAG_IOPL3
        cli
        CATCH   "CLI in ring 3 with IOPL 3", NO_FAULT
        TRY_USER
        pushl   $(FLAG_FIXED | FLAG_IF | FLAG_IOPL3)
        popfl
        CATCH   "POPF in ring 3 that asks for IF and IOPL", NO_FAULT
        movl    fault_flags, %eax
        andl    $(FLAG_IF | FLAG_IOPL3), %eax
        CHECK   "does not get them", %eax, $0
        TRY_USER FLAG_IOPL3
        pushl   $(FLAG_FIXED | FLAG_IF)
        popfl
        CATCH   "POPF with IOPL 3", NO_FAULT
        movl    fault_flags, %eax
        andl    $(FLAG_IF | FLAG_IOPL3), %eax
        CHECK   "changes IF but not IOPL", %eax, $(FLAG_IF | FLAG_IOPL3)
        ret

// --- 5.9: privileged instructions ----------------------------------------------------------------------------------------
.macro PRIVILEGED instruction:vararg
        TRY_USER FLAG_IOPL3
        \instruction
        CATCH   "\instruction in ring 3", GP
.endm

privileged_instructions:
        PRIVILEGED hlt
        PRIVILEGED lgdt gdt_pointer
        PRIVILEGED lidt idt_pointer
        PRIVILEGED lldt %ax
        PRIVILEGED ltr %ax
        PRIVILEGED lmsw %ax
        PRIVILEGED clts
        PRIVILEGED invd
        PRIVILEGED wbinvd
        PRIVILEGED invlpg (%eax)
        PRIVILEGED rdmsr
        PRIVILEGED wrmsr
        PRIVILEGED movl %cr0, %eax
        PRIVILEGED movl %eax, %cr3
        PRIVILEGED movl %dr0, %eax
        PRIVILEGED movl %eax, %dr7
        TRY_USER
        smsw    %ax
        sgdt    buffer
        sidt    buffer
        sldt    %ax
        str     %ax
        CATCH   "SMSW, SGDT, SIDT, SLDT and STR in ring 3 without UMIP", NO_FAULT
        SET_BITS cr4, CR4_TSD
        TRY_USER
        rdtsc
        CATCH   "RDTSC in ring 3 with CR4.TSD", GP
        CLEAR_BITS cr4, CR4_TSD
        TRY_USER
        rdtsc
        CATCH   "RDTSC in ring 3", NO_FAULT
        TRY_USER
        movl    $7, %ecx
        rdpmc
        CATCH   "RDPMC in ring 3 without CR4.PCE", GP
        TRY
        movl    %cr4, %eax
        orl     $(1 << 30), %eax
        movl    %eax, %cr4
        CATCH   "reserved bit of CR4", GP
        TRY
        movl    $0x12345678, %ecx
        rdmsr
        CATCH   "RDMSR of an unknown register", GP
        ret

// --- 6.12, 6.13: gates of the IDT ----------------------------------------------------------------------------------------
        .set    VECTOR, 0x90
        .set    VECTOR_ERROR, VECTOR * 8 + 2

interrupt_gates:
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, CODE32, INTERRUPT_GATE
        TRY_USER
        int     $VECTOR
        CATCH   "INT n through a gate of DPL 0 from ring 3", GP, VECTOR_ERROR
        TRY
        int     $VECTOR
        CATCH   "the same from ring 0", VECTOR
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, CODE32, (INTERRUPT_GATE | DPL3) & ~0x80
        TRY
        int     $VECTOR
        CATCH   "gate not present", NP, VECTOR_ERROR
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, CODE32, 0x8C
        TRY
        int     $VECTOR
        CATCH   "call gate in the IDT", GP, VECTOR_ERROR
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, 0, INTERRUPT_GATE
        TRY
        int     $VECTOR
        CATCH   "interrupt gate with a null selector", GP
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, DATA, INTERRUPT_GATE
        TRY
        int     $VECTOR
        CATCH   "interrupt gate to data", GP, DATA
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, USER_CODE32, INTERRUPT_GATE
        TRY
        int     $VECTOR
        CATCH   "interrupt gate outwards", GP, USER_CODE32 & ~3
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS & ~0x80, FLAT
        SET_GATE idt, VECTOR * 8, interrupt_stubs + VECTOR * STUB_SIZE, TEST, INTERRUPT_GATE
        TRY
        int     $VECTOR
        CATCH   "interrupt gate to code not present", NP, TEST
        SET_SEGMENT TEST, 0, 0xFFF, CODE_ACCESS, FLAG_BIG
        TRY
        int     $VECTOR
        CATCH   "interrupt gate to an offset behind the limit", GP

        // 6.13: the EXT bit tells a fault in the delivery of an exception from one of INT n.
        SET_GATE idt, UD * 8, interrupt_stubs + UD * STUB_SIZE, CODE32, INTERRUPT_GATE & ~0x80
        TRY
        ud2
        CATCH   "exception through a gate not present sets EXT", NP, UD * 8 + 3
        TRY
        int     $UD
        CATCH   "INT 6 through it does not", NP, UD * 8 + 2
        SET_GATE idt, UD * 8, interrupt_stubs + UD * STUB_SIZE, TEST2, INTERRUPT_GATE
        SET_SEGMENT TEST2, 0, 0xFFFFF, CODE_ACCESS & ~0x80, FLAT
        TRY
        ud2
        CATCH   "exception to code not present sets EXT", NP, TEST2 | 1
        SET_GATE idt, UD * 8, interrupt_stubs + UD * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3

        lidt    short_idt_pointer
        TRY
        int     $0xFF
        CATCH   "vector beyond the IDT", GP, 0xFF * 8 + 2
        lidt    idt_pointer

        // Interrupt gates clear IF, trap gates do not; both clear TF and NT.
        SET_GATE idt, VECTOR * 8, note_flags, CODE32, TRAP_GATE
        pushl   $(FLAG_FIXED | FLAG_IF | FLAG_NT | FLAG_DF)
        popfl
        int     $VECTOR
        pushl   $FLAG_FIXED
        popfl
        movl    noted_flags, %eax
        andl    $(FLAG_IF | FLAG_NT | FLAG_DF), %eax
        CHECK   "a trap gate keeps IF and DF and clears NT", %eax, $(FLAG_IF | FLAG_DF)
        SET_GATE idt, VECTOR * 8, note_flags, CODE32, INTERRUPT_GATE
        pushl   $(FLAG_FIXED | FLAG_IF)
        popfl
        int     $VECTOR
        pushfl
        popl    %ebx
        cli
        movl    noted_flags, %eax
        andl    $FLAG_IF, %eax
        CHECK   "an interrupt gate clears IF", %eax, $0
        andl    $FLAG_IF, %ebx
        CHECK   "IRET brings IF back", %ebx, $FLAG_IF

        // 16-bit gates push words.
        SET_SEGMENT_AT KERNEL_AT, note_stack, 0xFFFF, CODE_ACCESS, FLAG_BIG
        SET_GATE idt, VECTOR * 8, 0, KERNEL_AT, 0x86
        movl    %esp, %esi
        TRY
        int     $VECTOR
        CATCH   "16-bit interrupt gate", NO_FAULT
        subl    $6, %esi
        CHECK   "pushes three words", gate_stack, %esi
        CHECK   "CS above IP", gate_code, $CODE32
        ret

note_flags:
        pushfl
        popl    noted_flags
        iretl
note_stack:
        movl    %esp, gate_stack
        movzwl  2(%esp), %eax
        movl    %eax, gate_code
        int     $NO_FAULT

// --- 6.15: exceptions that instructions ask for --------------------------------------------------------------------------
software_exceptions:
        TRY
        movb    $0x7F, %al
        addb    $1, %al
        into
1:      CATCH   "INTO with OF", OF
        CHECK   "INTO is a trap", fault_ip, $1b
        TRY
        xorl    %eax, %eax
        into
        CATCH   "INTO without OF", NO_FAULT
        TRY
        int3
1:      CATCH   "INT3", BP_TRAP
        CHECK   "INT3 is a trap", fault_ip, $1b
        TRY
        movl    $-1, %eax
1:      bound   %eax, bounds
        CATCH   "BOUND below", BR
        CHECK   "BOUND is a fault", fault_ip, $1b
        movl    fault_flags, %eax
        andl    $FLAG_RF, %eax
        CHECK   "a fault saves RF set", %eax, $FLAG_RF
        TRY
        movl    $11, %eax
        bound   %eax, bounds
        CATCH   "BOUND above", BR
        TRY
        movl    $10, %eax
        bound   %eax, bounds
        CATCH   "BOUND at the upper bound", NO_FAULT
        TRY
        xorl    %ecx, %ecx
1:      divl    %ecx
        CATCH   "DIV by 0", DE
        CHECK   "#DE is a fault", fault_ip, $1b
        TRY
        movl    $0x80000000, %eax
        cltd
        movl    $-1, %ecx
        idivl   %ecx
        CATCH   "IDIV overflow", DE
        TRY
        ud2
        CATCH   "UD2", UD
        TRY
        lock nop
        CATCH   "LOCK where it is not allowed", UD
        TRY
        .byte   0xF0, 0x01, 0xC0                // LOCK ADD EAX, EAX
        CATCH   "LOCK with a register destination", UD
        TRY
        .byte   0x8D, 0xC0                      // LEA EAX, EAX
        CATCH   "LEA of a register", UD
        TRY
        .byte   0x0F, 0xFF, 0xC0                // UD0
        CATCH   "UD0", UD
        TRY
        .fill   15, 1, 0x66
        nop
        CATCH   "instruction of 16 bytes", GP
        TRY
        .fill   14, 1, 0x66
        nop
        CATCH   "instruction of 15 bytes", NO_FAULT
        ret

// --- #AC -----------------------------------------------------------------------------------------------------------------
alignment_check:
        SET_BITS cr0, CR0_AM
        TRY_USER FLAG_AC
        movl    buffer + 1, %eax
        CATCH   "doubleword at an odd address", AC
        TRY_USER FLAG_AC
        movw    buffer + 1, %ax
        CATCH   "word at an odd address", AC
        TRY_USER FLAG_AC
        movb    buffer + 1, %al
        movw    buffer + 2, %ax
        movl    buffer + 4, %eax
        CATCH   "aligned operands", NO_FAULT
        TRY_USER FLAG_AC
        movl    %eax, buffer + 2
        CATCH   "doubleword stored at a word's address", AC
        TRY_USER FLAG_AC
        movl    $(user_stack_top - 6), %esp
        pushl   %eax
        CATCH   "push on a stack not aligned", AC
        TRY_USER
        movl    buffer + 1, %eax
        CATCH   "EFLAGS.AC clear", NO_FAULT
        TRY
        pushl   $(FLAG_FIXED | FLAG_AC)
        popfl
        movl    buffer + 1, %eax
        CATCH   "none in ring 0", NO_FAULT
        pushl   $FLAG_FIXED
        popfl
        CLEAR_BITS cr0, CR0_AM
        TRY_USER FLAG_AC
        movl    buffer + 1, %eax
        CATCH   "CR0.AM clear", NO_FAULT
        ret

// --- #DF through a task gate (6.15, interrupt 8; 7.3) --------------------------------------------------------------------
double_fault:
        SET_SEGMENT_AT FAULT_TASK, fault_tss, 0x67, 0x89, 0
        movl    %cr3, %eax
        movl    %eax, fault_tss_cr3
        movl    $0, idt + DF * 8
        movw    $FAULT_TASK, idt + DF * 8 + 2
        movl    $0x8500, idt + DF * 8 + 4
        // #GP whose gate is not present: #NP in its delivery makes #DF (table 6-5).
        SET_GATE idt, GP * 8, 0, CODE32, INTERRUPT_GATE & ~0x80
        movl    $1f, double_fault_resume
        movl    %esp, double_fault_stack
        movw    $0x3F8, %ax
        movw    %ax, %fs
        FAIL    "two contributory exceptions must not go on"
1:      call    set_up_gates_again
        CHECK   "two contributory exceptions make #DF", double_faults, $1
        CHECK   "#DF has error code 0", double_fault_error, $0
        movl    %cr0, %eax
        andl    $CR0_TS, %eax
        CHECK   "a task switch sets CR0.TS", %eax, $CR0_TS
        clts
        movzbl  gdt + FAULT_TASK + 5, %eax
        CHECK   "IRET leaves the nested task not busy", %eax, $0x89
        // #UD whose gate is not present is benign: #NP follows in turn.
        SET_GATE idt, UD * 8, 0, CODE32, INTERRUPT_GATE & ~0x80
        TRY
        ud2
        CATCH   "#UD and #NP do not make #DF", NP, UD * 8 + 3
        SET_GATE idt, UD * 8, interrupt_stubs + UD * STUB_SIZE, CODE32, INTERRUPT_GATE | DPL3
        CHECK   "only one #DF came", double_faults, $1
        ret

fault_task_start:
        popl    double_fault_error
        incl    double_faults
        movl    double_fault_resume, %eax
        movl    %eax, tss + 0x20
        movl    double_fault_stack, %eax
        movl    %eax, tss + 0x38
        iretl
        jmp     fault_task_start

// 2.5. QEMU's TCG accepts it and goes astray, hence the last check.
paging_without_protection:
        TRY
        movl    %cr0, %eax
        andl    $~CR0_PE, %eax
        orl     $CR0_PG, %eax
        movl    %eax, %cr0
        CATCH   "paging without protection", GP
        ret

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
