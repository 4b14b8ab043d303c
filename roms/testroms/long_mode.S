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

// --- 6.14.2, 6.14.4: frames ----------------------------------------------------------------------------------------------
interrupt_frames:
        TRY
        mov     %rsp, %rsi
        sub     $4, %rsp
        int3
1:      CATCH   "INT3", BP_TRAP
        sub     $4, %rsi
        CHECK   "RSP is saved within a ring as well", fault_sp, %rsi
        CHECK   "SS is saved within a ring as well", fault_ss, $DATA
        CHECK   "RIP behind INT3", fault_ip, $1b
        mov     fault_frame, %rax
        add     $(FRAME_SS + 8), %rax
        and     $-16, %rsi
        CHECK   "the frame starts at a multiple of 16", %rax, %rsi
        TRY_USER
        ud2
        CATCH   "exception in ring 3", UD
        CHECK   "CS of ring 3", fault_cs, $USER_CODE64
        CHECK   "SS of ring 3", fault_ss, $USER_DATA
        CHECK   "RSP of ring 3", fault_sp, $user_stack_top
        mov     fault_frame, %rax
        CHECK   "the stack comes from the TSS", %rax, $(interrupt_stack_top - FRAME_SS - 8)
        HOOK    VECTOR, note_segments
        TRY_USER
        int     $VECTOR
        CATCH   "INT n from ring 3 and back", NO_FAULT
        UNHOOK  VECTOR
        CHECK   "SS is null in the handler", noted_ss, $0
        CHECK   "CS in the handler", noted_cs, $CODE64
        ret

note_segments:
        mov     %ss, %rcx
        mov     %rcx, noted_ss
        mov     %cs, %rcx
        mov     %rcx, noted_cs
        ret

// --- 6.14.5: interrupt stack table ---------------------------------------------------------------------------------------
interrupt_stacks:
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, CODE64, INTERRUPT_GATE | DPL3, 1
        TRY
        mov     %rsp, %rsi
        int     $VECTOR
        CATCH   "gate with IST 1 in ring 0", VECTOR
        mov     fault_frame, %rax
        CHECK   "uses IST 1", %rax, $(ist_stack1_top - FRAME_SS - 8)
        CHECK   "and saves RSP", fault_sp, %rsi
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, CODE64, INTERRUPT_GATE | DPL3, 3
        TRY_USER
        int     $VECTOR
        CATCH   "gate with IST 3 from ring 3", VECTOR
        mov     fault_frame, %rax
        CHECK   "uses IST 3 instead of RSP0", %rax, $(ist_stack3_top - FRAME_SS - 8)
        NON_CANONICAL rax
        add     $0x1000, %rax
        mov     %rax, tss + 0x24 + 24           // IST 4
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, CODE64, INTERRUPT_GATE | DPL3, 4
        TRY
        int     $VECTOR
        CATCH   "IST that is not canonical", SS_FAULT   // QEMU's TCG does not check
        ret

interrupt_gate_errors:
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, CODE64, INTERRUPT_GATE
        TRY_USER
        int     $VECTOR
        CATCH   "gate of DPL 0 from ring 3", GP, VECTOR_ERROR
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, CODE64, INTERRUPT_GATE & ~0x80
        TRY
        int     $VECTOR
        CATCH   "gate not present", NP, VECTOR_ERROR
        SET_GATE idt, VECTOR * 16, 0, TSS, 0x85
        TRY
        int     $VECTOR
        CATCH   "task gate in long mode", GP, VECTOR_ERROR
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, CODE64, 0x86
        TRY
        int     $VECTOR
        CATCH   "16-bit interrupt gate in long mode", GP, VECTOR_ERROR
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, CODE32, INTERRUPT_GATE
        TRY
        int     $VECTOR
        CATCH   "gate to 32-bit code", GP, CODE32
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, 0, INTERRUPT_GATE
        TRY
        int     $VECTOR
        CATCH   "gate with a null selector", GP
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, CODE64, INTERRUPT_GATE
        movl    $0x8000, idt + VECTOR * 16 + 8
        TRY
        int     $VECTOR
        CATCH   "gate to an address that is not canonical", GP  // QEMU's TCG does not check
        movl    $0, idt + VECTOR * 16 + 8
        lidt    short_idt_pointer
        TRY
        int     $0xFF
        CATCH   "vector beyond the IDT", GP, 0xFF * 8 + 2
        lidt    idt_pointer
        SET_GATE idt, VECTOR * 16, interrupt_stubs + VECTOR * STUB_SIZE, CODE64, INTERRUPT_GATE | DPL3
        ret

// --- IRETQ (6.14.3) ------------------------------------------------------------------------------------------------------
.macro IRETQ_TO selector, target, stack_selector, stack, flags=FLAG_FIXED
        pushq   $\stack_selector
        pushq   $\stack
        pushq   $(\flags)
        pushq   $\selector
        pushq   $\target
        iretq
.endm

interrupt_returns:
        TRY
        IRETQ_TO CODE64, 1f, 0, ist_stack2_top
1:      mov     %ss, %ebx
        mov     %rsp, %rdi
        CATCH   "IRETQ with a null SS in ring 0", NO_FAULT
        movzwl  %bx, %ebx
        CHECK   "SS is null", %rbx, $0
        CHECK   "RSP is popped within a ring as well", %rdi, $ist_stack2_top
        TRY
        IRETQ_TO USER_CODE64, 1f, 0, user_stack_top
1:      CATCH   "IRETQ with a null SS to ring 3", GP
        TRY
        IRETQ_TO CODE32, 1f, 0, ist_stack2_top
1:      CATCH   "IRETQ with a null SS to 32-bit code", GP
        TRY
        IRETQ_TO USER_CODE64, 1f, DATA, user_stack_top
1:      CATCH   "IRETQ to ring 3 with SS of DPL 0", GP, DATA
        TRY
        pushq   $DATA
        pushq   %rsp
        pushq   $FLAG_FIXED
        pushq   $CODE64
        NON_CANONICAL rax
        pushq   %rax
1:      iretq
        CATCH   "IRETQ to an address that is not canonical", GP // QEMU's TCG faults at the target
        CHECK   "faults at IRETQ", fault_ip, $1b
        TRY
        IRETQ_TO USER_CODE32, 1f, USER_DATA, user_stack_top
        .code32
