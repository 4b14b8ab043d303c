// Interrupt controllers and timers: 8259A, I/O APIC (82093AA), local APIC (SDM vol. 3, chapter 10), 8254 ticks, HLT.
#define LONG_MODE
#include "roms/testroms/common/testrom.inc"

        .set    PIC_MASTER, 0x20
        .set    PIC_SLAVE, 0xA0
        .set    PIC_BASE, 0x60
        .set    PIC_EOI, 0x20
        .set    PIC_READ_IRR, 0x0A
        .set    PIC_READ_ISR, 0x0B
        .set    TICK_VECTOR, PIC_BASE
        .set    SERIAL_VECTOR, PIC_BASE + 4
        .set    PIT_COUNTER, 0x40
        .set    PIT_CONTROL, 0x43
        .set    PIT_DIVISOR, 1193               // 1 kHz

// COM1 makes IRQ 4 at will: its transmitter is empty, so the line follows the interrupt enable register.
        .set    COM1_IER, 0x3F9
        .set    COM1_IIR, 0x3FA
        .set    COM1_MCR, 0x3FC
        .set    IER_TRANSMITTER, 2
        .set    MCR_OUT2, 8

        .set    APIC, 0xFEE00000
        .set    APIC_ID, 0x20
        .set    APIC_VERSION, 0x30
        .set    APIC_TPR, 0x80
        .set    APIC_PPR, 0xA0
        .set    APIC_EOI, 0xB0
        .set    APIC_SPURIOUS, 0xF0
        .set    APIC_ISR, 0x100
        .set    APIC_IRR, 0x200
        .set    APIC_ESR, 0x280
        .set    APIC_ICR_LOW, 0x300
        .set    APIC_LVT_TIMER, 0x320
        .set    APIC_LVT_LINT0, 0x350
        .set    APIC_TIMER_INITIAL, 0x380
        .set    APIC_TIMER_CURRENT, 0x390
        .set    APIC_TIMER_DIVIDE, 0x3E0
        .set    ICR_ASSERT, 1 << 14
        .set    ICR_SELF, 1 << 18
        .set    LVT_MASKED, 1 << 16
        .set    LVT_EXTINT, 7 << 8
        .set    TIMER_PERIODIC, 1 << 17
        .set    TIMER_DEADLINE, 2 << 17
        .set    MSR_TSC_DEADLINE, 0x6E0
        .set    MSR_APIC_BASE, 0x1B
        .set    APIC_BASE_X2, 1 << 10
        .set    APIC_BASE_ENABLE, 1 << 11
        .set    X2APIC_ID, 0x802
        .set    X2APIC_TPR, 0x808
        .set    X2APIC_EOI, 0x80B
        .set    X2APIC_ICR, 0x830
        .set    X2APIC_SELF_IPI, 0x83F

        .set    IOAPIC, 0xFEC00000
        .set    IOAPIC_SELECT, 0
        .set    IOAPIC_WINDOW, 0x10
        .set    RTE_REMOTE_IRR, 1 << 14
        .set    RTE_LEVEL, 1 << 15
        .set    RTE_MASKED, 1 << 16

        .set    LOW_VECTOR, 0x51
        .set    HIGH_VECTOR, 0x71
        .set    SAME_CLASS_VECTOR, 0x5A
        .set    TIMER_VECTOR, 0x81
        .set    PIN_VECTOR, 0x91

.macro OUT port, value
        movb    $(\value), %al
.if (\port) > 0xFF
        movw    $(\port), %dx
        outb    %al, %dx
.else
        outb    %al, $(\port)
.endif
.endm

.macro WRITE_APIC register, value
        movl    $APIC, %edi
        movl    $(\value), \register(%rdi)
.endm
.macro READ_APIC register
        movl    $APIC, %edi
        movl    \register(%rdi), %eax
.endm

.macro READ_PIC command
        OUT     PIC_MASTER, \command
        inb     $PIC_MASTER, %al
        movzbl  %al, %eax
.endm

// Registers of the I/O APIC.
.macro WRITE_IOAPIC index, value
        movl    $IOAPIC, %edi
        movl    $(\index), IOAPIC_SELECT(%rdi)
        movl    $(\value), IOAPIC_WINDOW(%rdi)
