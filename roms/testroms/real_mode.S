// Real-address mode (SDM vol. 3, 20.1; vol. 1, 3.3.1) in place of a BIOS: the reset state, segments and their limits, "unreal"
// mode, the interrupt vector table, single step, string instructions at a segment's end, the A20 gate.
//
// Reports like the other ROMs, but from 16-bit code in segment F000; its variables lie in segment 0.

        .set    DEBUG_PORT, 0xE9
        .set    EXIT_PORT, 0x501
        .set    EXIT_PASS, 0x10         // exit status 33
        .set    EXIT_FAIL, 0x11         // exit status 35
        .set    A20_PORT, 0x92
        .set    A20_ENABLE, 2
        .set    BIOS_SEGMENT, 0xF000
        .set    STACK_TOP, 0x7000
        .set    DATA_SEGMENT, 0x2000    // 64 KiB for tests at linear 0x20000
        .set    CR0_PE, 1
        .set    FLAG_TF, 1 << 8
        .set    FLAG_IF, 1 << 9
        .set    FLAG_AC, 1 << 18
        .set    NO_FAULT, 0x80
        .set    DE, 0
        .set    DB, 1
        .set    BP_TRAP, 3
        .set    OF, 4
        .set    BR, 5
        .set    UD, 6
        .set    SS_FAULT, 12
        .set    GP, 13

// Variables in segment 0.
        .set    checks, 0x500
        .set    failures, 0x502
        .set    resume_ip, 0x504
        .set    resume_sp, 0x506
        .set    fault_vector, 0x508
        .set    fault_ip, 0x50A
        .set    fault_cs, 0x50C
        .set    fault_flags, 0x50E
        .set    fault_sp, 0x510
        .set    steps, 0x512
        .set    reset_edx, 0x514
        .set    reset_cr0, 0x518
        .set    reset_cs, 0x51C
        .set    saved_flags, 0x51E

.macro STRING text
        .pushsection .rodata, "a"
88:     .asciz  "\text"
        .popsection
.endm

// Compares two 32-bit values: registers, immediates, or words in segment 0. Keeps all registers and flags.
.macro CHECK name, actual, expected
        STRING  "\name"
        pushl   \expected
        pushl   \actual
        pushw   $88b
        call    check_equal
.endm

.macro CHECK_WORD name, variable, expected
        pushl   %eax
        pushw   %fs
        pushw   $0
        popw    %fs
        movzwl  %fs:\variable, %eax
        popw    %fs
        CHECK   "\name", %eax, $(\expected)
        popl    %eax
.endm

// The code between must raise just this exception. FS is segment 0 throughout.
.macro TRY
        movw    $77f, %fs:resume_ip
        movw    %sp, %fs:resume_sp
.endm
.macro CATCH name, vector
        int     $NO_FAULT
77:     CHECK_WORD "\name", fault_vector, \vector
.endm

.macro SET_VECTOR vector, handler
        movw    $\handler, %fs:(\vector) * 4
        movw    $BIOS_SEGMENT, %fs:(\vector) * 4 + 2
.endm

        .text
        .code16
        .globl  _start
_start:
        movl    %edx, %ebp
        movl    %cr0, %ebx
        movw    %cs, %cx
        cli
        cld
        ljmpw   $BIOS_SEGMENT, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ss
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    $STACK_TOP, %sp
        movl    %ebp, reset_edx
        movl    %ebx, reset_cr0
        movw    %cx, reset_cs
        movl    $0, checks
        call    set_up_vectors
        call    reset_state
        call    interrupts
        call    limits
        call    stacks
        call    strings
        call    single_step
        call    far_transfers
        call    not_recognized
        call    address_line_20
        call    unreal_mode
        call    protected_and_back
        jmp     finish

// --- Reset (9.1) -----------------------------------------------------------------------------------------------------------------
reset_state:
        CHECK_WORD "CS selector at the reset vector", reset_cs, 0xF000
        CHECK   "CR0 after reset", %fs:reset_cr0, $0x60000010
        movl    $1, %eax
        cpuid
        CHECK   "EDX after reset is the processor's signature", %fs:reset_edx, %eax
        sidtw   0x600
        CHECK_WORD "IDTR limit", 0x600, 0xFFFF
        pushfl
        popl    %eax
        andl    $(FLAG_IF | FLAG_TF), %eax
        CHECK   "interrupts are off", %eax, $0
        ret