1:      movl    $0x12345678, %eax
        incl    %eax                            // REX.W in 64-bit mode
        int     $NO_FAULT
        .code64
        CATCH   "IRETQ to compatibility mode", NO_FAULT
        CHECK   "which runs 32-bit code", fault_cs, $USER_CODE32
        TRY
        pushfq
        orq     $FLAG_NT, (%rsp)
        popfq
        IRETQ_TO CODE64, 1f, DATA, ist_stack2_top
1:      CATCH   "IRETQ with NT", GP
        pushq   $FLAG_FIXED
        popfq
        TRY
        movq    $stack_top, %rdi
        pushq   $DATA
        pushq   $ist_stack2_top
        pushq   $(FLAG_FIXED | FLAG_DF | FLAG_CF)
        pushq   $CODE64
        pushq   $1f
        iretq
1:      CATCH   "IRETQ loads the flags", NO_FAULT
        mov     fault_flags, %rax
        and     $(FLAG_DF | FLAG_CF), %eax
        CHECK   "DF and CF", %rax, $(FLAG_DF | FLAG_CF)
        // 6.8.3: IRETD in 64-bit mode pops doublewords, five of them.
        TRY
        sub     $20, %rsp
        movl    $1f, (%rsp)
        movl    $CODE64, 4(%rsp)
        movl    $FLAG_FIXED, 8(%rsp)
        movl    $ist_stack2_top, 12(%rsp)
        movl    $DATA, 16(%rsp)
        iretl
1:      mov     %rsp, %rdi
        CATCH   "IRETD in 64-bit mode", NO_FAULT
        CHECK   "pops ESP and SS too", %rdi, $ist_stack2_top
        ret

// --- Instructions that 64-bit mode does not have (vol. 2, B.2; vol. 1, 3.3) ------------------------------------------------
.macro GONE name, bytes:vararg
        TRY
        .byte   \bytes
        CATCH   "\name in 64-bit mode", UD
.endm

instructions_gone:
        GONE    "PUSH ES", 0x06
        GONE    "POP DS", 0x1F
        GONE    "DAA", 0x27
        GONE    "AAA", 0x37
        GONE    "PUSHA", 0x60
        GONE    "POPA", 0x61
        GONE    "BOUND", 0x62, 0x00, 0x90, 0x90
        GONE    "far CALL with an immediate", 0x9A, 0, 0, 0, 0, 0, 0
        GONE    "far JMP with an immediate", 0xEA, 0, 0, 0, 0, 0, 0
        GONE    "LES of memory", 0xC4, 0x00, 0x90, 0x90
        GONE    "INTO", 0xCE
        GONE    "AAM", 0xD4, 0x0A
        GONE    "SALC", 0xD6
        GONE    "opcode 82", 0x82, 0xC0, 0x00
        TRY
        movl    $-5, %ecx
        movslq  %ecx, %rdi
        CATCH   "MOVSXD takes the place of ARPL", NO_FAULT
        CHECK   "and extends", %rdi, $-5
        ret

// --- SYSCALL and SYSRET --------------------------------------------------------------------------------------------------
system_calls:
        TRY
        syscall
        CATCH   "SYSCALL with EFER.SCE clear", UD
        READ_MSR MSR_EFER
        orl     $EFER_SCE, %eax
        wrmsr
        WRITE_MSR MSR_STAR, 0, (CODE32 + 8) | ((USER_CODE32 & ~3) | 3) << 16
        WRITE_MSR MSR_LSTAR, system_call_entry
        WRITE_MSR MSR_FMASK, (FLAG_IF | FLAG_DF)
        READ_MSR MSR_LSTAR
        CHECK   "LSTAR reads back", %rax, $system_call_entry
        TRY
        movl    $MSR_LSTAR, %ecx
        xorl    %eax, %eax
        movl    $0x8000, %edx
        wrmsr
        CATCH   "LSTAR that is not canonical", GP       // QEMU's TCG does not check
        WRITE_MSR MSR_LSTAR, system_call_entry

        TRY_USER FLAG_DF | FLAG_CF
        syscall
1:      CATCH   "SYSCALL from ring 3", NO_FAULT
        CHECK   "enters LSTAR", noted_ip, $system_call_entry_end
        CHECK   "RCX is the return address", noted_rcx, $1b
        mov     noted_r11, %rax
        and     $(FLAG_DF | FLAG_CF), %eax
        CHECK   "R11 has the flags", %rax, $(FLAG_DF | FLAG_CF)
        mov     noted_flags, %rax
        and     $(FLAG_DF | FLAG_CF | FLAG_IF), %eax
        CHECK   "FMASK clears flags", %rax, $FLAG_CF
        CHECK   "CS is STAR[47:32]", noted_cs, $CODE64
        CHECK   "SS is 8 above", noted_ss, $DATA
        CHECK   "RSP stays", noted_rsp, $user_stack_top

        WRITE_MSR MSR_LSTAR, system_call_return
        TRY_USER FLAG_DF | FLAG_CF
        syscall
1:      mov     %rsp, %rdi
        CATCH   "SYSCALL and SYSRETQ", NO_FAULT
        CHECK   "back in 64-bit code of ring 3", fault_cs, $USER_CODE64
        CHECK   "on the user's stack segment", fault_ss, $USER_DATA
        mov     fault_flags, %rax
        and     $(FLAG_DF | FLAG_CF), %eax
        CHECK   "with the flags of R11", %rax, $(FLAG_DF | FLAG_CF)

        TRY
        movl    $1f, %ecx
        movl    $FLAG_FIXED, %r11d
        sysretl
        .code32
1:      movl    $7, %eax
        incl    %eax
        int     $NO_FAULT
        .code64
        CATCH   "SYSRET to compatibility mode", NO_FAULT
        CHECK   "loads STAR[63:48] itself", fault_cs, $USER_CODE32
        TRY
        NON_CANONICAL rcx
        movl    $FLAG_FIXED, %r11d
1:      sysretq
        CATCH   "SYSRETQ to an address that is not canonical", GP       // QEMU's TCG faults at the target
        CHECK   "faults in ring 0", fault_cs, $CODE64
        TRY_USER
        sysretq
        CATCH   "SYSRET in ring 3", GP
        TRY
        movl    $1f, %ecx
        movl    $(FLAG_FIXED | FLAG_RF | FLAG_VM | FLAG_IOPL3), %r11d
        sysretq