.endm
.macro READ_IOAPIC index
        movl    $IOAPIC, %edi
        movl    $(\index), IOAPIC_SELECT(%rdi)
        movl    IOAPIC_WINDOW(%rdi), %eax
.endm
.macro ROUTE pin, low
        WRITE_IOAPIC 0x11 + 2 * (\pin), 0       // to APIC id 0
        WRITE_IOAPIC 0x10 + 2 * (\pin), \low
.endm

.macro RAISE_SERIAL
        OUT     COM1_IER, IER_TRANSMITTER
.endm
// Reading the identification takes the transmitter's interrupt away (16550); clearing the enable does so for good.
.macro LOWER_SERIAL
        OUT     COM1_IER, 0
.endm

// For loops: counts differences instead of a line each.
.macro CHECK_QUIETLY actual, expected
        cmp     \expected, \actual
        je      71f
        incq    differences
71:
.endm

        .text
main:
        OUT     COM1_IER, 0
        OUT     COM1_MCR, MCR_OUT2
        WRITE_APIC APIC_SPURIOUS, 0x1FF
        WRITE_APIC APIC_LVT_LINT0, LVT_EXTINT
        call    set_up_controllers
        call    ticks
        call    controller_registers
        call    controller_priorities
        call    automatic_end
        call    io_apic_edge
        call    io_apic_level
        call    task_priority
        call    nesting
        call    timer_one_shot
        call    timer_periodic
        call    timer_deadline
        call    within_string_instruction
        call    apic_errors
        call    halt
        call    x2apic
        ret

set_up_controllers:
        OUT     PIC_MASTER, 0x11
        OUT     PIC_SLAVE, 0x11
        OUT     PIC_MASTER + 1, PIC_BASE
        OUT     PIC_SLAVE + 1, PIC_BASE + 8
        OUT     PIC_MASTER + 1, 4
        OUT     PIC_SLAVE + 1, 2
        OUT     PIC_MASTER + 1, 1
        OUT     PIC_SLAVE + 1, 1
        OUT     PIC_MASTER + 1, 0xFF
        OUT     PIC_SLAVE + 1, 0xFF
        ret

start_ticks:
        OUT     PIT_CONTROL, 0x34               // counter 0, both bytes, mode 2
        OUT     PIT_COUNTER, PIT_DIVISOR & 0xFF
        OUT     PIT_COUNTER, PIT_DIVISOR >> 8
        ret

tick_hook:
        incq    tick_count
        movq    $TICK_VECTOR, last_vector
        OUT     PIC_MASTER, PIC_EOI
        ret
tick_without_end_hook:
        incq    tick_count
        ret
serial_hook:
        incq    serial_count
        movq    $SERIAL_VECTOR, last_vector
        LOWER_SERIAL
        OUT     PIC_MASTER, PIC_EOI
        ret

// --- 8259A and 8254 -------------------------------------------------------------------------------------------------------------
ticks:
        HOOK    TICK_VECTOR, tick_hook
        call    start_ticks
        OUT     PIC_MASTER + 1, 0xFE
        sti
        WAIT_FOR tick_count, 5
        cli
        mov     tick_count, %rax
        cmp     $5, %rax
        setae   %al
        movzbl  %al, %eax
        CHECK   "ticks come", %rax, $1
        OUT     PIC_MASTER + 1, 0xFF
        movq    $0, tick_count
        sti
        WAIT
        WAIT
        cli
        CHECK   "none while masked", tick_count, $0
        OUT     PIC_MASTER + 1, 0xFE
        HOOK    TICK_VECTOR, tick_without_end_hook
        movq    $0, tick_count
        sti
        WAIT_FOR tick_count, 1
        WAIT
        WAIT
        cli
        CHECK   "only one without an end of interrupt", tick_count, $1
        READ_PIC PIC_READ_ISR
        CHECK   "it stays in service", %rax, $1
        OUT     PIC_MASTER, PIC_EOI
        READ_PIC PIC_READ_ISR
        CHECK   "until its end", %rax, $0
        OUT     PIC_MASTER + 1, 0xFF
        HOOK    TICK_VECTOR, tick_hook
        // Drain the tick that is pending.
        OUT     PIC_MASTER + 1, 0xFE
        sti
        nop
        WAIT
        cli
        OUT     PIC_MASTER + 1, 0xFF
        ret

