// Instructions whose operands lie in a device: the memory of -device pc-testdev, which kvm-unit-tests use for the same
// purpose. Every access goes through the device's registers, so nothing may depend on plain memory.
#define LONG_MODE
#include "roms/testroms/common/testrom.inc"

        .set    DEVICE, 0xFF000000
        .set    DEVICE_SIZE, 0x10000

// Constants that are no sign-extended 32 bits. They use R15.
.macro CHECK_64 name, actual, expected
        movabsq $\expected, %r15
        CHECK   "\name", \actual, %r15
.endm
.macro CHECK_32 name, actual, expected
        movl    $\expected, %r15d
        CHECK_LOW "\name", \actual, %r15
.endm

        .text
main:
        SET_BITS cr4, (CR4_OSFXSR | CR4_OSXMMEXCPT)
        movl    $DEVICE, %ebp
        call    moves
        call    arithmetic
        call    locked
        call    strings
        call    vectors
        call    x87
        call    stack
        call    control
        call    tables
        call    ends
        ret

// RBP is the device's memory; RAX and RBX hold the patterns.
.macro PATTERNS
        movabsq $0x0123456789ABCDEF, %rax
        movabsq $0xFEDCBA9876543210, %rbx
        mov     %rax, (%rbp)
.endm

moves:
        PATTERNS
        CHECK   "quadword", (%rbp), %rax
        movzbl  1(%rbp), %ecx
        CHECK   "MOVZX of a byte", %rcx, $0xCD
        movswq  (%rbp), %rcx
        CHECK   "MOVSX of a word", %rcx, $0xFFFFFFFFFFFFCDEF
        mov     3(%rbp), %rcx
        movl    3(%rbp), %ecx
        CHECK   "not aligned", %rcx, $0x23456789
        movb    $0x55, 7(%rbp)
        movw    $0x6677, 5(%rbp)
        mov     (%rbp), %rcx
        movabsq $0x5566776789ABCDEF, %rdx
        CHECK   "parts", %rcx, %rdx
        mov     %rax, (%rbp)
        xchg    %bl, (%rbp)
        CHECK_LOW "XCHG", %ebx, $0x765432EF
        CHECK_32 "XCHG stores", (%rbp), 0x89ABCD10
        bswap   %rax
        mov     %rax, (%rbp)
        cmp     (%rbp), %rax
        setz    %cl
        movzbl  %cl, %ecx
        CHECK   "CMP", %rcx, $1
        ret

arithmetic:
        PATTERNS
        addq    %rbx, (%rbp)
        CHECK   "ADD", (%rbp), $-1
        incq    (%rbp)
        CHECK   "INC", (%rbp), $0
        notw    (%rbp)
        CHECK   "NOT", (%rbp), $0xFFFF
        negb    (%rbp)
        CHECK   "NEG", (%rbp), $0xFF01
        shll    $8, (%rbp)
        CHECK   "SHL", (%rbp), $0xFF0100
        rorw    $4, (%rbp)
        CHECK   "ROR", (%rbp), $0xFF0010
        movl    $0xABCD, %eax
        shrdl   $8, %eax, (%rbp)
        CHECK_32 "SHRD", (%rbp), 0xCD00FF00
        imull   $2, (%rbp), %ecx
        CHECK_32 "IMUL", %ecx, 0x9A01FE00
        movl    $-1, %ecx
        btsl    %ecx, 4(%rbp)                   // bit 31 of what lies before
        btrl    $8, (%rbp)
        CHECK_32 "BTR", (%rbp), 0xCD00FE00
        movl    $1000, (%rbp)
        movl    $100000, %eax
        xorl    %edx, %edx
        divl    (%rbp)
        CHECK_LOW "DIV", %eax, $100
        bsfl    (%rbp), %ecx
        CHECK_LOW "BSF", %ecx, $3
        setc    (%rbp)
        cmovzl  (%rbp), %ecx
        ret

