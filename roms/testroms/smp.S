// Several processors (SDM vol. 3, chapter 8 and 10.6): start-up, interprocessor interrupts, locked instructions, memory
// order, translations and code that one processor changes for another. Run with -smp 4.
#define LONG_MODE
#include "roms/testroms/common/testrom.inc"

        .set    APIC, 0xFEE00000
        .set    APIC_ID, 0x20
        .set    APIC_EOI, 0xB0
        .set    APIC_LOGICAL, 0xD0
        .set    APIC_DESTINATION, 0xE0
        .set    APIC_SPURIOUS, 0xF0
        .set    APIC_ICR_LOW, 0x300
        .set    APIC_ICR_HIGH, 0x310
        .set    ICR_NMI, 4 << 8
        .set    ICR_INIT, 5 << 8
        .set    ICR_STARTUP, 6 << 8
        .set    ICR_LOGICAL, 1 << 11
        .set    ICR_PENDING, 1 << 12
        .set    ICR_ASSERT, 1 << 14
        .set    ICR_SELF, 1 << 18
        .set    ICR_ALL, 2 << 18
        .set    ICR_OTHERS, 3 << 18
        .set    MSR_APIC_BASE, 0x1B
        .set    APIC_BASE_BSP, 1 << 8
        .set    TRAMPOLINE, 0x8000
        .set    TRAMPOLINE_VECTOR, TRAMPOLINE >> 12
        .set    FW_CFG_SELECTOR, 0x510
        .set    FW_CFG_DATA, 0x511
        .set    FW_CFG_NB_CPUS, 5
        .set    COUNT_VECTOR, 0x51
        .set    SHOOTDOWN_VECTOR, 0x52
        .set    MAXIMUM_CPUS, 8
        .set    STACK_SHIFT, 12
        .set    WINDOW, 0x40000000
        .set    OPEN, 7
        .set    TURNS, 10000                    // of the locked loops
        .set    ROUNDS, 30                      // of the tests that go back and forth

// Sends an interprocessor interrupt; uses RDI.
.macro SEND low
        movl    $APIC, %edi
        movl    $(\low), APIC_ICR_LOW(%rdi)
.endm

.macro SPIN_UNTIL counter, value:vararg
72:     pause
        cmpl    \value, \counter
        jne     72b
.endm

// Runs a function on all processors, this one too, and waits until all are done.
.macro EVERYWHERE function
        mov     $\function, %rax
        call    run_everywhere
.endm

        .text
main:
        movl    $(window_table + OPEN), level2_tables + 512 * 8
        movl    $APIC, %edi
        movl    $0x1FF, APIC_SPURIOUS(%rdi)
        call    read_cpu_count
        cmpl    $1, cpu_count
        jne     1f
        FAIL    "this ROM wants -smp 4"
        ret
1:      call    start_up
        call    identities
        call    interrupts_between
        call    locked_instructions
        call    spin_lock
        call    memory_order
        call    shootdown
        call    cross_modifying
        call    halted_processors
        call    start_again
        ret

read_cpu_count:
        movw    $FW_CFG_SELECTOR, %dx
        movw    $FW_CFG_NB_CPUS, %ax
        outw    %ax, %dx
        movw    $FW_CFG_DATA, %dx
        xorl    %eax, %eax
        inb     %dx, %al
        movl    %eax, cpu_count
        decl    %eax
        movl    %eax, others
        ret

// --- Start-up (8.4) ------------------------------------------------------------------------------------------------------------
start_up:
        mov     $trampoline, %rsi
        mov     $TRAMPOLINE, %rdi
        movl    $(trampoline_end - trampoline), %ecx
        rep movsb
        call    wake_others
        CHECK_LOW "all processors started", started, others
        CHECK_LOW "CS at the start", start_cs, $(TRAMPOLINE >> 4)
        CHECK_LOW "CR0 at the start", start_cr0, $0x60000010
        movl    start_edx, %eax
        shrl    $8, %eax
        andl    $0xF, %eax
        movl    $1, %ecx
        push    %rax
        movl    $1, %eax
        cpuid
        shrl    $8, %eax
        andl    $0xF, %eax
        mov     %rax, %rsi
        pop     %rdi
        CHECK   "EDX at the start is the processor's signature", %rdi, %rsi
        ret