1:      CATCH   "SYSRETQ masks R11", NO_FAULT
        mov     fault_flags, %rax
        and     $(FLAG_RF | FLAG_VM | FLAG_IOPL3), %eax
        CHECK   "RF and VM are not loaded, IOPL is", %rax, $FLAG_IOPL3
        ret

system_call_entry:
        mov     %rcx, noted_rcx
        mov     %r11, noted_r11
        mov     %rsp, noted_rsp
        mov     %cs, %eax
        mov     %rax, noted_cs
        mov     %ss, %eax
        mov     %rax, noted_ss
        pushfq
        popq    noted_flags
        lea     system_call_entry_end(%rip), %rax
        mov     %rax, noted_ip
system_call_entry_end:
        int     $NO_FAULT
system_call_return:
        sysretq

// --- SYSENTER and SYSEXIT ------------------------------------------------------------------------------------------------
system_enter:
        WRITE_MSR MSR_SYSENTER_CS, 0
        TRY_USER
        sysenter
        CATCH   "SYSENTER with a null CS", GP
        WRITE_MSR MSR_SYSENTER_CS, CODE64
        WRITE_MSR MSR_SYSENTER_ESP, ist_stack2_top
        WRITE_MSR MSR_SYSENTER_EIP, system_enter_entry
        TRY
        movl    $MSR_SYSENTER_EIP, %ecx
        xorl    %eax, %eax
        movl    $0x8000, %edx
        wrmsr
        CATCH   "SYSENTER_EIP that is not canonical", GP
        TRY_USER FLAG_IOPL3 | FLAG_IF
        sysenter
        CATCH   "SYSENTER from ring 3", NO_FAULT
        CHECK   "loads CS", noted_cs, $CODE64
        CHECK   "loads SS 8 above", noted_ss, $DATA
        CHECK   "loads RSP", noted_rsp, $ist_stack2_top
        mov     noted_flags, %rax
        and     $(FLAG_IF | FLAG_IOPL3), %eax
        CHECK   "clears IF", %rax, $FLAG_IOPL3
        TRY
        movq    $user_stack_top, %rcx
        movq    $1f, %rdx
        rex64 sysexit
1:      CATCH   "SYSEXIT to 64-bit code", NO_FAULT
        CHECK   "CS is 32 above", fault_cs, $(CODE64 + 32 + 3)
        CHECK   "SS is 40 above", fault_ss, $(CODE64 + 40 + 3)
        CHECK   "RSP is RCX", fault_sp, $user_stack_top
        TRY
        movq    $user_stack_top, %rcx
        movq    $1f, %rdx
        sysexit
        .code32
1:      incl    %eax
        int     $NO_FAULT
        .code64
        CATCH   "SYSEXIT to compatibility mode", NO_FAULT
        CHECK   "CS is 16 above", fault_cs, $(CODE64 + 16 + 3)
        TRY
        movq    $user_stack_top, %rcx
        NON_CANONICAL rdx
        rex64 sysexit
        CATCH   "SYSEXIT to an address that is not canonical", GP
        CHECK   "faults in ring 0", fault_cs, $CODE64
        TRY_USER
        sysexit
        CATCH   "SYSEXIT in ring 3", GP
        ret

system_enter_entry:
        mov     %rsp, noted_rsp
        mov     %cs, %eax
        mov     %rax, noted_cs
        mov     %ss, %eax
        mov     %rax, noted_ss
        pushfq
        popq    noted_flags
        int     $NO_FAULT

// --- Far calls: 64-bit call gates, compatibility mode (5.8.3.1, 5.8.5.1) ---------------------------------------------------
far_calls:
        SET_GATE gdt, GATE, far_target, CODE64, 0x8C | DPL3
        movq    $0, gdt + GATE + 8
        TRY_USER
        pushq   $GATE3                          // far pointer m16:32 in memory, offset ignored
        pushq   $0
        lcall   *4(%rsp)
1:      mov     %rsp, %rdi
        CATCH   "64-bit call gate from ring 3", NO_FAULT
        CHECK   "enters ring 0", noted_cs, $CODE64
        CHECK   "with a null SS", noted_ss, $0
        CHECK   "four quadwords on the stack of RSP0", noted_rsp, $(interrupt_stack_top - 32)
        CHECK   "return RIP", noted_frame, $1b
        CHECK   "return CS", noted_frame + 8, $USER_CODE64
        CHECK   "caller's RSP", noted_frame + 16, $(user_stack_top - 16)
        CHECK   "caller's SS", noted_frame + 24, $USER_DATA
        CHECK   "back in ring 3", fault_cs, $USER_CODE64
        movl    $0x100, gdt + GATE + 12         // type of the upper half must be 0
        TRY_USER
        pushq   $GATE3
        pushq   $0
        lcall   *4(%rsp)
        CATCH   "call gate with a type in its upper half", GP, GATE
        SET_GATE gdt, GATE, far_target, CODE32, 0x8C | DPL3
        movq    $0, gdt + GATE + 8
        TRY_USER
        pushq   $GATE3
        pushq   $0
        lcall   *4(%rsp)
        CATCH   "call gate to 32-bit code", GP, CODE32
        SET_GATE gdt, GATE, far_target, CODE64, 0x8C | DPL3
        movl    $0x8000, gdt + GATE + 8
        TRY_USER
        pushq   $GATE3
        pushq   $0
        lcall   *4(%rsp)
        CATCH   "call gate to an address that is not canonical", GP     // QEMU's TCG does not check
        SET_GATE gdt, GATE, far_target, CODE64, 0x84 | DPL3
        movq    $0, gdt + GATE + 8
        TRY_USER
        pushq   $GATE3
        pushq   $0
        lcall   *4(%rsp)
        CATCH   "16-bit call gate in long mode", GP, GATE

        // To compatibility mode and back by far calls.
        TRY
        mov     %rsp, %rsi
        lcall   *compatibility_pointer
        mov     %rsp, %rdi
        CATCH   "far call to 32-bit code and back", NO_FAULT
        CHECK   "ran in compatibility mode", noted_cs, $CODE32
        CHECK   "the stack is balanced", %rdi, %rsi
        SET_SEGMENT TEST, 0, 0xFFFFF, CODE_ACCESS, FLAT | FLAG_LONG
        TRY
        pushq   $TEST
        pushq   $1f
        lretq
