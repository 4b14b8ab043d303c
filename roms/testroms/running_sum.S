// Computes a sum over rounds until a key is pressed, on every processor, with integers, flags, the stack, x87 and SSE, while
// interrupts of the 8254 and of the local APICs' timers come, which their handler starts again; watches the time-stamp
// counter. run_exchange.py exchanges the engine meanwhile, and knows what the sums must be.
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
        .set    APIC, 0xFEE00000
        .set    APIC_ID, 0x20
        .set    APIC_EOI, 0xB0
        .set    APIC_SPURIOUS, 0xF0
        .set    APIC_ICR_LOW, 0x300
        .set    APIC_LVT_TIMER, 0x320
        .set    APIC_LVT_LINT0, 0x350
        .set    APIC_TIMER_INITIAL, 0x380
        .set    APIC_TIMER_DIVIDE, 0x3E0
        .set    TIMER_VECTOR, 0x71
        .set    TIMER_COUNT, 5000000            // 5 ms
        .set    INIT_OTHERS, 0xC4500
        .set    START_OTHERS, 0xC4600
        .set    TRAMPOLINE, 0x8000
        .set    FW_CFG_SELECTOR, 0x510
        .set    FW_CFG_DATA, 0x511
        .set    FW_CFG_NB_CPUS, 5
        .set    MAXIMUM_CPUS, 16
        .set    STACK_SHIFT, 12
        .set    PATIENCE, 1 << 36               // ticks of the time-stamp counter

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
        HOOK    TIMER_VECTOR, timer_hook
        call    start_timer
        movl    $0x700, APIC_LVT_LINT0(%rdi)
        call    start_others
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
        movl    $1, finished
        call    note_results
        movl    others, %eax
4:      pause
        cmpl    %eax, processors_done
        jbe     4b
        cli
        xorl    %ebp, %ebp
5:      call    print_results
        incl    %ebp
        cmpl    others, %ebp
        jbe     5b
        CHECK   "time goes on", time_went_back, $0
        CHECK   "so it does in interrupts", tick_time_went_back, $0
        cmpq    $1, tick_count
        setbe   %al
        movzbl  %al, %eax
        CHECK   "ticks come", %rax, $0
        CHECK   "timers of the local APICs go on", timers_dead, $0
        ret

// The results of processor EBP.
print_results:
        STRING  "rounds "
        movq    $88b, %rsi
        call    print
        movl    %ebp, %ebx
        shll    $4, %ebx
        movq    results(%rbx), %rax
        call    print_number
        STRING  " sum "
        movq    $88b, %rsi
        call    print
        movq    results + 8(%rbx), %rax
        call    print_number
        movb    $'\n', %al
        jmp     print_character

// Notes rounds (R14) and sum (R15) of this processor, and waits for another expiry of its timer.
note_results:
        call    current_index
        movl    %eax, %ebx
        shll    $4, %eax
        movq    %r14, results(%rax)
        movq    %r15, results + 8(%rax)
        rdtsc
        shlq    $32, %rdx
        leaq    (%rax, %rdx), %rsi
        movabsq $PATIENCE, %rdi
        movq    timer_counts(, %rbx, 8), %rcx
1:      pause
        cmpq    %rcx, timer_counts(, %rbx, 8)
        jne     2f
        rdtsc
        shlq    $32, %rdx
        orq     %rdx, %rax
        subq    %rsi, %rax
        cmpq    %rdi, %rax
        jb      1b
        lock incq timers_dead
2:      lock incl processors_done
        ret

// This processor's APIC id, which is its index, in EAX.
current_index:
        pushq   %rdi
        movl    $APIC, %edi
        movl    APIC_ID(%rdi), %eax
        shrl    $24, %eax
        popq    %rdi
        ret

// The timer of this processor's local APIC, once. RDI is the APIC then.
start_timer:
        movl    $APIC, %edi
        movl    $0x1FF, APIC_SPURIOUS(%rdi)
        movl    $0xB, APIC_TIMER_DIVIDE(%rdi)
        movl    $TIMER_VECTOR, APIC_LVT_TIMER(%rdi)
        movl    $TIMER_COUNT, APIC_TIMER_INITIAL(%rdi)
        ret

timer_hook:
        call    current_index
        incq    timer_counts(, %rax, 8)
        movl    $APIC, %edi
        movl    $TIMER_COUNT, APIC_TIMER_INITIAL(%rdi)
        movl    $0, APIC_EOI(%rdi)
        ret

// --- The other processors ----------------------------------------------------------------------------------------------

start_others:
        movw    $FW_CFG_SELECTOR, %dx
        movw    $FW_CFG_NB_CPUS, %ax
        outw    %ax, %dx
        movw    $FW_CFG_DATA, %dx
        xorl    %eax, %eax
        inb     %dx, %al
        decl    %eax
        movl    %eax, others
        jz      2f
        mov     $trampoline, %rsi
        mov     $TRAMPOLINE, %rdi
        movl    $(trampoline_end - trampoline), %ecx
        rep movsb
        movl    $APIC, %edi
        movl    $INIT_OTHERS, APIC_ICR_LOW(%rdi)
        WAIT
        movl    $(START_OTHERS | TRAMPOLINE >> 12), APIC_ICR_LOW(%rdi)
        movl    others, %eax
1:      pause
        cmpl    %eax, started
        jne     1b
2:      ret

        .code16
trampoline:
        cli
        xorw    %dx, %dx
        movw    %dx, %ds
        lgdtl   TRAMPOLINE + trampoline_gdt_pointer - trampoline
        movl    %cr0, %esi
        orl     $CR0_PE, %esi
        andl    $0x9FFFFFFF, %esi               // caches on
        movl    %esi, %cr0
        ljmpl   $CODE32, $start_32
trampoline_gdt_pointer:
        .word   GDT_LIMIT
        .long   gdt
trampoline_end:

        .code32
start_32:
        movw    $DATA, %dx
        movw    %dx, %ds
        movw    %dx, %es
        movw    %dx, %ss
        movl    $level4_table, %eax
        movl    %eax, %cr3
        SET_BITS_32 cr4, CR4_PAE
        READ_MSR MSR_EFER
        orl     $(EFER_LME | EFER_NXE), %eax
        wrmsr
        SET_BITS_32 cr0, (CR0_PG | CR0_WP | CR0_NE | CR0_MP)
        ljmp    $CODE64, $start_64
        .code64
start_64:
        lidt    idt_pointer
        movl    $APIC, %edi
        movl    APIC_ID(%rdi), %eax
        shrl    $24, %eax
        incl    %eax
        shlq    $STACK_SHIFT, %rax
        lea     stacks(%rax), %rsp
        SET_BITS cr4, (CR4_OSFXSR | CR4_OSXMMEXCPT)
        fninit
        call    start_timer
        xorl    %r14d, %r14d
        xorl    %r15d, %r15d
        xorl    %r10d, %r10d
        lock incl started
        sti
1:      incq    %r14
        call    round
        addq    %r14, %rax
        rolq    $5, %r15
        xorq    %rax, %r15
        cmpl    $0, finished
        je      1b
        call    note_results
        cli
2:      hlt
        jmp     2b

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
timers_dead:            .quad 0
others:                 .long 0
started:                .long 0
finished:               .long 0
processors_done:        .long 0

        .bss
        .balign 16
results:                .skip MAXIMUM_CPUS * 16
timer_counts:           .skip MAXIMUM_CPUS * 8
stacks:                 .skip MAXIMUM_CPUS << STACK_SHIFT