// INIT, then a start-up IPI, and waits for everybody. A second start-up IPI must do nothing.
wake_others:
        movl    $0, started
        SEND    ICR_OTHERS | ICR_INIT | ICR_ASSERT
        WAIT
        SEND    ICR_OTHERS | ICR_STARTUP | ICR_ASSERT | TRAMPOLINE_VECTOR
        WAIT
        SEND    ICR_OTHERS | ICR_STARTUP | ICR_ASSERT | TRAMPOLINE_VECTOR
        movl    others, %edx
        movl    $100000000, %ecx
1:      cmpl    %edx, started
        je      2f
        pause
        decl    %ecx
        jnz     1b
2:      WAIT
        ret

        .code16
trampoline:
        cli
        movl    %edx, %ebx
        movl    %cr0, %eax
        movw    %cs, %cx
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
        movl    %eax, start_cr0
        movzwl  %cx, %ecx
        movl    %ecx, start_cs
        movl    %ebx, start_edx
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
        movl    $0x1FF, APIC_SPURIOUS(%rdi)
        movl    APIC_ID(%rdi), %edx
        shrl    $24, %edx
        // By APIC id, so that a processor that is started again gets its stack again.
        mov     %edx, %eax
        incl    %eax
        shlq    $STACK_SHIFT, %rax
        lea     stacks(%rax), %rsp
        lock incl started
        sti

// Waits for work: %ebp is the last job's number.
        movl    job_number, %ebp
1:      pause
        cmpl    %ebp, job_number
        je      1b
        movl    job_number, %ebp
        pushq   %rbp
        call    *job
        popq    %rbp
        lock incl jobs_done
        jmp     1b

run_everywhere:
        mov     %rax, job
        movl    $0, jobs_done
        movl    $0, barrier_count
        movl    $0, barrier_number
        lock incl job_number
        call    *%rax
1:      pause
        movl    others, %eax
        cmpl    %eax, jobs_done
        jne     1b
        ret

// All processors meet here. Uses EAX, ECX.
barrier:
        movl    barrier_number, %ecx
        movl    $1, %eax
        lock xaddl %eax, barrier_count
        incl    %eax
        cmpl    cpu_count, %eax
        jne     1f
        movl    $0, barrier_count
        lock incl barrier_number
        ret
1:      pause
        cmpl    %ecx, barrier_number
        je      1b
        ret

// Index of this processor in EAX: its APIC id, which is below MAXIMUM_CPUS here.
current_index:
        push    %rdi
        movl    $APIC, %edi
        movl    APIC_ID(%rdi), %eax
        shrl    $24, %eax
        pop     %rdi
        ret

// --- Who is who (8.4.5, 10.4.6) ------------------------------------------------------------------------------------------------
identities:
        EVERYWHERE note_identity
        movl    identity_bits, %eax
        popcntl %eax, %eax
        CHECK_LOW "APIC ids differ", %eax, cpu_count
        CHECK_LOW "CPUID and APIC agree", identity_mismatches, $0
        CHECK_LOW "one bootstrap processor", bootstrap_processors, $1
        READ_MSR MSR_APIC_BASE
        andl    $APIC_BASE_BSP, %eax
        CHECK   "it is this one", %rax, $APIC_BASE_BSP
        ret

note_identity:
        call    current_index
        lock btsl %eax, identity_bits
        movl    %eax, %esi
        movl    $1, %eax
        cpuid
        shrl    $24, %ebx
        cmpl    %esi, %ebx
        je      1f
        lock incl identity_mismatches
1:      READ_MSR MSR_APIC_BASE
        testl   $APIC_BASE_BSP, %eax
        jz      2f
        lock incl bootstrap_processors