1:      CATCH   "code segment with L and D both set", GP, TEST
        // In compatibility mode a segment's limit is checked again.
        SET_SEGMENT TEST, 0, 0xFFF, DATA_ACCESS | DPL3, FLAG_BIG
        movl    $(TEST | 3), %eax
        movw    %ax, %fs
        TRY
        IRETQ_TO USER_CODE32, 1f, USER_DATA, user_stack_top
        .code32
1:      movl    %fs:0x1000, %eax
        int     $NO_FAULT
        .code64
        CATCH   "compatibility mode checks limits", GP  // QEMU's TCG does not
        TRY
        movb    %fs:0x1000, %al
        CATCH   "64-bit mode does not", NO_FAULT
        xorl    %eax, %eax
        movw    %ax, %fs
        ret

far_target:
        mov     %rsp, noted_rsp
        mov     %cs, %eax
        mov     %rax, noted_cs
        mov     %ss, %eax
        movzwl  %ax, %eax
        mov     %rax, noted_ss
        mov     (%rsp), %rax
        mov     %rax, noted_frame
        mov     8(%rsp), %rax
        mov     %rax, noted_frame + 8
        mov     16(%rsp), %rax
        mov     %rax, noted_frame + 16
        mov     24(%rsp), %rax
        mov     %rax, noted_frame + 24
        lretq

        .code32
compatibility_code:
        movl    %cs, %eax
        movl    %eax, noted_cs
        movl    $0, noted_cs + 4
        lret
        .code64

// --- FS, GS, SWAPGS (3.4.4, vol. 2) --------------------------------------------------------------------------------------
segment_bases:
        WRITE_MSR MSR_FS_BASE, words
        mov     %fs:8, %rax
        CHECK   "FS.base by MSR", %rax, $0x1111
        WRITE_MSR MSR_GS_BASE, words + 8
        mov     %gs:8, %rax
        CHECK   "GS.base by MSR", %rax, $0x2222
        WRITE_MSR MSR_KERNEL_GS_BASE, words
        swapgs
        mov     %gs:8, %rax
        CHECK   "SWAPGS exchanges", %rax, $0x1111
        READ_MSR MSR_KERNEL_GS_BASE
        CHECK   "both of them", %rax, $(words + 8)
        TRY_USER
        swapgs
        CATCH   "SWAPGS in ring 3", GP
        TRY
        movl    $MSR_FS_BASE, %ecx
        xorl    %eax, %eax
        movl    $0x8000, %edx
        wrmsr
        CATCH   "FS.base that is not canonical", GP
        TRY
        movl    $MSR_KERNEL_GS_BASE, %ecx
        xorl    %eax, %eax
        movl    $0x8000, %edx
        wrmsr
        CATCH   "KERNEL_GS_BASE that is not canonical", GP
        WRITE_MSR MSR_FS_BASE, 0, 0xFFFF8000
        READ_MSR MSR_FS_BASE
        movl    $0xFFFF8000, %eax
        CHECK   "a base has 64 bits", %rdx, %rax
        SET_SEGMENT_AT TEST, words, 0xFFF, DATA_ACCESS, FLAG_BIG
        movl    $TEST, %eax
        movw    %ax, %fs
        READ_MSR MSR_FS_BASE
        CHECK   "a selector loads the base of its descriptor", %rax, $words
        CHECK   "and clears its upper half", %rdx, $0
        TRY
        rdfsbase %rax
        CATCH   "RDFSBASE with CR4.FSGSBASE clear", UD
        SET_BITS cr4, CR4_FSGSBASE
        movabsq $0x123456789ABC, %rdi
        wrgsbase %rdi
        READ_MSR MSR_GS_BASE
        CHECK   "WRGSBASE", %rdx, $0x1234
        TRY_USER
        rdgsbase %rdi
        CATCH   "RDGSBASE in ring 3", NO_FAULT
        TRY
        NON_CANONICAL rdi
        wrfsbase %rdi
        CATCH   "WRFSBASE of an address that is not canonical", GP
        movl    $-1, %edi
        wrfsbase %edi
        READ_MSR MSR_FS_BASE
        CHECK   "WRFSBASE of 32 bits clears the upper half", %rdx, $0
        CLEAR_BITS cr4, CR4_FSGSBASE
        // Segment overrides other than FS and GS have no effect.
        SET_SEGMENT TEST, 0, 0, DATA_ACCESS, FLAG_BIG
        movl    $TEST, %eax
        movw    %ax, %ds
        movw    %ax, %es
        TRY
        mov     words + 8, %rax
        mov     %es:words + 8, %rcx
        CATCH   "DS and ES have no limit", NO_FAULT
        xorl    %eax, %eax
        movw    %ax, %ds
        TRY
        mov     words + 8, %rax
        CATCH   "a null DS can be used", NO_FAULT
        movl    $DATA, %eax
        movw    %ax, %ds
        movw    %ax, %es
        xorl    %eax, %eax
        movw    %ax, %fs
        movw    %ax, %gs
        ret

// --- Control registers (2.5), EFER (2.2.1) --------------------------------------------------------------------------------
.macro CR_CHECK name, register, set, clear=0, vector=GP
        TRY
        mov     %\register, %rax
        movabsq $(\set), %rcx
        or      %rcx, %rax
        movabsq $~(\clear), %rcx
        and     %rcx, %rax
        mov     %rax, %\register
        CATCH   "\name", \vector
.endm

