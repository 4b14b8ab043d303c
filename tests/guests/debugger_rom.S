// A firmware for run_gdb.py: brings every processor into 64-bit mode, one into `main`, the others into `other`. Linked
// at 0xF0000, where the last 64 KiB of the firmware image appear; multiprocessor start-up by SDM vol. 3, 8.4.
        .set    CPU_COUNT, 0x500                // processors seen so far
        .set    STACKS, 0x8000                  // 4 KiB each
        .set    LEVEL4, 0x1000
        .set    LEVEL3, 0x2000
        .set    LEVEL2, 0x3000
        .set    APIC_ICR_LOW, 0xFEE00300
        .set    ICR_INIT_OTHERS, 0xC4500
        .set    ICR_STARTUP_OTHERS, 0xC4600 | 0xF0
        .set    EFER, 0xC0000080

        // In RAM, which is zero at power-on.
        .globl  counter, total, progress
        .set    counter, 0x600
        .set    total, 0x608
        .set    progress, 0x610

        .text
        .code16
        .globl  _start
_start:                                         // also where a start-up IPI leads
        cli
        movw    $0xF000, %ax
        movw    %ax, %ds
        lgdtl   gdt_pointer - _start
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $0x08, $protected_mode

        .code32
protected_mode:
        movw    $0x18, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $1, %ebp
        lock xaddl %ebp, CPU_COUNT              // EBP: which processor this is
        testl   %ebp, %ebp
        jnz     1f
        movl    $(LEVEL3 | 3), LEVEL4
        movl    $(LEVEL2 | 3), LEVEL3
        movl    $0x83, LEVEL2                   // 2 MiB
        movl    $ICR_INIT_OTHERS, APIC_ICR_LOW
        movl    $ICR_STARTUP_OTHERS, APIC_ICR_LOW
1:      movl    $0x220, %eax                    // PAE, OSFXSR
        movl    %eax, %cr4
        movl    $LEVEL4, %eax
        movl    %eax, %cr3
        movl    $EFER, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmpl   $0x10, $long_mode

        .code64
long_mode:
        movl    %ebp, %eax
        shll    $12, %eax
        leaq    STACKS(%rax), %rsp
        testl   %ebp, %ebp
        jnz     other
        movabsq $0x1122334455667788, %rbx
        movq    %rbx, %xmm3
        fninit
        fld1

        .globl  main, add, add_end, other
main:   movl    $5, %edi
        call    add
        jmp     main

        .type   add, @function
add:    incq    counter
        addq    %rdi, total
        movq    total, %rax
        ret
        .size   add, . - add

other:  incq    progress
        pause
        jmp     other

        .balign 8
gdt:    .quad   0
        .quad   0x00CF9B000000FFFF              // 08: 32-bit code
        .quad   0x00AF9B000000FFFF              // 10: 64-bit code
        .quad   0x00CF93000000FFFF              // 18: data
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

        .org    0xFFF0
        .code16
        ljmp    $0xF000, $0
        .org    0x10000