2:      ret

// --- Interprocessor interrupts (10.6) ------------------------------------------------------------------------------------------
count_hook:
        call    current_index
        lock incl received(, %rax, 4)
        lock incl received_total
        movl    $APIC, %edi
        movl    $0, APIC_EOI(%rdi)
        ret
count_nmi_hook:
        call    current_index
        lock incl received(, %rax, 4)
        lock incl received_total
        ret

.macro CLEAR_RECEIVED
        mov     $received, %rdi
        movl    $MAXIMUM_CPUS, %ecx
        xorl    %eax, %eax
        rep stosl
        movl    $0, received_total
.endm

interrupts_between:
        HOOK    COUNT_VECTOR, count_hook
        CLEAR_RECEIVED
        SEND    ICR_OTHERS | ICR_ASSERT | COUNT_VECTOR
        WAIT_FOR received_total, 3
        WAIT
        CHECK_LOW "all excluding self: each once", received_total, others
        CHECK_LOW "not this one", received, $0
        CHECK_LOW "the second processor once", received + 4, $1
        sti
        CLEAR_RECEIVED
        SEND    ICR_ALL | ICR_ASSERT | COUNT_VECTOR
        WAIT_FOR received_total, 4
        WAIT
        CHECK_LOW "all including self", received_total, cpu_count
        CHECK_LOW "this one too", received, $1
        CLEAR_RECEIVED
        SEND    ICR_SELF | ICR_ASSERT | COUNT_VECTOR
        WAIT_FOR received_total, 1
        WAIT
        CHECK_LOW "self", received, $1
        CHECK_LOW "nobody else", received_total, $1
        cli
        CLEAR_RECEIVED
        movl    $APIC, %edi
        movl    $(2 << 24), APIC_ICR_HIGH(%rdi)
        SEND    ICR_ASSERT | COUNT_VECTOR
        WAIT_FOR received_total, 1
        WAIT
        CHECK_LOW "physical destination", received + 8, $1
        CHECK_LOW "alone", received_total, $1
        // Flat logical destinations: one bit each.
        EVERYWHERE set_logical_destination
        CLEAR_RECEIVED
        movl    $APIC, %edi
        movl    $(0x0A << 24), APIC_ICR_HIGH(%rdi)
        SEND    ICR_LOGICAL | ICR_ASSERT | COUNT_VECTOR
        WAIT_FOR received_total, 2
        WAIT
        CHECK_LOW "logical destination: two processors", received_total, $2
        CHECK_LOW "the second", received + 4, $1
        CHECK_LOW "the fourth", received + 12, $1
        movl    $APIC, %edi
        movl    APIC_ICR_LOW(%rdi), %eax
        andl    $ICR_PENDING, %eax
        CHECK   "delivery status is idle", %rax, $0
        HOOK    NMI, count_nmi_hook
        CLEAR_RECEIVED
        SEND    ICR_OTHERS | ICR_NMI | ICR_ASSERT
        WAIT_FOR received_total, 3
        WAIT
        CHECK_LOW "NMI to the others", received_total, others
        // A burst: interrupts of one vector may collapse, but the last is never lost.
        movl    $100, %ebx
1:      CLEAR_RECEIVED
        SEND    ICR_OTHERS | ICR_ASSERT | COUNT_VECTOR
        WAIT_FOR received_total, 3
        movl    others, %eax
        cmpl    %eax, received_total
        jne     2f
        decl    %ebx
        jnz     1b
2:      CHECK   "a hundred in turn, none lost", %rbx, $0
        ret

set_logical_destination:
        call    current_index
        movl    $APIC, %edi
        movl    $0xFFFFFFFF, APIC_DESTINATION(%rdi)
        movl    %eax, %ecx
        movl    $(1 << 24), %eax
        shll    %cl, %eax
        movl    %eax, APIC_LOGICAL(%rdi)
        ret