control_registers:
        CR_CHECK "CR0 above bit 31", cr0, 1 << 32
        CR_CHECK "CR0.NW without CD", cr0, 1 << 29, 1 << 30
        CR_CHECK "CR0.PG cleared in 64-bit mode", cr0, 0, CR0_PG
        CR_CHECK "CR0.PE cleared with paging on", cr0, 0, CR0_PE
        CR_CHECK "CR4.PAE cleared in long mode", cr4, 0, CR4_PAE
        CR_CHECK "CR4 above bit 31", cr4, 1 << 32
        CR_CHECK "reserved bit of CR4", cr4, 1 << 15
        CR_CHECK "CR3 above the physical address width", cr3, 1 << 60
        CR_CHECK "CR3 bit 63 without PCIDE", cr3, 1 << 63
        TRY
        .byte   0x0F, 0x20, 0xC8                // MOV RAX, CR1
        CATCH   "CR1", UD
        TRY
        mov     $16, %eax
        mov     %rax, %cr8
        CATCH   "CR8 above 15", GP
        mov     $9, %eax
        mov     %rax, %cr8
        movl    $0xFEE00000, %edi
        movl    APIC_TPR(%rdi), %eax
        CHECK   "CR8 is the upper half of TPR", %rax, $0x90
        movl    $0x5A, APIC_TPR(%rdi)
        mov     %cr8, %rax
        CHECK   "TPR shows in CR8", %rax, $5
        xorl    %eax, %eax
        mov     %rax, %cr8
        movl    APIC_TPR(%rdi), %eax
        CHECK   "CR8 clears the lower half of TPR", %rax, $0
        TRY
        READ_MSR MSR_EFER
        orl     $2, %eax
        wrmsr
        CATCH   "reserved bit of EFER", GP      // QEMU's TCG ignores it
        TRY
        READ_MSR MSR_EFER
        andl    $~EFER_LME, %eax
        wrmsr
        CATCH   "EFER.LME with paging on", GP   // QEMU's TCG ignores it
        TRY
        READ_MSR MSR_EFER
        andl    $~EFER_LMA, %eax
        wrmsr
        CATCH   "EFER.LMA is read-only", NO_FAULT
        READ_MSR MSR_EFER
        and     $EFER_LMA, %eax
        CHECK   "and stays", %rax, $EFER_LMA
        TRY
        smsw    %eax
        CATCH   "SMSW", NO_FAULT
        TRY
        mov     %cr0, %rax
        and     $~CR0_PE, %eax
        lmsw    %ax
        mov     %cr0, %rdi
        CATCH   "LMSW cannot clear PE", NO_FAULT
        and     $CR0_PE, %edi
        CHECK   "PE", %rdi, $CR0_PE
        TRY
        movabsq $1 << 32, %rax
        mov     %rax, %dr7
        CATCH   "DR7 above bit 31", GP
        TRY
        movabsq $1 << 32, %rax
        mov     %rax, %dr6
        CATCH   "DR6 above bit 31", GP
        TRY
        .byte   0x0F, 0x21, 0xE0                // MOV RAX, DR4
        CATCH   "DR4 is DR6 with CR4.DE clear", NO_FAULT
        SET_BITS cr4, CR4_DE
        TRY
        .byte   0x0F, 0x21, 0xE0
        CATCH   "DR4 with CR4.DE", UD
        CLEAR_BITS cr4, CR4_DE
        ret

// --- Canonical addresses (vol. 1, 3.3.7.1) --------------------------------------------------------------------------------
addresses:
        TRY
        NON_CANONICAL rbx
        mov     (%rbx), %al
        CATCH   "data at an address that is not canonical", GP
        TRY
        movabsq $0x00007FFFFFFFFFFD, %rbx
        movl    (%rbx), %eax
        CATCH   "data that reaches into the hole", GP   // QEMU's TCG: #PF
        TRY
        NON_CANONICAL rbp
        mov     (%rbp), %al
        CATCH   "RBP as base", SS_FAULT
        TRY_USER
        NON_CANONICAL rsp
        add     $8, %rsp
        pushq   %rax
1:      CATCH   "push to an address that is not canonical", SS_FAULT
        NON_CANONICAL rax
        add     $8, %rax
        CHECK   "leaves RSP", fault_sp, %rax
        TRY
        NON_CANONICAL rax
1:      jmp     *%rax
        CATCH   "jump", GP
        CHECK   "faults at the jump", fault_ip, $1b     // QEMU's TCG: at the target
        TRY
        NON_CANONICAL rax
        mov     %rsp, %rsi
1:      call    *%rax
        CATCH   "call", GP
        CHECK   "faults at the call", fault_ip, $1b
        CHECK   "pushes nothing", fault_sp, %rsi
        TRY
        NON_CANONICAL rax
        push    %rax
        mov     %rsp, %rsi
1:      ret
        CATCH   "return", GP
        CHECK   "faults at the return", fault_ip, $1b
        CHECK   "pops nothing", fault_sp, %rsi
        TRY
        NON_CANONICAL rax
        invlpg  (%rax)
        CATCH   "INVLPG of an address that is not canonical", NO_FAULT
        TRY
        movabsq $0x00007FFFFFFFFFFF, %rax
        prefetcht0 1(%rax)
        CATCH   "PREFETCH", NO_FAULT
        ret

// --- Breakpoints (17.2, 17.3.1) ------------------------------------------------------------------------------------------
        .set    DR6_BS, 1 << 14
        .set    DR6_BD, 1 << 13
        .set    DR7_GD, 1 << 13
        .set    DR7_FIXED, 1 << 10
        .set    ON_EXECUTE, 0
        .set    ON_WRITE, 1
        .set    ON_PORT, 2
        .set    ON_ACCESS, 3
        .set    LENGTH_1, 0
        .set    LENGTH_2, 1
        .set    LENGTH_4, 3
        .set    LENGTH_8, 2

// Breakpoint 0 at an address; uses RAX.
.macro BREAKPOINT address, condition, length
        mov     $\address, %rax
        mov     %rax, %dr0
        xorl    %eax, %eax
        mov     %rax, %dr6
        movl    $(DR7_FIXED | 2 | (\condition) << 16 | (\length) << 18), %eax
        mov     %rax, %dr7
.endm
.macro NO_BREAKPOINT
        movl    $DR7_FIXED, %eax
        mov     %rax, %dr7
.endm
.macro CHECK_DR6 name, expected
        mov     %dr6, %rax
        and     $0xE00F, %eax
        CHECK   "\name", %rax, $(\expected)
.endm

breakpoints:
        BREAKPOINT 1f, ON_EXECUTE, LENGTH_1
        TRY
        xorl    %ebx, %ebx
1:      incl    %ebx
        CATCH   "execution breakpoint", DB
        CHECK   "it is a fault", fault_ip, $1b
        CHECK   "before the instruction", %rbx, $0
        CHECK_DR6 "DR6.B0", 1
        mov     fault_flags, %rax
        and     $FLAG_RF, %eax
        CHECK   "its handler sees RF clear", %rax, $0

        // RF lets the instruction pass once.
        TRY
        xorl    %ebx, %ebx
        pushq   $DATA
        pushq   $ist_stack2_top
        pushq   $(FLAG_FIXED | FLAG_RF)
        pushq   $CODE64
        pushq   $1f
        movq    $1f, %rax
        mov     %rax, %dr0
        iretq