// --- Interrupts (20.1.4) ------------------------------------------------------------------------------------------------------------
interrupts:
        TRY
        movw    %sp, %bx
        int     $0x60
1:      CATCH   "INT n", 0x60
        subw    $6, %bx
        movzwl  %bx, %ebx
        movzwl  %fs:fault_sp, %eax
        CHECK   "pushes three words", %eax, %ebx
        CHECK_WORD "IP behind INT n", fault_ip, 1b
        CHECK_WORD "CS", fault_cs, BIOS_SEGMENT
        SET_VECTOR 0x61, note_flags
        pushw   $(FLAG_IF | 2)
        popfw
        int     $0x61
        pushfw
        popw    %bx
        cli
        movzwl  %fs:saved_flags, %eax
        andl    $(FLAG_IF | FLAG_TF), %eax
        CHECK   "IF is clear in the handler", %eax, $0
        movzwl  %bx, %eax
        andl    $FLAG_IF, %eax
        CHECK   "IRET brings it back", %eax, $FLAG_IF
        TRY
        xorw    %cx, %cx
1:      divw    %cx
        CATCH   "DIV by 0", DE
        CHECK_WORD "#DE is a fault", fault_ip, 1b
        TRY
        int3
1:      CATCH   "INT3", BP_TRAP
        CHECK_WORD "INT3 is a trap", fault_ip, 1b
        TRY
        movb    $0x7F, %al
        incb    %al
        into
        CATCH   "INTO", OF
        movw    $1, 0x600
        movw    $5, 0x602
        TRY
        movw    $6, %ax
        bound   %ax, 0x600
        CATCH   "BOUND", BR
        TRY
        ud2
        CATCH   "UD2", UD
        // A shorter table.
        movw    $0x61 * 4 + 3 - 4, 0x600
        movl    $0, 0x602
        lidtl   0x600
        TRY
        int     $0x61
        CATCH   "vector beyond the IDT's limit", GP
        // A table elsewhere.
        movw    $0x3FF, 0x600
        movl    $0x30000, 0x602
        movw    $0x3000, %ax
        movw    %ax, %es
        xorw    %si, %si
        xorw    %di, %di
        movw    $0x200, %cx
        rep movsw
        movw    $note_flags, %es:0x62 * 4
        movw    $0, %fs:saved_flags
        lidtl   0x600
        int     $0x62
        CHECK_WORD "IDT at another address", saved_flags, 2
        movl    $0, 0x602
        lidtl   0x600
        xorw    %ax, %ax
        movw    %ax, %es
        ret

note_flags:
        pushfw
        popw    %fs:saved_flags
        andw    $(FLAG_IF | FLAG_TF | 2), %fs:saved_flags
        iretw

// --- Limits (20.1.1; vol. 1, 3.3.4) --------------------------------------------------------------------------------------------------
limits:
        movw    $DATA_SEGMENT, %ax
        movw    %ax, %ds
        movl    $0x12345678, 0x10
        movl    $0x9ABCDEF0, 0xFFFC
        movw    $DATA_SEGMENT + 1, %ax
        movw    %ax, %es
        movl    %es:0, %eax
        CHECK   "segments overlap by 16 bytes", %eax, $0x12345678
        TRY
        movl    0xFFFC, %ebx
        CATCH   "doubleword that ends at 0xFFFF", NO_FAULT
        CHECK   "its value", %ebx, $0x9ABCDEF0
        TRY
