// Computes a sum over rounds until a key is pressed, with integers, flags, the stack, x87 and SSE, while timer interrupts
// come; watches the time-stamp counter. run_exchange.py exchanges the engine meanwhile, and knows what the sum must be.
#define LONG_MODE
#include "roms/testroms/common/testrom.inc"

        .set    PIC_MASTER, 0x20
        .set    PIC_BASE, 0x60
        .set    PIC_EOI, 0x20
        .set    PIT_COUNTER, 0x40
        .set    PIT_CONTROL, 0x43
        .set    PIT_DIVISOR, 5966               // 200 Hz
        .set    KEYBOARD_STATUS, 0x64
        .set    KEY_THERE, 1
        .set    ITERATIONS, 2000                // a round
        .set    STACK_DEPTH, 4

.macro OUT port, value
        movb    $(\value), %al
        outb    %al, $(\port)
.endm

main:
        SET_BITS cr4, (CR4_OSFXSR | CR4_OSXMMEXCPT)
        fninit
        OUT     PIC_MASTER, 0x11
        OUT     PIC_MASTER + 1, PIC_BASE
        OUT     PIC_MASTER + 1, 4
        OUT     PIC_MASTER + 1, 1
        OUT     PIC_MASTER + 1, 0xFE
        OUT     PIT_CONTROL, 0x34
        OUT     PIT_COUNTER, PIT_DIVISOR & 0xFF
        OUT     PIT_COUNTER, PIT_DIVISOR >> 8
        HOOK    PIC_BASE, tick_hook
1:      inb     $KEYBOARD_STATUS, %al           // what the firmware left
        testb   $KEY_THERE, %al
        jz      2f
        inb     $0x60, %al
        jmp     1b
2:      xorl    %r14d, %r14d                    // rounds
        xorl    %r15d, %r15d                    // sum
        xorl    %r10d, %r10d                    // the last time
        sti
        STRING  "begins\n"
        movq    $88b, %rsi
        call    print
3:      incq    %r14
        call    round
        addq    %r14, %rax
        rolq    $5, %r15
        xorq    %rax, %r15
        inb     $KEYBOARD_STATUS, %al
        testb   $KEY_THERE, %al
        jz      3b
        cli
        STRING  "rounds "
        movq    $88b, %rsi
        call    print
        movq    %r14, %rax
        call    print_number
        STRING  " sum "
        movq    $88b, %rsi
        call    print
        movq    %r15, %rax
        call    print_number
        movb    $'\n', %al
        call    print_character
        CHECK   "time goes on", time_went_back, $0
        CHECK   "so it does in interrupts", tick_time_went_back, $0
        cmpq    $1, tick_count
        setbe   %al
        movzbl  %al, %eax
        CHECK   "ticks come", %rax, $0
        ret

// The sum of a round in RAX; the same every time. RBX, R8, R9, R12, R13, ST0, XMM0 and XMM2 gather it.
round:
        movl    $ITERATIONS, %r12d
        movl    $1, %r13d
        xorl    %ebx, %ebx
        xorl    %r8d, %r8d
        xorl    %r9d, %r9d
        fldz
        pxor    %xmm0, %xmm0
        pxor    %xmm2, %xmm2
1:      movq    multiplier, %rax
        imulq   %rax, %r13
        addq    increment, %r13
        rolq    $7, %rbx
        addq    %r13, %rbx
        pushfq
        call    mix
        popfq
        adcq    $0, %r8
        movq    %r13, %rax
        andl    $0x7FFF, %eax
        pushq   %rax
        fildq   (%rsp)
        faddp
        popq    %rcx
        cvtsi2sd %rcx, %xmm1
        addsd   %xmm1, %xmm2
        movq    %r13, %xmm1
        paddq   %xmm1, %xmm0
        rdtsc
        shlq    $32, %rdx
        orq     %rdx, %rax
        cmpq    %r10, %rax
        jae     2f
        incq    time_went_back
2:      movq    %rax, %r10
        decl    %r12d
        jnz     1b
        pushq   $0
        fistpq  (%rsp)
        popq    %rax
        rolq    $32, %rax
        cvttsd2si %xmm2, %rcx
        xorq    %rcx, %rax
        movq    %xmm0, %rcx
        xorq    %rcx, %rax
        xorq    %rbx, %rax
        addq    %r8, %rax
        xorq    %r9, %rax
        ret

// R13 through the stack into R9.
mix:
        movl    $STACK_DEPTH, %ecx
1:      rolq    $9, %r9
        leaq    (%r9, %r13), %rax
        pushq   %rax
        loop    1b
        movl    $STACK_DEPTH, %ecx
2:      popq    %rax
        xorq    %rax, %r9
        loop    2b
        ret

tick_hook:
        incq    tick_count
        rdtsc
        shlq    $32, %rdx
        orq     %rdx, %rax
        cmpq    tick_time, %rax
        jae     1f
        incq    tick_time_went_back
1:      movq    %rax, tick_time
        OUT     PIC_MASTER, PIC_EOI
        ret

        .data
        .balign 8
multiplier:             .quad 6364136223846793005
increment:              .quad 1442695040888963407
tick_count:             .quad 0
tick_time:              .quad 0
time_went_back:         .quad 0
tick_time_went_back:    .quad 0