controller_registers:
        inb     $(PIC_MASTER + 1), %al
        movzbl  %al, %eax
        CHECK   "the mask reads back", %rax, $0xFF
        HOOK    SERIAL_VECTOR, serial_hook
        RAISE_SERIAL
        READ_PIC PIC_READ_IRR
        andl    $0x10, %eax
        CHECK   "a masked request shows in IRR", %rax, $0x10
        movq    $0, serial_count
        OUT     PIC_MASTER + 1, 0xEF
        sti
        WAIT_FOR serial_count, 1
        cli
        CHECK   "unmasking delivers it", serial_count, $1
        READ_PIC PIC_READ_IRR
        andl    $0x10, %eax
        CHECK   "and clears the request", %rax, $0
        OUT     PIC_MASTER, 0x0C                // poll command
        inb     $PIC_MASTER, %al
        movzbl  %al, %eax
        andl    $0x80, %eax
        CHECK   "a poll without a request", %rax, $0
        RAISE_SERIAL
        OUT     PIC_MASTER, 0x0C
        inb     $PIC_MASTER, %al
        movzbl  %al, %eax
        CHECK   "a poll acknowledges IRQ 4", %rax, $0x84
        READ_PIC PIC_READ_ISR
        CHECK   "which is in service then", %rax, $0x10
        LOWER_SERIAL
        OUT     PIC_MASTER, 0x64                // specific end of IRQ 4
        READ_PIC PIC_READ_ISR
        CHECK   "a specific end", %rax, $0
        OUT     PIC_MASTER + 1, 0xFF
        ret

// Waits until IRQ 0 shows in IRR, but not for ever.
wait_for_tick_request:
        movl    $1000000, %ecx
1:      READ_PIC PIC_READ_IRR
        testl   $1, %eax
        jnz     2f
        decl    %ecx
        jnz     1b
2:      ret

// One tick that waits: mode 0 of counter 0, which leaves the line high.
.macro TICK_ONCE
        OUT     PIT_CONTROL, 0x30
        OUT     PIT_COUNTER, 100
        OUT     PIT_COUNTER, 0
        call    wait_for_tick_request
.endm

controller_priorities:
        movq    $0, tick_count
        movq    $0, serial_count
        TICK_ONCE
        RAISE_SERIAL
        HOOK    TICK_VECTOR, first_hook
        HOOK    SERIAL_VECTOR, second_hook
        movq    $0, order
        OUT     PIC_MASTER + 1, 0xEE
        sti
        WAIT_FOR order, 2
        cli
        CHECK   "IRQ 0 before IRQ 4", first_at, $1
        CHECK   "then IRQ 4", second_at, $2
        // IRQ 0 nests in IRQ 4, IRQ 4 does not in IRQ 0.
        OUT     PIC_MASTER + 1, 0xEE
        HOOK    SERIAL_VECTOR, serial_waits_for_tick_hook
        movq    $0, order
        RAISE_SERIAL
        sti
        WAIT_FOR order, 2
        cli
        CHECK   "IRQ 0 came within IRQ 4", seen_inside, $1
        HOOK    SERIAL_VECTOR, second_hook
        HOOK    TICK_VECTOR, tick_waits_for_serial_hook
        movq    $0, order
        movq    $0, second_at
        TICK_ONCE
        sti
        WAIT_FOR order, 2
        cli
        CHECK   "IRQ 4 did not come within IRQ 0", seen_inside, $0
        CHECK   "but behind it", second_at, $2
        OUT     PIC_MASTER + 1, 0xFF
        ret

first_hook:
        incq    order
        mov     order, %rcx
        mov     %rcx, first_at
        OUT     PIC_MASTER, PIC_EOI
        ret