1:      movl    0xFFFD, %ebx
        CATCH   "doubleword over 0xFFFF", GP
        CHECK_WORD "is a fault", fault_ip, 1b
        TRY
        movw    0xFFFF, %ax
        CATCH   "word at 0xFFFF", GP
        TRY
        movb    0xFFFF, %al
        CATCH   "byte at 0xFFFF", NO_FAULT
        TRY
        movl    $0x10000, %ebx
        movb    (%ebx), %al
        CATCH   "32-bit offset above 0xFFFF", GP
        TRY
        movw    $0xFFFF, %bx
        movw    $2, %si
        movb    (%bx, %si), %al
        CATCH   "16-bit offsets wrap", NO_FAULT
        movb    $0x5A, 1
        movw    $0xFFFF, %bx
        movw    $2, %si
        movzbl  (%bx, %si), %eax
        CHECK   "to the segment's beginning", %eax, $0x5A
        TRY
        movl    $0, 0xFFFE
        CATCH   "store over 0xFFFF", GP
        movw    0xFFFE, %ax
        movzwl  %ax, %eax
        CHECK   "stores nothing", %eax, $0x9ABC
        movl    $0x10000, %esi
        TRY
        movw    $0xFFFF, %bx
        bound   %ax, (%bx)
        CATCH   "BOUND over 0xFFFF", GP
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        ret

// --- Stacks -------------------------------------------------------------------------------------------------------------------------
stacks:
        TRY
        movw    $0x2000, %bp
        movl    $0x11223344, 0x2000
        movl    (%bp), %ebx
        CATCH   "BP means SS", NO_FAULT
        CHECK   "value by BP", %ebx, $0x11223344
        // With its own stack segment, as the fault is pushed there as well.
        movw    $DATA_SEGMENT, %cx
        movw    %cx, %ss
        movw    $0, %sp
        pushw   $0x7777
        movzwl  %sp, %eax
        xorw    %cx, %cx
        movw    %cx, %ss
        movw    $STACK_TOP - 2, %sp             // the return address of this function
        CHECK   "push at SP 0 wraps", %eax, $0xFFFE
        movw    $DATA_SEGMENT, %cx
        movw    %cx, %gs
        movzwl  %gs:0xFFFE, %eax
        CHECK   "to the segment's end", %eax, $0x7777
        movl    %esp, %edx
        pushl   $0x12345678
        popw    %bx
        popw    %cx
        cmpl    %esp, %edx
        setz    %al
        movzbl  %al, %eax
        CHECK   "a doubleword is two words", %eax, $1
        movzwl  %cx, %eax
        CHECK   "upper word above", %eax, $0x1234
        movw    %sp, %dx
        pushw   %sp
        popw    %ax
        movzwl  %ax, %eax
        movzwl  %dx, %edx
        CHECK   "PUSH SP pushes the old SP", %eax, %edx
        pushal
        movl    %esp, %ebx
        movl    (%ebx), %eax                    // EDI
        popal
        xorw    %ax, %ax
        movw    %ax, %gs
        ret

// --- String instructions at a segment's end --------------------------------------------------------------------------------------------
strings:
        movw    $DATA_SEGMENT, %ax
        movw    %ax, %es
        movw    %ax, %ds
        movw    $0xFFFE, %di
        movw    $4, %cx
        movb    $0xA5, %al
        rep stosb
        movzwl  %di, %eax
        CHECK   "REP STOSB wraps DI", %eax, $2
        movzbl  0xFFFF, %eax
        CHECK   "last byte", %eax, $0xA5
        movzbl  1, %eax
        CHECK   "byte behind the wrap", %eax, $0xA5
        movb    $1, 0xFFFF
        movb    $2, 0
        movw    $0xFFFF, %si
        movw    $0x100, %di
        movw    $2, %cx
        rep movsb
        movzwl  0x100, %eax
        CHECK   "REP MOVSB wraps SI", %eax, $0x0201
        TRY
        movw    $0xFFFF, %si
        lodsw
        CATCH   "LODSW at 0xFFFF", GP
        movzwl  %si, %eax
        CHECK   "leaves SI", %eax, $0xFFFF
        TRY
        movw    $0xFFFC, %di
        movw    $4, %cx
        xorw    %ax, %ax
        rep stosw
        CATCH   "REP STOSW wraps between words", NO_FAULT
        TRY
        movw    $0xFFFB, %di
        movw    $4, %cx
        rep stosw
        CATCH   "REP STOSW over 0xFFFF", GP
        movzwl  %cx, %eax
        CHECK   "after two words", %eax, $2
        movzwl  %di, %eax
        CHECK   "at the third", %eax, $0xFFFF
        movw    $1, %di
        movw    $3, %cx
        movb    $0x3C, %al
        std
        rep stosb
        cld
        movzwl  %di, %eax
        CHECK   "downwards DI wraps as well", %eax, $0xFFFE
        movl    $0xABCD0003, %ecx
        movw    $0x200, %di
        rep stosb
        CHECK   "REP with 16-bit addresses counts in CX", %ecx, $0xABCD0000
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        ret