locked:
        PATTERNS
        lock incq (%rbp)
        mov     (%rbp), %rcx
        inc     %rax
        CHECK   "LOCK INC", %rcx, %rax
        lock xaddl %ebx, (%rbp)
        CHECK_32 "LOCK XADD", %ebx, 0x89ABCDF0
        CHECK_LOW "LOCK XADD stores", (%rbp), $0x00000000
        movl    $0, %eax
        movl    $0x1234, %ecx
        lock cmpxchgl %ecx, (%rbp)
        CHECK_LOW "LOCK CMPXCHG", (%rbp), $0x1234
        movl    $0x1234, %eax
        movl    4(%rbp), %edx
        movl    $5, %ebx
        movl    $6, %ecx
        lock cmpxchg8b (%rbp)
        CHECK_LOW "LOCK CMPXCHG8B", 4(%rbp), $6
        mov     (%rbp), %rax
        mov     8(%rbp), %rdx
        movl    $7, %ebx
        movl    $8, %ecx
        lock cmpxchg16b (%rbp)
        CHECK   "LOCK CMPXCHG16B", 8(%rbp), $8
        lock btsl $31, (%rbp)
        CHECK_32 "LOCK BTS", (%rbp), 0x80000007
        ret

strings:
        cld
        movl    $DEVICE, %edi
        movl    $0x11223344, %eax
        movl    $1024, %ecx
        rep stosl
        CHECK_64 "REP STOS", %rdi, (DEVICE + 4096)
        CHECK_LOW "its last", -4(%rdi), $0x11223344
        movl    $DEVICE, %esi
        movl    $buffer, %edi
        movl    $512, %ecx
        rep movsq
        CHECK_LOW "REP MOVS from the device", buffer + 4092, $0x11223344
        movl    $0x99, buffer + 100
        movl    $buffer, %esi
        movl    $DEVICE, %edi
        movl    $4096, %ecx
        repe cmpsb
        CHECK   "REPE CMPS", %rcx, $(4096 - 101)
        movl    $buffer, %esi
        movl    $DEVICE + 1, %edi
        movl    $2048, %ecx
        rep movsw
        CHECK_LOW "REP MOVS to the device", 101(%rbp), $0x99
        movl    $DEVICE, %edi
        movb    $0x99, %al
        movl    $4096, %ecx
        repne scasb
        CHECK_64 "REPNE SCAS", %rdi, (DEVICE + 102)
        std
        movl    $DEVICE + 101, %esi
        lodsb
        cld
        movzbl  %al, %eax
        CHECK   "LODS", %rax, $0x99
        movl    $DEVICE, %esi
        movl    $0xE0, %edx
        movl    $103, %ecx
        rep outsb
        inb     $0xE0, %al
        movl    $0xE0, %edx
        movl    $DEVICE, %edi
        movl    $3, %ecx
        rep insb
        CHECK_64 "REP INS", %rdi, (DEVICE + 3)
        ret

vectors:
        PATTERNS
        mov     %rbx, 8(%rbp)
        movaps  (%rbp), %xmm0
        movups  %xmm0, 0x101(%rbp)
        CHECK   "MOVAPS and MOVUPS", 0x109(%rbp), %rbx
        movdqa  %xmm0, 0x200(%rbp)
        paddq   0x200(%rbp), %xmm0
        movntdq %xmm0, 0x300(%rbp)
        add     %rax, %rax
        CHECK   "PADDQ and MOVNTDQ", 0x300(%rbp), %rax
        movnti  %rbx, 0x300(%rbp)
        movhlps %xmm0, %xmm1
        movhps  %xmm1, 0x308(%rbp)
        movsd   0x308(%rbp), %xmm2
        movd    0x300(%rbp), %xmm3
        CHECK   "MOVNTI", 0x300(%rbp), %rbx
        movl    $DEVICE + 0x400, %edi
        pcmpeqd %xmm4, %xmm4
        maskmovdqu %xmm4, %xmm0
        CHECK   "MASKMOVDQU", 0x400(%rbp), %rax
        TRY