1:      incl    %ebx
        CATCH   "RF passes an execution breakpoint", NO_FAULT
        CHECK   "the instruction ran", %rbx, $1
        TRY
        movl    $2, %ecx
        xorl    %ebx, %ebx
        movq    $1f, %rax
        mov     %rax, %dr0
        pushq   $DATA
        pushq   $ist_stack2_top
        pushq   $(FLAG_FIXED | FLAG_RF)
        pushq   $CODE64
        pushq   $1f
        iretq
1:      incl    %ebx
        loop    1b
        CATCH   "but only once", DB
        CHECK   "one pass", %rbx, $1

        BREAKPOINT words, ON_WRITE, LENGTH_8
        TRY
        movl    words, %eax
        CATCH   "write breakpoint: a read passes", NO_FAULT
        TRY
        movb    $0x77, words + 7
1:      nop
        CATCH   "write breakpoint", DB
        CHECK   "it is a trap", fault_ip, $1b
        movzbl  words + 7, %eax
        CHECK   "the byte was stored", %rax, $0x77
        CHECK_DR6 "DR6.B0 by the write", 1
        NO_BREAKPOINT
        movb    $0, words + 7
        BREAKPOINT words, ON_WRITE, LENGTH_8
        TRY
        movl    $1, words + 8
        movl    $0x1111, words + 8
        CATCH   "write behind the watched bytes", NO_FAULT
        BREAKPOINT words + 4, ON_ACCESS, LENGTH_4
        TRY
        mov     words, %rax
1:      nop
        CATCH   "access breakpoint on a read that overlaps", DB
        CHECK   "behind the read", fault_ip, $1b
        TRY
        mov     $words, %rsi
        mov     $buffer, %rdi
        movl    $8, %ecx
        rep movsb
1:      nop
        CATCH   "access breakpoint within REP MOVSB", DB
        CHECK   "after the iteration that hit", %rcx, $3
        BREAKPOINT words, ON_WRITE, LENGTH_4
        TRY
        lock incl words
1:      nop
        CATCH   "write breakpoint on a locked instruction", DB
        CHECK   "behind it", fault_ip, $1b
        NO_BREAKPOINT
        movl    $0, words
        BREAKPOINT words + 16, ON_WRITE, LENGTH_8
        TRY
        lea     words + 24(%rip), %rsp
        pushq   words + 16
1:      nop
        CATCH   "write breakpoint on a push", DB
        CHECK   "behind the push", fault_ip, $1b

        BREAKPOINT (page + 0xFF8), ON_WRITE, LENGTH_8
        TRY
        movq    $0, page + 0xFFC
1:      nop
        CATCH   "write breakpoint on a store over a page's end", DB
        CHECK   "behind the store", fault_ip, $1b
        BREAKPOINT (page + 0x1000), ON_WRITE, LENGTH_1
        TRY
        movq    $0, page + 0xFF9
1:      nop
        CATCH   "write breakpoint on its last byte, in the second page", DB
        NO_BREAKPOINT
        TRY
        movq    $0, page + 0xFF9
        CATCH   "no breakpoint any more", NO_FAULT
        BREAKPOINT page, ON_WRITE, LENGTH_1
        TRY
        mov     $page, %rdi
        movl    $64, %ecx
        xorl    %eax, %eax
        rep stosq
        CATCH   "write breakpoint in a long REP STOSQ", DB
        CHECK   "after the first", %rcx, $63
        SET_BITS cr4, CR4_DE
        BREAKPOINT 0x80, ON_PORT, LENGTH_1
        TRY
        outb    %al, $0x80
1:      nop
        CATCH   "port breakpoint", DB
        CHECK   "behind OUT", fault_ip, $1b
        TRY
        outb    %al, $0x81
        CATCH   "another port", NO_FAULT
        CLEAR_BITS cr4, CR4_DE
        NO_BREAKPOINT

        movl    $(DR7_FIXED | DR7_GD), %eax
        mov     %rax, %dr7
        TRY
1:      mov     %dr0, %rax
        CATCH   "DR7.GD protects the debug registers", DB
        CHECK   "before the access", fault_ip, $1b
        mov     %dr7, %rax
        and     $DR7_GD, %eax
        CHECK   "GD is clear in the handler", %rax, $0
        CHECK_DR6 "DR6.BD", DR6_BD
        xorl    %eax, %eax
        mov     %rax, %dr6
        TRY
        .byte   0xF1                            // INT1
1:      nop
        CATCH   "INT1", DB
        CHECK   "INT1 is a trap", fault_ip, $1b
        CHECK_DR6 "INT1 leaves DR6", 0
        ret

// --- Single step (17.3.1.4) ------------------------------------------------------------------------------------------------
// Counts traps and notes the last three addresses.
step_hook:
        incq    steps
        mov     step_second, %rcx
        mov     %rcx, step_third
        mov     step_first, %rcx
        mov     %rcx, step_second
        mov     FRAME_IP(%rax), %rcx
        mov     %rcx, step_first
        ret

.macro STEP_ON
        movq    $0, steps
        pushq   $(FLAG_FIXED | FLAG_TF)
        popfq
.endm
.macro STEP_OFF
        pushq   $FLAG_FIXED
        popfq
.endm

single_step:
        HOOK    DB, step_hook
        xorl    %eax, %eax
        mov     %rax, %dr6
        STEP_ON
        nop
1:      nop
        STEP_OFF                                // PUSH is traced, POPF is as well
        CHECK   "four instructions, four traps", steps, $4
        CHECK_DR6 "DR6.BS", DR6_BS
        STEP_ON
        nop
1:      STEP_OFF
        CHECK   "the first trap comes behind the instruction after POPF", step_third, $1b

        movl    $3, %ecx
        mov     $words, %rsi
        mov     $buffer, %rdi
        STEP_ON
1:      rep movsb
        STEP_OFF
        CHECK   "REP traps after each iteration", steps, $5
        movl    $3, %ecx
        movq    $0, noted_ip
        STEP_ON
1:      loop    1b
        STEP_OFF
        CHECK   "three turns of LOOP", steps, $5

        // 6.8.3: no trap between MOV SS and the instruction behind it.
        movl    $DATA, %eax
        STEP_ON
        movw    %ax, %ss
        nop
1:      STEP_OFF
        CHECK   "MOV SS suppresses one trap", steps, $3
        CHECK   "which comes behind the next instruction", step_third, $1b

        // INT n clears TF for its handler; the trap for INT n itself does not come, IRETQ brings TF back.
        HOOK    VECTOR, do_nothing
        STEP_ON
        int     $VECTOR
        nop