// --- Locked instructions (8.1.2) -------------------------------------------------------------------------------------------------
.macro CHECK_SUM name, counter
        movl    cpu_count, %eax
        imull   $TURNS, %eax
        CHECK   "\name", \counter, %rax
.endm

.macro LOCKED_LOOP name, instructions:vararg
\name:  movl    $TURNS, %esi
1:      \instructions
        decl    %esi
        jnz     1b
        ret
.endm

locked_instructions:
        movq    $0, counters
        EVERYWHERE increments
        CHECK_SUM "LOCK INC", counters
        movq    $0, counters
        EVERYWHERE additions
        CHECK_SUM "LOCK ADD", counters
        movq    $0, counters
        EVERYWHERE exchange_additions
        CHECK_SUM "LOCK XADD", counters
        movq    $0, counters
        EVERYWHERE compare_exchanges
        CHECK_SUM "LOCK CMPXCHG", counters
        movq    $0, counters
        EVERYWHERE compare_exchanges_8
        CHECK_SUM "LOCK CMPXCHG8B", counters
        movq    $0, counters
        movq    $0, counters + 8
        EVERYWHERE compare_exchanges_16
        CHECK_SUM "LOCK CMPXCHG16B, lower half", counters
        CHECK_SUM "LOCK CMPXCHG16B, upper half", counters + 8
        movq    $0, split_page + 0xFFC
        EVERYWHERE split_increments
        CHECK_SUM "LOCK INC over a page's end", split_page + 0xFFC
        movq    $0, split_page + 0x3D
        EVERYWHERE unaligned_increments
        CHECK_SUM "LOCK INC over a cache line's end", split_page + 0x3D
        movq    $0, counters
        EVERYWHERE byte_increments
        movl    cpu_count, %eax
        imull   $TURNS, %eax
        movzbl  %al, %eax
        CHECK   "LOCK INC of a byte leaves its neighbours", counters, %rax
        ret

        LOCKED_LOOP increments, lock incq counters
        LOCKED_LOOP additions, lock addl $1, counters
        LOCKED_LOOP split_increments, lock incq split_page + 0xFFC
        LOCKED_LOOP unaligned_increments, lock incl split_page + 0x3D
        LOCKED_LOOP byte_increments, lock incb counters

exchange_additions:
        movl    $TURNS, %esi
1:      movl    $1, %eax
        lock xaddq %rax, counters
        decl    %esi
        jnz     1b
        ret

compare_exchanges:
        movl    $TURNS, %esi
1:      mov     counters, %rax
2:      lea     1(%rax), %rdx
        lock cmpxchgq %rdx, counters
        jnz     2b
        decl    %esi
        jnz     1b
        ret

compare_exchanges_8:
        movl    $TURNS, %esi
1:      movl    counters, %eax
        movl    counters + 4, %edx
2:      movl    %eax, %ebx
        movl    %edx, %ecx
        addl    $1, %ebx
        adcl    $0, %ecx
        lock cmpxchg8b counters
        jnz     2b
        decl    %esi
        jnz     1b
        ret

compare_exchanges_16:
        movl    $TURNS, %edi
1:      mov     counters, %rax
        mov     counters + 8, %rdx
2:      lea     1(%rax), %rbx
        lea     1(%rdx), %rcx
        lock cmpxchg16b counters
        jnz     2b
        decl    %edi
        jnz     1b
        ret

// --- A spin lock by XCHG around plain increments -------------------------------------------------------------------------------------
spin_lock:
        movq    $0, counters
        movq    $0, counters + 8
        EVERYWHERE spin_lock_job
        CHECK_SUM "increments under a spin lock", counters
        CHECK_SUM "and a second word", counters + 8
        ret

spin_lock_job:
        movl    $TURNS, %esi
1:      movl    $1, %eax
        xchgl   %eax, lock_word
        testl   %eax, %eax
        jz      3f
2:      pause
        cmpl    $0, lock_word
        jne     2b
        jmp     1b