second_hook:
        incq    order
        mov     order, %rcx
        mov     %rcx, second_at
        LOWER_SERIAL
        OUT     PIC_MASTER, PIC_EOI
        ret
serial_waits_for_tick_hook:
        LOWER_SERIAL
        movq    $0, first_at
        TICK_ONCE
        sti
        WAIT
        cli
        mov     first_at, %rcx
        mov     %rcx, seen_inside
        incq    order
        OUT     PIC_MASTER, PIC_EOI
        ret
tick_waits_for_serial_hook:
        RAISE_SERIAL
        sti
        WAIT
        cli
        mov     second_at, %rcx
        mov     %rcx, seen_inside
        incq    order
        OUT     PIC_MASTER, PIC_EOI
        ret

automatic_end:
        OUT     PIC_MASTER, 0x11
        OUT     PIC_MASTER + 1, PIC_BASE
        OUT     PIC_MASTER + 1, 4
        OUT     PIC_MASTER + 1, 3               // ICW4: automatic end of interrupt
        OUT     PIC_MASTER + 1, 0xFE
        HOOK    TICK_VECTOR, tick_without_end_hook
        movq    $0, tick_count
        call    start_ticks
        sti
        WAIT_FOR tick_count, 3
        cli
        OUT     PIC_MASTER + 1, 0xFF
        mov     tick_count, %rax
        cmp     $3, %rax
        setae   %al
        movzbl  %al, %eax
        CHECK   "automatic end of interrupt", %rax, $1
        OUT     PIT_CONTROL, 0x30               // no more ticks
        OUT     PIT_COUNTER, 0
        OUT     PIT_COUNTER, 0
        call    set_up_controllers
        ret

// --- I/O APIC ---------------------------------------------------------------------------------------------------------------------
pin_hook:
        incq    pin_count
        READ_IOAPIC 0x10 + 2 * 4
        mov     %rax, route_inside
        cmpq    $0, keep_line
        jne     1f
        LOWER_SERIAL
1:      WRITE_APIC APIC_EOI, 0
        ret

io_apic_edge:
        READ_IOAPIC 1
        shrl    $16, %eax
        andl    $0xFF, %eax
        CHECK   "24 redirection entries", %rax, $23
        ROUTE   4, RTE_MASKED | RTE_REMOTE_IRR | PIN_VECTOR
        READ_IOAPIC 0x10 + 2 * 4
        CHECK   "remote IRR cannot be written", %rax, $(RTE_MASKED | PIN_VECTOR)
        HOOK    PIN_VECTOR, pin_hook
        movq    $0, pin_count
        movq    $0, keep_line
        RAISE_SERIAL
        sti
        WAIT
        cli
        CHECK   "a masked pin delivers nothing", pin_count, $0
        LOWER_SERIAL
        ROUTE   4, PIN_VECTOR
        RAISE_SERIAL
        sti
        WAIT_FOR pin_count, 1
        WAIT
        cli
        CHECK   "an edge delivers once", pin_count, $1
        mov     route_inside, %rax
        andl    $RTE_REMOTE_IRR, %eax
        CHECK   "without remote IRR", %rax, $0
        // The line stays high: no edge, no interrupt.
        movq    $1, keep_line
        RAISE_SERIAL
        sti
        WAIT_FOR pin_count, 2
        WAIT
        cli
        CHECK   "a line that stays high delivers once", pin_count, $2
        LOWER_SERIAL
        movq    $0, keep_line
        ret