// --- Single step -------------------------------------------------------------------------------------------------------------------
single_step:
        SET_VECTOR DB, step_handler
        movw    $0, %fs:steps
        pushw   $(FLAG_TF | 2)
        popfw
        nop
        nop
        pushw   $2
        popfw
        CHECK_WORD "four instructions, four traps", steps, 4
        movw    $0, %fs:steps
        xorw    %ax, %ax
        pushw   $(FLAG_TF | 2)
        popfw
        movw    %ax, %ss
        nop
        pushw   $2
        popfw
        CHECK_WORD "MOV SS suppresses one trap", steps, 3
        movw    $0, %fs:steps
        pushw   $(FLAG_TF | 2)
        popfw
        int     $0x61
        pushw   $2
        popfw
        CHECK_WORD "no trap within INT n", steps, 2
        CHECK_WORD "TF is clear in its handler", saved_flags, 2
        movw    $fault_stub_db, %fs:DB * 4
        ret

step_handler:
        incw    %fs:steps
        iretw

// --- Far transfers -------------------------------------------------------------------------------------------------------------------
far_transfers:
        lcallw  $BIOS_SEGMENT - 0x100, $far_function + 0x1000
        movzwl  %bx, %eax
        CHECK   "far CALL through another segment", %eax, $(BIOS_SEGMENT - 0x100)
        pushw   $BIOS_SEGMENT
        pushw   $1f
        lretw
1:      movw    $2f, 0x600
        movw    $BIOS_SEGMENT, 0x602
        ljmpw   *0x600
2:      TRY
        movl    $1f, %eax
        orl     $0x10000, %eax
        jmpl    *%eax
1:      CATCH   "near JMP beyond 0xFFFF", GP
        TRY
        pushw   $BIOS_SEGMENT
        pushw   $(2 | FLAG_TF)
        popw    %ax
        popw    %ax
        pushfw
        pushw   $BIOS_SEGMENT
        pushw   $1f
        iretw
1:      CATCH   "IRET", NO_FAULT
        ret

far_function:
        movw    %cs, %bx
        lretw

// --- Instructions that real mode does not have (20.1.3), and privileged ones, which it has ----------------------------------------------
not_recognized:
        TRY
        verr    %ax
        CATCH   "VERR", UD
        TRY
        lar     %ax, %bx
        CATCH   "LAR", UD
        TRY
        arpl    %ax, %bx
        CATCH   "ARPL", UD
        TRY
        sldtw   %ax
        CATCH   "SLDT", UD
        TRY
        ltr     %ax
        CATCH   "LTR", UD
        TRY
        movl    %cr0, %eax
        movl    %eax, %cr0
        clts
        cli
        CATCH   "MOV CR0, CLTS and CLI", NO_FAULT
        TRY
        sysenter
        CATCH   "SYSENTER", GP
        TRY
        movl    %cr0, %eax
        orl     $(1 << 31), %eax
        movl    %eax, %cr0
        CATCH   "paging without protection", GP
        TRY
        lock nop
        CATCH   "LOCK NOP", UD
        ret