3:      incq    counters
        incq    counters + 8
        movl    $0, lock_word                   // stores are not reordered with older ones (8.2.2)
        decl    %esi
        jnz     1b
        ret

// --- Memory order (8.2) ------------------------------------------------------------------------------------------------------------
// Processors 0 and 1 run the litmus test, the others meet them at the barriers.
memory_order:
        movl    $0, forbidden
        EVERYWHERE store_buffering_mfence
        CHECK_LOW "MFENCE between a store and a load", forbidden, $0
        movl    $0, forbidden
        EVERYWHERE store_buffering_xchg
        CHECK_LOW "XCHG as a barrier", forbidden, $0
        movl    $0, forbidden
        EVERYWHERE message_passing
        CHECK_LOW "stores are seen in order", forbidden, $0
        ret

.macro STORE_BUFFERING name, store_and_fence
\name:  movl    $ROUNDS, %esi
        call    current_index
        movl    %eax, %ebx
1:      call    barrier
        cmpl    $0, %ebx
        jne     2f
        movl    $0, word_x
        movl    $0, word_y
2:      call    barrier
        cmpl    $1, %ebx
        ja      4f
        je      3f
        \store_and_fence word_x
        movl    word_y, %eax
        movl    %eax, seen_by_0
        jmp     4f
3:      \store_and_fence word_y
        movl    word_x, %eax
        movl    %eax, seen_by_1
4:      call    barrier
        cmpl    $0, %ebx
        jne     5f
        movl    seen_by_0, %eax
        orl     seen_by_1, %eax
        jnz     5f
        incl    forbidden
5:      decl    %esi
        jnz     1b
        ret
.endm
.macro STORE_MFENCE word
        movl    $1, \word
        mfence
.endm
.macro STORE_XCHG word
        movl    $1, %eax
        xchgl   %eax, \word
.endm
        STORE_BUFFERING store_buffering_mfence, STORE_MFENCE
        STORE_BUFFERING store_buffering_xchg, STORE_XCHG

// Processor 0 writes data, then a flag; all others must find data at least as new as the flag.
message_passing:
        call    current_index
        testl   %eax, %eax
        jnz     2f
        xorl    %ecx, %ecx
1:      incl    %ecx
        movl    %ecx, word_x
        movl    %ecx, word_y
        cmpl    $TURNS, %ecx
        jne     1b
        ret
2:      movl    word_y, %eax
        cmpl    $TURNS, %eax
        ja      2b                              // left over from the tests before
        movl    word_x, %edx
        cmpl    %eax, %edx
        jae     3f
        lock incl forbidden
3:      cmpl    $TURNS, %eax
        jne     2b
        ret

// --- Translations (4.10.5) -----------------------------------------------------------------------------------------------------------
// Processor 0 changes the mapping of the window, tells the others, and waits until all have invalidated it. From then on none
// may read through the old translation.
shootdown:
        HOOK    SHOOTDOWN_VECTOR, shootdown_hook
        movl    $0xAAAA, page_a
        movl    $0xBBBB, page_b
        movl    $(page_a + OPEN), window_table
        invlpg  WINDOW
        movl    $0, forbidden
        EVERYWHERE shootdown_job
        CHECK_LOW "no stale translation after the acknowledgement", forbidden, $0
        ret

shootdown_hook:
        invlpg  WINDOW
        movl    $APIC, %edi
        movl    $0, APIC_EOI(%rdi)
        lock incl acknowledged
        ret

shootdown_job:
        movl    $ROUNDS, %esi
        call    current_index
        movl    %eax, %ebx
1:      call    barrier
        cmpl    $0, %ebx
        jne     2f
        movl    $0, acknowledged
        movl    $(page_a + OPEN), %edx
        movl    $(page_b + OPEN), %ecx
        movl    window_table, %eax
        andl    $~0x60, %eax                    // accessed and dirty
        cmpl    %edx, %eax
        cmovel  %ecx, %edx
        movl    %edx, window_table
        invlpg  WINDOW
        movl    WINDOW, %eax
        movl    %eax, word_x
        SEND    ICR_OTHERS | ICR_ASSERT | SHOOTDOWN_VECTOR
        movl    others, %edx
        SPIN_UNTIL acknowledged, %edx
        jmp     3f