io_apic_level:
        movq    $0, pin_count
        movq    $2, keep_line
        HOOK    PIN_VECTOR, level_hook
        ROUTE   4, RTE_LEVEL | PIN_VECTOR
        RAISE_SERIAL
        sti
        WAIT_FOR pin_count, 3
        WAIT
        cli
        CHECK   "a level comes again after each end until it is gone", pin_count, $3
        mov     route_inside, %rax
        andl    $RTE_REMOTE_IRR, %eax
        CHECK   "remote IRR is set in the handler", %rax, $RTE_REMOTE_IRR
        READ_IOAPIC 0x10 + 2 * 4
        andl    $RTE_REMOTE_IRR, %eax
        CHECK   "and clear behind it", %rax, $0
        // Without an end of interrupt there is no second delivery.
        HOOK    PIN_VECTOR, level_without_end_hook
        movq    $0, pin_count
        RAISE_SERIAL
        sti
        WAIT_FOR pin_count, 1
        WAIT
        cli
        CHECK   "a level waits for the end of interrupt", pin_count, $1
        READ_IOAPIC 0x10 + 2 * 4
        andl    $RTE_REMOTE_IRR, %eax
        CHECK   "its remote IRR says so", %rax, $RTE_REMOTE_IRR
        LOWER_SERIAL
        WRITE_APIC APIC_EOI, 0
        READ_IOAPIC 0x10 + 2 * 4
        andl    $RTE_REMOTE_IRR, %eax
        CHECK   "the end clears it", %rax, $0
        ROUTE   4, RTE_MASKED
        UNHOOK  PIN_VECTOR
        ret

level_hook:
        incq    pin_count
        READ_IOAPIC 0x10 + 2 * 4
        mov     %rax, route_inside
        cmpq    $3, pin_count
        jne     1f
        LOWER_SERIAL
1:      WRITE_APIC APIC_EOI, 0
        ret
level_without_end_hook:
        incq    pin_count
        ret

// --- Local APIC: priorities (10.8) ----------------------------------------------------------------------------------------------
.macro SELF vector
        WRITE_APIC APIC_ICR_LOW, ICR_SELF | ICR_ASSERT | (\vector)
.endm

low_hook:
        incq    low_count
        READ_APIC APIC_PPR
        mov     %rax, priority_inside
        READ_APIC APIC_ISR + 0x10 * (LOW_VECTOR / 32)
        mov     %rax, service_inside
        WRITE_APIC APIC_EOI, 0
        ret
high_hook:
        incq    high_count
        WRITE_APIC APIC_EOI, 0
        ret

task_priority:
        HOOK    LOW_VECTOR, low_hook
        movq    $0, low_count
        WRITE_APIC APIC_TPR, 0x60
        READ_APIC APIC_PPR
        CHECK   "PPR follows TPR", %rax, $0x60
        SELF    LOW_VECTOR
        sti
        WAIT
        cli
        CHECK   "TPR holds a lower class", low_count, $0
        READ_APIC APIC_IRR + 0x10 * (LOW_VECTOR / 32)
        CHECK   "it waits in IRR", %rax, $(1 << (LOW_VECTOR & 31))
        mov     $5, %eax
        mov     %rax, %cr8
        sti
        WAIT
        cli
        CHECK   "TPR holds the same class", low_count, $0
        mov     $4, %eax
        sti
        mov     %rax, %cr8
        WAIT_FOR low_count, 1
        cli
        CHECK   "a CR8 below lets it in", low_count, $1
        CHECK   "PPR is the class in service", priority_inside, $0x50
        CHECK   "ISR in the handler", service_inside, $(1 << (LOW_VECTOR & 31))
        READ_APIC APIC_IRR + 0x10 * (LOW_VECTOR / 32)
        CHECK   "IRR is clear", %rax, $0
        READ_APIC APIC_PPR
        CHECK   "PPR is TPR again", %rax, $0x40
        xorl    %eax, %eax
        mov     %rax, %cr8
        ret

// A handler that enables interrupts is interrupted by a higher class only.
nesting:
        HOOK    LOW_VECTOR, nesting_hook
        HOOK    HIGH_VECTOR, high_hook
        HOOK    SAME_CLASS_VECTOR, high_hook
        movq    $0, high_count
        movq    $0, low_count
        movq    $HIGH_VECTOR, nested_vector
        SELF    LOW_VECTOR
        sti
        WAIT_FOR low_count, 1
        cli
        CHECK   "a higher class interrupts the handler", seen_inside, $1
        movq    $SAME_CLASS_VECTOR, nested_vector
        movq    $0, high_count
        movq    $0, low_count
        SELF    LOW_VECTOR
        sti
        WAIT_FOR low_count, 1
        WAIT_FOR high_count, 1
        cli
        CHECK   "the same class does not", seen_inside, $0
        CHECK   "it comes behind it", high_count, $1
        // Two that wait: the higher vector first.
        HOOK    LOW_VECTOR, note_low_hook
        HOOK    HIGH_VECTOR, note_high_hook
        movq    $0, order
        SELF    LOW_VECTOR
        SELF    HIGH_VECTOR
        sti
        WAIT_FOR order, 2
        cli
        CHECK   "the higher vector first", first_at, $1
        CHECK   "the lower second", second_at, $2
        ret