// --- A20 ------------------------------------------------------------------------------------------------------------------------------
address_line_20:
        movw    $0xFFFF, %ax
        movw    %ax, %es
        inb     $A20_PORT, %al
        orb     $A20_ENABLE, %al
        andb    $~1, %al
        outb    %al, $A20_PORT
        movl    $0x11111111, 0x600
        movl    $0x22222222, %es:0x610
        CHECK   "A20 open: 1 MiB and 0 differ", %fs:0x600, $0x11111111
        movl    %es:0x610, %eax
        CHECK   "A20 open: above 1 MiB", %eax, $0x22222222
        inb     $A20_PORT, %al
        andb    $~(A20_ENABLE | 1), %al
        outb    %al, $A20_PORT
        movl    %es:0x610, %eax
        CHECK   "A20 closed: 1 MiB wraps to 0", %eax, $0x11111111
        movl    $0x33333333, %es:0x610
        CHECK   "A20 closed: stores wrap", %fs:0x600, $0x33333333
        inb     $A20_PORT, %al
        orb     $A20_ENABLE, %al
        andb    $~1, %al
        outb    %al, $A20_PORT
        movl    %es:0x610, %eax
        CHECK   "A20 open again", %eax, $0x22222222
        xorw    %ax, %ax
        movw    %ax, %es
        ret

// --- Unreal mode (9.9.2): limits loaded in protected mode stay ----------------------------------------------------------------------------
unreal_mode:
        lgdtl   %cs:gdt_pointer
        movl    %cr0, %eax
        orl     $CR0_PE, %eax
        movl    %eax, %cr0
        jmp     1f
1:      movw    $8, %bx
        movw    %bx, %gs
        andl    $~CR0_PE, %eax
        movl    %eax, %cr0
        jmp     2f
2:      xorw    %ax, %ax
        movw    %ax, %gs
        movl    $0x200000, %ebx
        TRY
        movl    $0xFEEDF00D, %gs:(%ebx)
        CATCH   "a limit of 4 GiB stays", NO_FAULT
        movl    %gs:(%ebx), %eax
        CHECK   "above 1 MiB", %eax, $0xFEEDF00D
        movw    $0x1000, %ax
        movw    %ax, %gs
        movl    $0x12345678, %gs:0
        xorw    %ax, %ax
        movw    %ax, %gs
        movl    $0x10000, %ebx
        movl    %gs:(%ebx), %eax
        CHECK   "a load changes the base only", %eax, $0x12345678
        TRY
        movw    $1, %ax
        movb    %ds:(%ebx), %al
        CATCH   "other segments keep theirs", GP
        // Back to 64 KiB.
        movl    %cr0, %eax
        orl     $CR0_PE, %eax
        movl    %eax, %cr0
        movw    $16, %bx
        movw    %bx, %gs
        andl    $~CR0_PE, %eax
        movl    %eax, %cr0
        xorw    %ax, %ax
        movw    %ax, %gs
        movl    $0x10000, %ebx
        TRY
        movb    %gs:(%ebx), %al
        CATCH   "a limit of 64 KiB", GP
        ret

// --- Into 32-bit protected mode and back ----------------------------------------------------------------------------------------------------
protected_and_back:
        lgdtl   %cs:gdt_pointer
        movl    %cr0, %eax
        orl     $CR0_PE, %eax
        movl    %eax, %cr0
        ljmpl   $24, $protected_code
        .code32
protected_code:
        movw    $8, %ax
        movw    %ax, %ds
        movl    $0xC0DE32, 0x300000
        movl    $0x12345678, %ecx
        leal    1(%ecx, %ecx), %ecx
        movw    $16, %ax
        movw    %ax, %ds
        ljmp    $32, $back_16
        .code16
back_16:
        movl    %cr0, %eax
        andl    $~CR0_PE, %eax
        movl    %eax, %cr0
        ljmpw   $BIOS_SEGMENT, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        CHECK   "32-bit code between", %ecx, $0x2468ACF1
        movw    %cs, %ax
        movzwl  %ax, %eax
        CHECK   "and back in segment F000", %eax, $BIOS_SEGMENT
        ret

// --- Vectors --------------------------------------------------------------------------------------------------------------------------
// Every vector enters `fault` with its number.
set_up_vectors:
        xorw    %di, %di
        movw    $fault_stubs, %ax
        movw    $256, %cx
