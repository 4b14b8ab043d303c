// Who may use x87, MMX and SSE, and how their exceptions arrive (SDM vol. 3, 2.5 and chapter 13; vol. 1, 8.7, 11.5 and 13);
// memory images of their state.
#define LONG_MODE
#include "roms/testroms/common/testrom.inc"

        .set    CW_DEFAULT, 0x37F
        .set    CW_DIVIDE_UNMASKED, 0x37B
        .set    SW_DIVIDE, 1 << 2
        .set    SW_SUMMARY, 1 << 7
        .set    MXCSR_DEFAULT, 0x1F80
        .set    MXCSR_DIVIDE_UNMASKED, 0x1D80
        .set    MXCSR_DIVIDE, 1 << 2
        .set    COPROCESSOR_PORT, 0xF0          // a write clears the latch of FERR#
        .set    PIC_MASTER, 0x20
        .set    PIC_SLAVE, 0xA0
        .set    PIC_BASE, 0x60                  // vectors of the two controllers
        .set    COPROCESSOR_VECTOR, PIC_BASE + 13
        .set    XCR0_X87, 1
        .set    XCR0_SSE, 2
        .set    XCR0_AVX, 4

// Divides by zero without the exception arriving yet.
.macro DIVIDE_BY_ZERO
        fninit
        fldcw   divide_unmasked
        fld1
        fldz
        fdivrp                                  // 1 / 0
.endm

.macro FAULTS name, vector, instruction:vararg
        TRY
        \instruction
        CATCH   "\name", \vector
.endm

        .text
main:
        SET_BITS cr4, CR4_OSFXSR | CR4_OSXMMEXCPT
        call    emulation
        call    task_switched
        call    operating_system_support
        call    x87_exceptions
        call    external_exceptions
        call    simd_exceptions
        call    fxsave_area
        call    mmx_and_x87
        call    xsave_control
        call    xsave_area
        ret

// --- CR0.EM (2.5; tables 13-1 to 13-3) ---------------------------------------------------------------------------------------
emulation:
        SET_BITS cr0, CR0_EM
        FAULTS  "x87 with CR0.EM", NM, fninit
        FAULTS  "MMX with CR0.EM", UD, emms
        FAULTS  "SSE with CR0.EM", UD, addps %xmm0, %xmm0
        FAULTS  "FXSAVE with CR0.EM", NM, fxsave area
        FAULTS  "LDMXCSR with CR0.EM", UD, ldmxcsr mxcsr_default
        FAULTS  "WAIT with CR0.EM and not TS", NO_FAULT, fwait
        FAULTS  "SFENCE, MOVNTI and PREFETCH with CR0.EM", NO_FAULT, call no_vector_state
        CLEAR_BITS cr0, CR0_EM
        ret

no_vector_state:
        sfence
        lfence
        mfence
        prefetcht0 area
        movntil %eax, scratch
        pause
        ret

// --- CR0.TS, CR0.MP --------------------------------------------------------------------------------------------------------
task_switched:
        SET_BITS cr0, CR0_TS | CR0_MP
        FAULTS  "x87 with CR0.TS", NM, fnop
        FAULTS  "FNSTSW with CR0.TS", NM, fnstsw %ax
        FAULTS  "MMX with CR0.TS", NM, emms
        FAULTS  "SSE with CR0.TS", NM, addps %xmm0, %xmm0
        FAULTS  "FXSAVE with CR0.TS", NM, fxsave area
        FAULTS  "FXRSTOR with CR0.TS", NM, fxrstor area
        FAULTS  "STMXCSR with CR0.TS", NM, stmxcsr scratch
        FAULTS  "WAIT with CR0.TS and MP", NM, fwait
        FAULTS  "SFENCE, MOVNTI and PREFETCH with CR0.TS", NO_FAULT, call no_vector_state
        CLEAR_BITS cr0, CR0_MP
        FAULTS  "WAIT with CR0.TS without MP", NO_FAULT, fwait
        FAULTS  "x87 with CR0.TS without MP", NM, fnop
        clts
        SET_BITS cr0, CR0_MP
        FAULTS  "x87 after CLTS", NO_FAULT, fnop
        FAULTS  "SSE after CLTS", NO_FAULT, addps %xmm0, %xmm0
        ret