nesting_hook:
        movl    $APIC, %edi
        movl    nested_vector, %eax
        orl     $(ICR_SELF | ICR_ASSERT), %eax
        movl    %eax, APIC_ICR_LOW(%rdi)
        sti
        WAIT
        cli
        mov     high_count, %rax
        mov     %rax, seen_inside
        incq    low_count
        WRITE_APIC APIC_EOI, 0
        ret
note_low_hook:
        incq    order
        mov     order, %rax
        mov     %rax, second_at
        WRITE_APIC APIC_EOI, 0
        ret
note_high_hook:
        incq    order
        mov     order, %rax
        mov     %rax, first_at
        WRITE_APIC APIC_EOI, 0
        ret

// --- Local APIC timer (10.5.4) ------------------------------------------------------------------------------------------------------
timer_hook:
        incq    timer_count
        WRITE_APIC APIC_EOI, 0
        ret

timer_one_shot:
        HOOK    TIMER_VECTOR, timer_hook
        movq    $0, timer_count
        WRITE_APIC APIC_TIMER_DIVIDE, 0xB       // by 1
        WRITE_APIC APIC_LVT_TIMER, TIMER_VECTOR
        WRITE_APIC APIC_TIMER_INITIAL, 100000
        READ_APIC APIC_TIMER_INITIAL
        CHECK   "the initial count reads back", %rax, $100000
        sti
        WAIT_FOR timer_count, 1
        WAIT
        WAIT
        cli
        CHECK   "one-shot timer", timer_count, $1
        READ_APIC APIC_TIMER_CURRENT
        CHECK   "its count stays 0", %rax, $0
        WRITE_APIC APIC_LVT_TIMER, LVT_MASKED | TIMER_VECTOR
        WRITE_APIC APIC_TIMER_INITIAL, 1000
        sti
        WAIT
        WAIT
        cli
        CHECK   "a masked timer", timer_count, $1
        WRITE_APIC APIC_LVT_TIMER, TIMER_VECTOR
        WRITE_APIC APIC_TIMER_INITIAL, 0x7FFFFFFF
        WRITE_APIC APIC_TIMER_INITIAL, 0
        READ_APIC APIC_TIMER_CURRENT
        CHECK   "an initial count of 0 stops it", %rax, $0
        ret

timer_periodic:
        movq    $0, timer_count
        WRITE_APIC APIC_LVT_TIMER, TIMER_PERIODIC | TIMER_VECTOR
        WRITE_APIC APIC_TIMER_INITIAL, 100000
        sti
        WAIT_FOR timer_count, 5
        cli
        mov     timer_count, %rax
        cmp     $5, %rax
        setae   %al
        movzbl  %al, %eax
        CHECK   "periodic timer", %rax, $1
        WRITE_APIC APIC_TIMER_INITIAL, 0
        WRITE_APIC APIC_LVT_TIMER, LVT_MASKED
        sti
        nop
        cli
        ret

timer_deadline:
        movl    $1, %eax
        cpuid
        testl   $(1 << 24), %ecx
        jz      1f
        movq    $0, timer_count
        WRITE_APIC APIC_LVT_TIMER, TIMER_DEADLINE | TIMER_VECTOR
        mfence
        WRITE_APIC APIC_TIMER_INITIAL, 1000
        READ_APIC APIC_TIMER_CURRENT
        CHECK   "the count does not run in TSC-deadline mode", %rax, $0
        rdtsc
        addl    $1000000, %eax
        adcl    $0, %edx
        movl    $MSR_TSC_DEADLINE, %ecx
        wrmsr
        sti
        WAIT_FOR timer_count, 1
        WAIT
        cli
        CHECK   "TSC deadline", timer_count, $1
        READ_MSR MSR_TSC_DEADLINE
        CHECK   "the register is 0 after it", %rax, $0
        WRITE_MSR MSR_TSC_DEADLINE, 1           // long past
        sti
        WAIT_FOR timer_count, 2
        cli
        CHECK   "a deadline in the past comes at once", timer_count, $2
        movl    $MSR_TSC_DEADLINE, %ecx
        xorl    %eax, %eax
        movl    $0x7FFFFFFF, %edx
        wrmsr
        WRITE_MSR MSR_TSC_DEADLINE, 0
        WRITE_APIC APIC_LVT_TIMER, LVT_MASKED