1:      STEP_OFF
        CHECK   "no trap for INT n, one for what follows its IRET", steps, $3
        CHECK   "behind that instruction", step_third, $1b
        UNHOOK  VECTOR

        // A fault's handler does not run with TF, and the faulting instruction makes no trap.
        HOOK    UD, skip_ud2
        STEP_ON
        ud2
        nop
1:      STEP_OFF
        CHECK   "no trap for an instruction that faults", steps, $3
        UNHOOK  UD
        // TF and SYSCALL: FMASK clears TF for the entry.
        WRITE_MSR MSR_LSTAR, system_call_entry
        WRITE_MSR MSR_FMASK, FLAG_TF
        UNHOOK  DB
        TRY
        STEP_ON
        syscall
        CATCH   "SYSCALL whose FMASK has TF makes no trap", NO_FAULT
        STEP_OFF
        ret

do_nothing:
        ret
skip_ud2:
        addq    $2, FRAME_IP(%rax)
        ret

// --- STI, MOV SS and interrupts (6.8.3) -------------------------------------------------------------------------------------
.macro SELF_INTERRUPT vector
        movl    $0xFEE00000, %edi
        movl    $(ICR_SELF | ICR_ASSERT | (\vector)), APIC_ICR_LOW(%rdi)
.endm

interrupt_hook:
        incq    interrupts
        mov     FRAME_IP(%rax), %rcx
        mov     %rcx, interrupt_ip
        movl    $0xFEE00000, %edi
        movl    $0, APIC_EOI(%rdi)
        ret

interrupt_shadows:
        movl    $0xFEE00000, %edi
        movl    $0x1FF, APIC_SPURIOUS(%rdi)
        HOOK    IRQ_VECTOR, interrupt_hook
        movq    $0, interrupts
        SELF_INTERRUPT IRQ_VECTOR
        WAIT
        CHECK   "IF clear holds an interrupt", interrupts, $0
        sti
        nop
1:      nop
        cli
        CHECK   "STI lets it in", interrupts, $1
        CHECK   "behind the instruction after STI", interrupt_ip, $1b
        SELF_INTERRUPT IRQ_VECTOR
        WAIT
        sti
        cli
        nop
        CHECK   "STI and CLI let nothing in", interrupts, $1
        movl    $DATA, %eax
        pushq   $(FLAG_FIXED | FLAG_IF)
        popfq
1:      nop
        cli
        CHECK   "POPF lets it in", interrupts, $2
        CHECK   "right behind POPF", interrupt_ip, $1b
        SELF_INTERRUPT IRQ_VECTOR
        WAIT
        movl    $DATA, %eax
        sti
        movw    %ax, %ss
        nop
1:      nop
        cli
        CHECK   "MOV SS lets it in later", interrupts, $3
        // 6.8.3: of STI and MOV SS in sequence only the first may hold; both outcomes are allowed.
        mov     interrupt_ip, %rax
        sub     $1b, %rax
        not     %rax
        shr     $63, %rax
        CHECK   "no later than one instruction behind MOV SS", %rax, $1
        // HLT behind STI wakes up at once.
        SELF_INTERRUPT IRQ_VECTOR
        WAIT
        sti
        hlt
1:      cli
        CHECK   "STI and HLT", interrupts, $4
        CHECK   "returns behind HLT", interrupt_ip, $1b
        UNHOOK  IRQ_VECTOR
        ret

// --- NMI (6.7) -------------------------------------------------------------------------------------------------------------
.macro SELF_NMI
        movl    $0xFEE00000, %edi
        movl    APIC_ID(%rdi), %esi
        movl    %esi, APIC_ICR_HIGH(%rdi)
        movl    $(ICR_NMI | ICR_ASSERT), APIC_ICR_LOW(%rdi)
.endm

// The first NMI raises another, which must wait for this one's IRET.
nmi_hook:
        incq    interrupts
        cmpq    $1, interrupts
        jne     1f
        SELF_NMI
        WAIT
        mov     interrupts, %rcx
        mov     %rcx, interrupts_inside
1:      ret

non_maskable_interrupts:
        HOOK    NMI, nmi_hook
        movq    $0, interrupts
        SELF_NMI
        WAIT_FOR interrupts, 2
        WAIT
        CHECK   "an NMI needs no IF, and comes again after IRET", interrupts, $2
        CHECK   "it is blocked in the handler", interrupts_inside, $1
        // Two while blocked collapse into one.
        HOOK    NMI, nmi_twice_hook
        movq    $0, interrupts
        SELF_NMI
        WAIT_FOR interrupts, 2
        WAIT
        CHECK   "NMIs while blocked collapse into one", interrupts, $2
        // Any IRET unblocks, also one of another exception inside the handler.
        HOOK    NMI, nmi_nested_hook
        HOOK    BP_TRAP, do_nothing
        movq    $0, interrupts
        SELF_NMI
        WAIT_FOR interrupts, 2
        CHECK   "an exception's IRET in the handler unblocks NMIs", interrupts_inside, $2
        UNHOOK  BP_TRAP
        UNHOOK  NMI
        ret

nmi_twice_hook:
        incq    interrupts
        cmpq    $1, interrupts
        jne     1f
        SELF_NMI
        WAIT
        SELF_NMI
        WAIT
1:      ret

nmi_nested_hook:
        incq    interrupts
        cmpq    $1, interrupts
        jne     1f
        SELF_NMI
        int3
        WAIT
        mov     interrupts, %rcx
        mov     %rcx, interrupts_inside
1:      ret

// --- #DF on its own stack ------------------------------------------------------------------------------------------------
double_fault:
        SET_GATE idt, DF * 16, interrupt_stubs + DF * STUB_SIZE, CODE64, INTERRUPT_GATE, 2
        SET_GATE idt, GP * 16, 0, CODE64, INTERRUPT_GATE & ~0x80
        TRY
        NON_CANONICAL rbx
        mov     (%rbx), %al
        CATCH   "#GP whose gate is not present makes #DF", DF
        mov     fault_frame, %rax
        CHECK   "on IST 2", %rax, $(ist_stack2_top - FRAME_SS - 8)
        SET_GATE idt, GP * 16, interrupt_stubs + GP * STUB_SIZE, CODE64, INTERRUPT_GATE | DPL3
        // A page fault that cannot be pushed: RSP points where nothing is mapped.
        TRY
        movabsq $0x0000700000000000, %rsp
        mov     (%rsp), %al
        CATCH   "#PF whose frame makes a #PF is #DF", DF
        TRY
        NON_CANONICAL rsp
        int3
        CATCH   "#BP on a stack that is not canonical", DF      // #SS follows #BP, and its frame fails too
        ret