// --- CR4.OSFXSR --------------------------------------------------------------------------------------------------------------
operating_system_support:
        CLEAR_BITS cr4, CR4_OSFXSR
        FAULTS  "SSE without CR4.OSFXSR", UD, addps %xmm0, %xmm0
        FAULTS  "LDMXCSR without CR4.OSFXSR", UD, ldmxcsr mxcsr_default
        FAULTS  "FXSAVE without CR4.OSFXSR", NO_FAULT, fxsave area
        FAULTS  "MMX without CR4.OSFXSR", NO_FAULT, emms
        FAULTS  "SFENCE, MOVNTI and PREFETCH without CR4.OSFXSR", NO_FAULT, call no_vector_state
        SET_BITS cr4, CR4_OSFXSR
        ret

// --- #MF with CR0.NE (vol. 1, 8.7.1) -----------------------------------------------------------------------------------------
x87_exceptions:
        SET_BITS cr0, CR0_NE
        TRY
        DIVIDE_BY_ZERO
        fnstsw  %ax
        movzwl  %ax, %edi
        CATCH   "the instruction that causes an x87 exception does not raise it", NO_FAULT
        andl    $(SW_DIVIDE | SW_SUMMARY), %edi
        CHECK   "it sets ZE and ES", %rdi, $(SW_DIVIDE | SW_SUMMARY)
        TRY
1:      fld1
        CATCH   "the next waiting instruction does", MF
        CHECK   "as a fault", fault_ip, $1b
        FAULTS  "WAIT raises it", MF, fwait
        FAULTS  "MMX raises it", MF, paddb %mm0, %mm0
        FAULTS  "SSE does not", NO_FAULT, addps %xmm0, %xmm0
        FAULTS  "FNSTCW does not", NO_FAULT, fnstcw scratch
        FAULTS  "FXSAVE does not", NO_FAULT, fxsave area
        FAULTS  "FNCLEX takes it away", NO_FAULT, fnclex
        FAULTS  "then there is none", NO_FAULT, fwait
        // FLDENV and FRSTOR can bring one.
        DIVIDE_BY_ZERO
        fnstenv scratch
        fnclex
        FAULTS  "FLDENV of an unmasked exception", NO_FAULT, fldenv scratch
        FAULTS  "raises at the next instruction", MF, fwait
        fnclex
        fldcw   divide_masked
        fwait
        fld1
        fldz
        fdivrp
        fldcw   divide_unmasked
        FAULTS  "unmasking a flag that is set", MF, fwait
        fninit
        ret

// --- FERR# and IRQ 13 with CR0.NE clear (vol. 1, 8.7.2) ----------------------------------------------------------------------
external_exceptions:
        call    open_coprocessor_interrupt
        HOOK    COPROCESSOR_VECTOR, coprocessor_hook
        CLEAR_BITS cr0, CR0_NE
        movq    $0, interrupts
        sti
        TRY
        DIVIDE_BY_ZERO
        sti
1:      fwait
        nop
        WAIT
        CATCH   "no #MF with CR0.NE clear", NO_FAULT
        CHECK   "IRQ 13 instead", interrupts, $1
        fnstsw  %ax
        movzwl  %ax, %edi
        andl    $SW_SUMMARY, %edi
        CHECK   "its handler cleared the exception", %rdi, $0
        sti
        TRY
        DIVIDE_BY_ZERO
        sti
        fld1
        fstp    %st
        WAIT
        CATCH   "a second one", NO_FAULT
        CHECK   "raises IRQ 13 again", interrupts, $2
        cli
        SET_BITS cr0, CR0_NE
        movb    $0xFF, %al
        outb    %al, $(PIC_MASTER + 1)
        outb    %al, $(PIC_SLAVE + 1)
        UNHOOK  COPROCESSOR_VECTOR
        ret