1:      ret

// --- Interrupts in the middle of a string instruction (vol. 2, REP) ------------------------------------------------------------------
        .set    BLOCK, 0x1000000                // 16 MiB in, 32 MiB long; the machine has 128 MiB
        .set    BLOCK_SIZE, 0x2000000

string_timer_hook:
        incq    timer_count
        mov     FRAME_IP(%rax), %rcx
        cmp     $repeated_store, %rcx
        jne     1f
        incq    interrupted_inside
1:      WRITE_APIC APIC_EOI, 0
        ret

within_string_instruction:
        HOOK    TIMER_VECTOR, string_timer_hook
        movq    $0, timer_count
        movq    $0, interrupted_inside
        WRITE_APIC APIC_LVT_TIMER, TIMER_PERIODIC | TIMER_VECTOR
        WRITE_APIC APIC_TIMER_INITIAL, 100000
        movl    $20, %ebx
1:      mov     $BLOCK, %rdi
        movl    $(BLOCK_SIZE / 8), %ecx
        mov     %rbx, %rax
        sti
repeated_store:
        rep stosq
        cli
        CHECK_QUIETLY %rcx, $0
        CHECK_QUIETLY %rdi, $(BLOCK + BLOCK_SIZE)
        decl    %ebx
        jnz     1b
        WRITE_APIC APIC_TIMER_INITIAL, 0
        WRITE_APIC APIC_LVT_TIMER, LVT_MASKED
        sti                                     // for one that came behind the last CLI and would end HLT later
        nop
        cli
        CHECK   "REP STOSQ ends as it should with interrupts", differences, $0
        cmpq    $0, interrupted_inside
        setne   %al
        movzbl  %al, %eax
        CHECK   "interrupts come within it", %rax, $1
        mov     $BLOCK, %rdi
        movl    $(BLOCK_SIZE / 8), %ecx
        movl    $1, %eax
        repe scasq
        CHECK   "every word was stored", %rcx, $0
        HOOK    TIMER_VECTOR, timer_hook
        ret

// --- Errors and software disable (10.5.3, 10.4.7.2) -----------------------------------------------------------------------------------
apic_errors:
        WRITE_APIC APIC_ESR, 0
        SELF    5
        WRITE_APIC APIC_ESR, 0
        READ_APIC APIC_ESR
        andl    $(1 << 5), %eax
        CHECK   "sending an illegal vector sets ESR bit 5", %rax, $(1 << 5)
        WRITE_APIC APIC_ESR, 0
        WRITE_APIC APIC_ESR, 0
        READ_APIC APIC_ESR
        CHECK   "two writes clear ESR", %rax, $0
        WRITE_APIC APIC_LVT_TIMER, TIMER_VECTOR
        WRITE_APIC APIC_SPURIOUS, 0xFF
        READ_APIC APIC_LVT_TIMER
        CHECK   "a software disable masks the LVT", %rax, $(LVT_MASKED | TIMER_VECTOR)
        WRITE_APIC APIC_LVT_TIMER, TIMER_VECTOR
        READ_APIC APIC_LVT_TIMER
        CHECK   "and keeps it masked", %rax, $(LVT_MASKED | TIMER_VECTOR)
        WRITE_APIC APIC_SPURIOUS, 0x1FF
        WRITE_APIC APIC_LVT_LINT0, LVT_EXTINT
        ret