2:      movl    WINDOW, %eax                    // keep the translation warm until the interrupt
        movl    acknowledged, %eax
        cmpl    others, %eax
        jne     2b
3:      call    barrier
        movl    WINDOW, %eax
        cmpl    word_x, %eax
        je      4f
        lock incl forbidden
4:      call    barrier
        decl    %esi
        jnz     1b
        ret

// --- Code that another processor changes (8.1.3) ---------------------------------------------------------------------------------------
cross_modifying:
        movb    $0xB8, page_c                   // MOV EAX, imm32; RET
        movl    $0, page_c + 1
        movb    $0xC3, page_c + 5
        movl    $0, forbidden
        EVERYWHERE cross_modifying_job
        CHECK_LOW "all processors run the changed code", forbidden, $0
        ret

cross_modifying_job:
        movl    $ROUNDS, %esi
        call    current_index
        movl    %eax, %ebp
        mov     $page_c, %rdi
1:      call    *%rdi                           // everybody has it decoded
        call    barrier
        cmpl    $0, %ebp
        jne     2f
        movl    %esi, 1(%rdi)
2:      call    barrier
        xorl    %eax, %eax
        cpuid                                   // serialize
        call    *%rdi
        cmpl    %esi, %eax
        je      3f
        lock incl forbidden
3:      call    barrier
        decl    %esi
        jnz     1b
        ret

// --- HLT ---------------------------------------------------------------------------------------------------------------------------------
halted_processors:
        CLEAR_RECEIVED
        movl    $0, word_x
        movl    $0, word_y
        EVERYWHERE halt_job
        CHECK_LOW "halted processors woke up", word_x, others
        ret

halt_job:
        call    current_index
        testl   %eax, %eax
        jz      1f
        cli
        lock incl word_y
        sti
        hlt
        lock incl word_x
        ret
1:      movl    others, %edx
        SPIN_UNTIL word_y, %edx
        WAIT
        SEND    ICR_OTHERS | ICR_ASSERT | COUNT_VECTOR
        ret

// --- INIT while running ------------------------------------------------------------------------------------------------------------------
start_again:
        call    wake_others
        CHECK_LOW "INIT and start-up again", started, others
        movq    $0, counters
        EVERYWHERE increments
        CHECK_SUM "and they work as before", counters
        SEND    ICR_OTHERS | ICR_INIT | ICR_ASSERT
        WAIT
        CLEAR_RECEIVED
        SEND    ICR_OTHERS | ICR_ASSERT | COUNT_VECTOR
        WAIT
        CHECK_LOW "processors that wait for start-up take no interrupt", received_total, $0
        ret

        .bss
        .balign 0x1000
window_table:           .skip 0x1000
page_a:                 .skip 0x1000
page_b:                 .skip 0x1000
page_c:                 .skip 0x1000
split_page:             .skip 0x2000
stacks:                 .skip 0x1000 * (MAXIMUM_CPUS + 1)
counters:               .skip 16
lock_word:              .skip 64
cpu_count:              .skip 8
others:                 .skip 8
started:                .skip 8
start_cs:               .skip 8
start_cr0:              .skip 8
start_edx:              .skip 8
job:                    .skip 8
job_number:             .skip 4
jobs_done:              .skip 4
barrier_count:          .skip 4
barrier_number:         .skip 4
identity_bits:          .skip 8
identity_mismatches:    .skip 8
bootstrap_processors:   .skip 8
received:               .skip 4 * MAXIMUM_CPUS
received_total:         .skip 8
forbidden:              .skip 8
        .balign 64
word_x:                 .skip 64
word_y:                 .skip 64
seen_by_0:              .skip 8
seen_by_1:              .skip 8
acknowledged:           .skip 8