coprocessor_hook:
        incq    interrupts
        outb    %al, $COPROCESSOR_PORT
        fnclex
        movb    $0x20, %al
        outb    %al, $PIC_SLAVE
        outb    %al, $PIC_MASTER
        ret

open_coprocessor_interrupt:
        movb    $0x11, %al                      // ICW1: edge, cascade, ICW4
        outb    %al, $PIC_MASTER
        outb    %al, $PIC_SLAVE
        movb    $PIC_BASE, %al
        outb    %al, $(PIC_MASTER + 1)
        movb    $(PIC_BASE + 8), %al
        outb    %al, $(PIC_SLAVE + 1)
        movb    $4, %al
        outb    %al, $(PIC_MASTER + 1)
        movb    $2, %al
        outb    %al, $(PIC_SLAVE + 1)
        movb    $1, %al
        outb    %al, $(PIC_MASTER + 1)
        outb    %al, $(PIC_SLAVE + 1)
        movb    $~(1 << 2), %al
        outb    %al, $(PIC_MASTER + 1)
        movb    $~(1 << 5), %al
        outb    %al, $(PIC_SLAVE + 1)
        ret

// --- #XM (vol. 1, 11.5) ------------------------------------------------------------------------------------------------------
simd_exceptions:
        ldmxcsr mxcsr_divide_unmasked
        xorps   %xmm1, %xmm1
        movl    $0x3F800000, %eax               // 1.0
        movd    %eax, %xmm0
        TRY
1:      divss   %xmm1, %xmm0
        CATCH   "unmasked SIMD exception", XM
        CHECK   "is a fault", fault_ip, $1b
        movd    %xmm0, %edi
        CHECK   "the destination stays", %rdi, $0x3F800000
        stmxcsr scratch
        movl    scratch, %edi
        andl    $MXCSR_DIVIDE, %edi
        CHECK   "MXCSR.ZE is set", %rdi, $MXCSR_DIVIDE
        FAULTS  "a flag that is set raises nothing later", NO_FAULT, addps %xmm1, %xmm1
        CLEAR_BITS cr4, CR4_OSXMMEXCPT
        FAULTS  "without CR4.OSXMMEXCPT it is #UD", UD, divss %xmm1, %xmm0
        SET_BITS cr4, CR4_OSXMMEXCPT
        ldmxcsr mxcsr_default
        FAULTS  "masked", NO_FAULT, divss %xmm1, %xmm0
        movd    %xmm0, %edi
        CHECK   "gives infinity", %rdi, $0x7F800000
        FAULTS  "LDMXCSR with a reserved bit", GP, ldmxcsr mxcsr_reserved
        FAULTS  "MOVAPS at an odd address", GP, movaps area + 1, %xmm0
        FAULTS  "MOVUPS at an odd address", NO_FAULT, movups area + 1, %xmm0
        FAULTS  "ADDPS with memory not aligned", GP, addps area + 4, %xmm0
        ldmxcsr mxcsr_default
        ret