1:      movaps  1(%rbp), %xmm0
        CATCH   "MOVAPS not aligned", GP
        fxsave  0x800(%rbp)
        pxor    %xmm2, %xmm2
        fxrstor 0x800(%rbp)
        movq    %xmm2, %rcx
        CHECK   "FXSAVE and FXRSTOR", %rcx, 0x308(%rbp)
        stmxcsr (%rbp)
        CHECK_LOW "STMXCSR", (%rbp), $0x1F80
        ret

x87:
        fninit
        movl    $12, (%rbp)
        fildl   (%rbp)
        fistpll 8(%rbp)
        CHECK   "FILD and FISTP", 8(%rbp), $12
        fldpi
        fstpt   0x20(%rbp)
        fldt    0x20(%rbp)
        fstpl   0x30(%rbp)
        movabsq $0x400921FB54442D18, %rcx
        CHECK   "FSTP and FLD", 0x30(%rbp), %rcx
        fnstcw  (%rbp)
        CHECK_LOW "FNSTCW", (%rbp), $0x37F
        fnsave  0x400(%rbp)
        frstor  0x400(%rbp)
        fnstsw  (%rbp)
        CHECK_LOW "FNSTSW", (%rbp), $0x20       // FSTP rounded
        ret

stack:
        mov     %rsp, %rbx
        mov     $DEVICE + 0x1000, %esp
        push    $-7
        push    (%rsp)
        pushfq
        pop     %rcx
        pop     8(%rsp)
        mov     %rsp, %rcx
        call    1f
1:      pop     %rdx
        enter   $16, $2
        leave
        mov     %rbx, %rsp
        CHECK_64 "PUSH and POP", %rcx, (DEVICE + 0xFF8)
        CHECK   "CALL", %rdx, $1b
        CHECK   "PUSH of an immediate", 0xFF8(%rbp), $-7
        // An exception on a stack in the device and the way back from it.
        HOOK    BP_TRAP, noted_breakpoint
        mov     $DEVICE + 0x2000, %esp
        int3
        mov     %rbx, %rsp
        UNHOOK  BP_TRAP
        CHECK   "exception frame", breakpoints, $1
        ret

noted_breakpoint:
        incq    breakpoints
        ret

control:
        // MOV EAX, 0x12345678; ADD EAX, 1; RET
        movl    $0x345678B8, (%rbp)
        movl    $0x01C08312, 4(%rbp)
        movb    $0xC3, 8(%rbp)
        xorl    %eax, %eax
        call    *%rbp
        CHECK   "code in the device", %rax, $0x12345679
        movb    $2, 7(%rbp)
        call    *%rbp
        CHECK   "changed", %rax, $0x1234567A
        mov     $1f, %rcx
        mov     %rcx, 0x10(%rbp)
        jmp     *0x10(%rbp)
        FAIL    "JMP through the device"
1:      PASS    "JMP through the device"
        movl    $2f, 0x10(%rbp)
        movw    $CODE64, 0x14(%rbp)
        ljmpl   *0x10(%rbp)
        FAIL    "far JMP through the device"
2:      PASS    "far JMP through the device"
        ret

tables:
        sgdt    0x100(%rbp)
        lgdt    0x100(%rbp)
        movl    gdt_pointer, %ecx
        CHECK_LOW "SGDT", 0x100(%rbp), %rcx
        sidt    0x100(%rbp)
        lidt    0x100(%rbp)
        smsw    (%rbp)
        str     (%rbp)
        movw    $DATA, (%rbp)
        mov     (%rbp), %es
        mov     %es, 2(%rbp)
        CHECK_LOW "MOV of segments", (%rbp), $(DATA << 16 | DATA)
        invlpg  (%rbp)
        clflush (%rbp)
        prefetcht0 (%rbp)
        movl    $DEVICE, %edx
        ret

// An operand that reaches out of the device, into the room behind it.
ends:
        movl    $5, DEVICE_SIZE - 4(%rbp)
        mov     DEVICE_SIZE - 4(%rbp), %rcx
        CHECK_LOW "the device's part", %ecx, $5
        ret

        .bss
        .balign 16
buffer: .skip   0x2000
breakpoints:
        .skip   8