// --- HLT -----------------------------------------------------------------------------------------------------------------------------
halt:
        movq    $0, timer_count
        WRITE_APIC APIC_TIMER_DIVIDE, 0xB
        WRITE_APIC APIC_LVT_TIMER, TIMER_VECTOR
        WRITE_APIC APIC_TIMER_INITIAL, 1000000
        sti
        hlt
        cli
        CHECK   "the APIC timer ends HLT", timer_count, $1
        HOOK    TICK_VECTOR, tick_hook
        movq    $0, tick_count
        OUT     PIC_MASTER + 1, 0xFE
        call    start_ticks
        movl    $10, %ebx
1:      sti
        hlt
        cli
        decl    %ebx
        jnz     1b
        OUT     PIC_MASTER + 1, 0xFF
        mov     tick_count, %rax
        cmp     $10, %rax
        setae   %al
        movzbl  %al, %eax
        CHECK   "ticks end HLT", %rax, $1
        ret

// --- x2APIC (10.12) --------------------------------------------------------------------------------------------------------------------
x2apic:
        movl    $1, %eax
        cpuid
        testl   $(1 << 21), %ecx
        jz      1f
        TRY
        READ_MSR X2APIC_ID
        CATCH   "x2APIC registers in xAPIC mode", GP
        READ_MSR MSR_APIC_BASE
        orl     $APIC_BASE_X2, %eax
        wrmsr
        TRY
        READ_MSR X2APIC_ID
        mov     %rax, %rdi
        CATCH   "x2APIC registers", NO_FAULT
        CHECK   "x2APIC id", %rdi, $0
        HOOK    HIGH_VECTOR, x2_hook
        movq    $0, high_count
        sti
        WRITE_MSR X2APIC_SELF_IPI, HIGH_VECTOR
        WAIT_FOR high_count, 1
        cli
        CHECK   "SELF IPI", high_count, $1
        sti
        WRITE_MSR X2APIC_ICR, HIGH_VECTOR, 0    // fixed, physical, to id 0
        WAIT_FOR high_count, 2
        cli
        CHECK   "ICR is one register", high_count, $2
        TRY
        WRITE_MSR X2APIC_EOI, 1
        CATCH   "EOI of other than 0", GP
        TRY
        WRITE_MSR X2APIC_TPR, 0x100
        CATCH   "reserved bits of TPR", GP
        TRY
        WRITE_MSR X2APIC_ID, 1
        CATCH   "the id is read-only", GP
        TRY
        READ_MSR X2APIC_EOI
        CATCH   "EOI is write-only", GP
        TRY
        READ_MSR MSR_APIC_BASE
        andl    $~APIC_BASE_X2, %eax
        wrmsr
        CATCH   "from x2APIC straight to xAPIC mode", GP
        READ_MSR MSR_APIC_BASE
        andl    $~(APIC_BASE_X2 | APIC_BASE_ENABLE), %eax
        TRY
        wrmsr
        CATCH   "off", NO_FAULT
        movl    $1, %eax
        cpuid
        andl    $(1 << 9), %edx
        CHECK   "CPUID.APIC is clear while it is off", %rdx, $0
        TRY
        READ_MSR MSR_APIC_BASE
        orl     $(APIC_BASE_X2), %eax
        wrmsr
        CATCH   "x2APIC without the enable bit", GP
        READ_MSR MSR_APIC_BASE
        orl     $APIC_BASE_ENABLE, %eax
        TRY
        wrmsr
        CATCH   "and on again", NO_FAULT
1:      ret

x2_hook:
        incq    high_count
        WRITE_MSR X2APIC_EOI, 0
        ret

        .bss
        .balign 8
tick_count:             .skip 8
serial_count:           .skip 8
last_vector:            .skip 8
order:                  .skip 8
first_at:               .skip 8
second_at:              .skip 8
seen_inside:            .skip 8
pin_count:              .skip 8
keep_line:              .skip 8
route_inside:           .skip 8
low_count:              .skip 8
high_count:             .skip 8
priority_inside:        .skip 8
service_inside:         .skip 8
nested_vector:          .skip 8
timer_count:            .skip 8
interrupted_inside:     .skip 8
differences:            .skip 8