1:      movw    %ax, (%di)
        movw    $BIOS_SEGMENT, 2(%di)
        addw    $4, %di
        addw    $8, %ax
        loop    1b
        ret

        .balign 8
fault_stubs:
        .set    stub_vector, 0
        .rept   256
        .balign 8, 0xCC
        .if     stub_vector == DB
fault_stub_db:
        .endif
        pushw   $stub_vector
        jmp     fault
        .set    stub_vector, stub_vector + 1
        .endr

// Stack: vector, IP, CS, FLAGS. Records them and goes on at resume_ip with the stack of then; keeps the general registers.
fault:
        popw    %fs:fault_vector
        movw    %sp, %fs:fault_sp
        popw    %fs:fault_ip
        popw    %fs:fault_cs
        popw    %fs:fault_flags
        movw    %fs:resume_sp, %sp
        cld
        jmpw    *%fs:resume_ip

// --- Reports --------------------------------------------------------------------------------------------------------------------------
// On the stack: name, actual, expected; removed by it.
check_equal:
        pushfw
        pushal
        pushw   %ds
        cld
        movw    %sp, %bp
        movl    %ss:40(%bp), %eax
        cmpl    %ss:44(%bp), %eax
        movw    $text_ok, %si
        je      1f
        movw    $text_fail, %si
1:      pushfw
        call    print
        movw    %ss:38(%bp), %si
        call    print
        popfw
        jne     2f
        incw    %fs:checks
        jmp     3f
2:      incw    %fs:failures
        movw    $text_expected, %si
        call    print
        movl    %ss:44(%bp), %ebx
        call    print_number
        movw    $text_got, %si
        call    print
        movl    %ss:40(%bp), %ebx
        call    print_number
3:      movb    $'\n', %al
        outb    %al, $DEBUG_PORT
        popw    %ds
        popal
        popfw
        ret     $10

print:
        movb    %cs:(%si), %al
        incw    %si
        testb   %al, %al
        jz      1f
        outb    %al, $DEBUG_PORT
        jmp     print
1:      ret

print_number:
        movw    $8, %cx
1:      roll    $4, %ebx
        movb    %bl, %al
        andb    $15, %al
        addb    $'0', %al
        cmpb    $'9', %al
        jbe     2f
        addb    $('a' - '0' - 10), %al
2:      outb    %al, $DEBUG_PORT
        loop    1b
        ret

print_decimal:
        movw    $10, %cx
        xorw    %dx, %dx
        divw    %cx
        pushw   %dx
        testw   %ax, %ax
        jz      1f
        call    print_decimal
1:      popw    %ax
        addb    $'0', %al
        outb    %al, $DEBUG_PORT
        ret

finish:
        movb    $EXIT_PASS, %bl
        movw    $text_pass, %si
        movw    %fs:checks, %ax
        cmpw    $0, %fs:failures
        je      1f
        movb    $EXIT_FAIL, %bl
        movw    $text_fail, %si
        movw    %fs:failures, %ax
1:      pushw   %ax
        call    print
        popw    %ax
        call    print_decimal
        movb    $'\n', %al
        outb    %al, $DEBUG_PORT
        movw    $EXIT_PORT, %dx
        movb    %bl, %al
        outb    %al, %dx
2:      cli
        hlt
        jmp     2b

        .balign 8
gdt:    .quad   0
        .quad   0x00CF93000000FFFF      // 0x08: flat data
        .quad   0x000093000000FFFF      // 0x10: 64 KiB of data at 0
        .quad   0x004F9B0F0000FFFF      // 0x18: 32-bit code, base 0xF0000
        .quad   0x00009B0F0000FFFF      // 0x20: 16-bit code, base 0xF0000
gdt_pointer:
        .word   5 * 8 - 1
        .long   0xF0000 + gdt

        .section .rodata, "a"
text_ok:        .asciz  "ok "
text_fail:      .asciz  "FAIL "
text_pass:      .asciz  "PASS "
text_expected:  .asciz  " expected "
text_got:       .asciz  " got "

        .section .reset, "ax"
        .code16
        jmp     _start