// --- FXSAVE (vol. 1, 10.5) ---------------------------------------------------------------------------------------------------
fxsave_area:
        fninit
        fldpi
        fld1
        movl    $0x11111111, %eax
        movd    %eax, %xmm0
        movl    $0x22222222, %eax
        movd    %eax, %xmm15
        mov     $area, %rdi
        movl    $64, %ecx
        mov     $-1, %rax
        rep stosq
        FAULTS  "FXSAVE at an address that is no multiple of 16", GP, fxsave area + 8
        fxsave  area
        movzwl  area, %eax
        CHECK   "FCW", %rax, $CW_DEFAULT
        movzwl  area + 2, %eax
        CHECK   "FSW: TOP is 6", %rax, $(6 << 11)
        movzbl  area + 4, %eax
        CHECK   "abridged FTW", %rax, $0xC0
        movl    area + 24, %eax
        CHECK   "MXCSR", %rax, $MXCSR_DEFAULT
        movl    area + 28, %eax
        testl   %eax, %eax
        setnz   %al
        movzbl  %al, %eax
        CHECK   "MXCSR_MASK is there", %rax, $1
        movzwl  area + 32 + 8, %eax
        CHECK   "ST(0)'s exponent", %rax, $0x3FFF
        movzwl  area + 48 + 8, %eax
        CHECK   "ST(1)'s exponent", %rax, $0x4000
        movl    area + 160, %eax
        CHECK   "XMM0", %rax, $0x11111111
        movl    area + 160 + 15 * 16, %eax
        CHECK   "XMM15", %rax, $0x22222222
        movl    area + 464, %eax
        CHECK   "bytes 464-511 are not written", %rax, mask_32
        fnstsw  %ax
        movzwl  %ax, %eax
        CHECK   "FXSAVE leaves the x87 state", %rax, $(6 << 11)
        fninit
        xorps   %xmm0, %xmm0
        xorps   %xmm15, %xmm15
        fxrstor area
        fnstsw  %ax
        movzwl  %ax, %eax
        CHECK   "FXRSTOR: FSW", %rax, $(6 << 11)
        movd    %xmm15, %eax
        CHECK   "FXRSTOR: XMM15", %rax, $0x22222222
        fstpt   scratch
        movzwl  scratch + 8, %eax
        CHECK   "FXRSTOR: ST(0)", %rax, $0x3FFF
        movl    $0x80000000, area + 24
        FAULTS  "FXRSTOR with a reserved bit of MXCSR", GP, fxrstor area
        movl    $MXCSR_DEFAULT, area + 24
        fninit
        ret

// --- MMX and x87 share registers (vol. 1, 9.6) --------------------------------------------------------------------------------
mmx_and_x87:
        fninit
        fld1
        movl    $0x1234, %eax
        movd    %eax, %mm3
        fnstenv scratch
        movzwl  scratch + 4, %eax
        CHECK   "MMX sets TOP to 0", %rax, $0
        movzwl  scratch + 8, %eax
        andl    $0xC0C0, %eax
        CHECK   "the tag of MM3 is special, that of R7 valid", %rax, $0x0080
        fnsave  area
        movzwl  area + 28 + 30 + 8, %eax
        CHECK   "a write sets the exponent to ones", %rax, $0xFFFF
        frstor  area
        emms
        fnstenv scratch
        movzwl  scratch + 8, %eax
        CHECK   "EMMS empties", %rax, $0xFFFF
        fninit
        ret

// --- XCR0 (vol. 1, 13.3) -----------------------------------------------------------------------------------------------------
.macro SET_XCR0 value
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        movl    $(\value), %eax
        xsetbv
.endm

xsave_control:
        movl    $1, %eax
        cpuid
        testl   $(1 << 26), %ecx
        jz      1f
        andl    $(1 << 27), %ecx
        CHECK   "CPUID.OSXSAVE follows CR4: clear", %rcx, $0
        FAULTS  "XGETBV without CR4.OSXSAVE", UD, xgetbv
        FAULTS  "XSAVE without CR4.OSXSAVE", UD, xsave area
        SET_BITS cr4, CR4_OSXSAVE
        movl    $1, %eax
        cpuid
        andl    $(1 << 27), %ecx
        CHECK   "CPUID.OSXSAVE follows CR4: set", %rcx, $(1 << 27)
        xorl    %ecx, %ecx
        xgetbv
        CHECK   "XCR0 after reset", %rax, $XCR0_X87
        FAULTS  "XCR0 with x87 and SSE", NO_FAULT, call enable_sse
        TRY
        SET_XCR0 XCR0_SSE
        CATCH   "XCR0 without x87", GP
        TRY
        SET_XCR0 XCR0_X87 | XCR0_AVX
        CATCH   "XCR0 with AVX without SSE", GP
        TRY
        SET_XCR0 XCR0_X87 | XCR0_SSE | 1 << 30
        CATCH   "XCR0 with an unknown bit", GP
        TRY
        movl    $1, %ecx
        xorl    %edx, %edx
        movl    $3, %eax
        xsetbv
        CATCH   "XCR1 written", GP
        TRY_USER
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        movl    $3, %eax
        xsetbv
        CATCH   "XSETBV in ring 3", GP
        TRY_USER
        xorl    %ecx, %ecx
        xgetbv
        CATCH   "XGETBV in ring 3", NO_FAULT