// --- System descriptors of 16 bytes (3.5.2, 7.2.3) -----------------------------------------------------------------------------------
        .set    WIDE, FREE + 24                 // 16 bytes
        .set    LAST, GDT_LIMIT - 7             // a slot whose second half lies behind the GDT's limit

system_segments:
        SET_SEGMENT_AT WIDE, words, 15, 0x82, 0
        movq    $0, gdt + WIDE + 8
        TRY
        movl    $WIDE, %eax
        lldt    %ax
        CATCH   "LLDT", NO_FAULT
        movl    $0x8000, gdt + WIDE + 8
        TRY
        movl    $WIDE, %eax
        lldt    %ax
        CATCH   "LLDT with a base that is not canonical", GP, WIDE      // QEMU's TCG does not check
        movl    $0, gdt + WIDE + 8
        SET_SEGMENT LAST, 0, 15, 0x82, 0
        TRY
        movl    $LAST, %eax
        lldt    %ax
        CATCH   "a system descriptor must lie in the GDT as a whole", GP, LAST
        xorl    %eax, %eax
        lldt    %ax
        SET_SEGMENT_AT WIDE, words, 0x67, 0x81, 0
        TRY
        movl    $WIDE, %eax
        ltr     %ax
        CATCH   "LTR of a 16-bit TSS", GP, WIDE
        SET_SEGMENT_AT WIDE, words, 0x67, 0x89, 0
        TRY
        pushq   $WIDE
        pushq   $0
        ljmp    *4(%rsp)
        CATCH   "far jump to a TSS", GP, WIDE
        movl    $WIDE, %ecx
        movl    $0xDEAD, %eax
        lar     %ecx, %eax
        andl    $~0xF0000, %eax
        CHECK   "LAR of a TSS", %rax, $0x8900
        SET_SEGMENT WIDE, 0, 0, 0x85, 0
        movl    $0xDEAD, %eax
        lar     %ecx, %eax
        CHECK   "LAR of a task gate", %rax, $0xDEAD
        SET_SEGMENT WIDE, 0, 0xFFFFF, DATA_ACCESS & ~0x80, FLAT
        TRY
        movl    $WIDE, %eax
        movw    %ax, %ds
        CATCH   "data segment not present", NP, WIDE
        TRY
        xorl    %eax, %eax
        movw    %ax, %ss
        CATCH   "null SS in 64-bit ring 0", NO_FAULT
        TRY
        movl    $3, %eax
        movw    %ax, %ss
        CATCH   "null SS with RPL 3 in ring 0", GP
        TRY_USER
        movl    $3, %eax
        movw    %ax, %ss
        CATCH   "null SS in ring 3", GP
        ret

// --- Operands of 64-bit mode ------------------------------------------------------------------------------------------------------------
wide_operands:
        movq    $-1, buffer + 8
        sgdt    buffer
        movzwl  buffer, %eax
        CHECK   "SGDT: limit", %rax, $GDT_LIMIT
        mov     buffer + 2, %rax
        CHECK   "SGDT: base of 8 bytes", %rax, $gdt
        movw    $0xFF, buffer
        NON_CANONICAL rax
        mov     %rax, buffer + 2
        TRY
        lgdt    buffer
        CATCH   "LGDT of a base that is not canonical", GP
        TRY
        lidt    buffer
        CATCH   "LIDT of a base that is not canonical", GP
        TRY
        lock cmpxchg16b buffer + 8
        CATCH   "CMPXCHG16B at an address that is no multiple of 16", GP
        // Far pointers of m16:64.
        movl    $1f, buffer
        movl    $0, buffer + 4
        movw    $CODE64, buffer + 8
        TRY
        rex64 ljmp *buffer
        FAIL    "far jump by m16:64 went on"
1:      CATCH   "far jump by m16:64", NO_FAULT
        NON_CANONICAL rax
        mov     %rax, buffer
        TRY
1:      rex64 ljmp *buffer
        CATCH   "far jump by m16:64 to an address that is not canonical", GP
        CHECK   "faults at the jump", fault_ip, $1b
        movq    $ist_stack2_top, buffer
        movw    $DATA, buffer + 8
        TRY
        lssq    buffer, %rsp
        mov     %rsp, %rdi
        CATCH   "LSS of 64 bits", NO_FAULT
        CHECK   "RSP", %rdi, $ist_stack2_top
        mov     $-1, %rax
        movw    %ds, %ax
        mov     $-1, %rdi
        movl    %ds, %edi
        CHECK   "MOV of a segment register to 32 bits clears the rest", %rdi, $DATA
        mov     $-1, %rdi
        str     %edi
        CHECK   "STR to 32 bits", %rdi, $TSS
        mov     %cr0, %rax
        mov     $-1, %rdi
        smsw    %rdi
        andl    $0xFFFF, %eax
        andl    $0xFFFF, %edi
        CHECK   "SMSW of 64 bits", %rdi, %rax
        ret

model_specific_registers:
        TRY
        READ_MSR 0x12345678
        CATCH   "RDMSR of an unknown register", GP
        TRY
        WRITE_MSR 0x12345678, 0
        CATCH   "WRMSR of an unknown register", GP
        TRY_USER
        READ_MSR MSR_EFER
        CATCH   "RDMSR in ring 3", GP
        TRY
        WRITE_MSR 0x1B, 0xFEE00900, 0x80000000
        CATCH   "reserved bits of IA32_APIC_BASE", GP
        TRY
        WRITE_MSR 0x277, 2
        CATCH   "reserved memory type in IA32_PAT", GP
        READ_MSR 0x10
        mov     %rax, %rsi
        mov     %rdx, %rdi
        shl     $32, %rdi
        or      %rdi, %rsi
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        cmp     %rsi, %rax
        setae   %al
        movzbl  %al, %eax
        CHECK   "IA32_TIME_STAMP_COUNTER and RDTSC agree", %rax, $1
        WRITE_MSR 0xC0000103, 0x1234
        rdtscp
        CHECK   "RDTSCP reads TSC_AUX", %rcx, $0x1234
        ret

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