1:      ret

enable_sse:
        SET_XCR0 XCR0_X87 | XCR0_SSE
        ret

// --- XSAVE and XRSTOR (vol. 1, 13.7, 13.8) -------------------------------------------------------------------------------------
        .set    HEADER, 512

.macro XSTATE instruction, mask, address=area
        xorl    %edx, %edx
        movl    $(\mask), %eax
        \instruction \address
.endm

xsave_area:
        movl    $1, %eax
        cpuid
        testl   $(1 << 26), %ecx
        jz      1f
        mov     $area, %rdi
        movl    $(576 / 8), %ecx
        xorl    %eax, %eax
        rep stosq
        fninit
        fldpi
        movl    $0x33333333, %eax
        movd    %eax, %xmm7
        XSTATE  xsave, 3
        mov     area + HEADER, %rax
        CHECK   "XSTATE_BV", %rax, $3
        movl    area + 160 + 7 * 16, %eax
        CHECK   "XMM7 in the area", %rax, $0x33333333
        fninit
        xorps   %xmm7, %xmm7
        XSTATE  xrstor, 3
        movd    %xmm7, %eax
        CHECK   "XRSTOR of SSE", %rax, $0x33333333
        fnstsw  %ax
        movzwl  %ax, %eax
        CHECK   "XRSTOR of x87", %rax, $(7 << 11)
        xorps   %xmm7, %xmm7
        XSTATE  xrstor, 1
        movd    %xmm7, %eax
        CHECK   "XRSTOR of x87 alone leaves SSE", %rax, $0
        movl    $0x44444444, %eax
        movd    %eax, %xmm7
        movq    $1, area + HEADER
        XSTATE  xrstor, 3
        movd    %xmm7, %eax
        CHECK   "a component not in XSTATE_BV gets its initial state", %rax, $0
        movq    $0, area + HEADER
        fldpi
        XSTATE  xrstor, 1
        fnstcw  scratch
        movzwl  scratch, %eax
        CHECK   "initial FCW", %rax, $CW_DEFAULT
        fnstsw  %ax
        movzwl  %ax, %eax
        CHECK   "initial FSW", %rax, $0
        movq    $(1 << 10), area + HEADER
        TRY
        XSTATE  xrstor, 3
        CATCH   "XSTATE_BV beyond XCR0", GP
        movq    $3, area + HEADER
        movq    $1, area + HEADER + 16
        TRY
        XSTATE  xrstor, 3
        CATCH   "reserved header bytes", GP
        movq    $0, area + HEADER + 16
        TRY
        XSTATE  xsave, 3, area + 16
        CATCH   "XSAVE at an address that is no multiple of 64", GP
        TRY
        XSTATE  xrstor, 3, area + 16
        CATCH   "XRSTOR at an address that is no multiple of 64", GP
        SET_BITS cr0, CR0_TS
        FAULTS  "XSAVE with CR0.TS", NM, xsave area
        clts
1:      ret

        .data
        .balign 4
divide_masked:          .word CW_DEFAULT
divide_unmasked:        .word CW_DIVIDE_UNMASKED
mxcsr_default:          .long MXCSR_DEFAULT
mxcsr_divide_unmasked:  .long MXCSR_DIVIDE_UNMASKED
mxcsr_reserved:         .long 1 << 31
        .balign 8
mask_32:                .long 0xFFFFFFFF, 0

        .bss
        .balign 64
area:           .skip 1024
scratch:        .skip 128
interrupts:     .skip 8
