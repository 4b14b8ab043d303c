// Code that changes (SDM vol. 3, 8.1.3 and 11.6): stores are seen by the next instruction fetched after a jump, through
// whatever linear address they went.
#define LONG_MODE
#include "roms/testroms/common/testrom.inc"

        .set    WINDOW, 0x40000000              // 1 GiB: pages of window_table
        .set    PAGE, 0x1000
        .set    OPEN, 7
        .set    FW_CFG_DMA_HIGH, 0x514          // fw_cfg's DMA address register, big-endian
        .set    FW_CFG_DMA_LOW, 0x518
        .set    FW_CFG_DMA_READ, 1 << 1
        .set    FW_CFG_DMA_SELECT, 1 << 3
        .set    FW_CFG_SIGNATURE, 0

// Bytes of "MOV EAX, imm32; RET".
.macro CODE_AT address, value
        movb    $0xB8, \address
        movl    $\value, \address + 1
        movb    $0xC3, \address + 5
.endm

.macro MAP index, page
        movl    $(\page + OPEN), window_table + (\index) * 8
        invlpg  WINDOW + (\index) * PAGE
.endm

.macro CALL_AT address
        mov     $(\address), %rbx
        call    *%rbx
.endm

        .text
main:
        movl    $(window_table + OPEN), level2_tables + 512 * 8
        mov     %cr3, %rax
        mov     %rax, %cr3
        call    other_page
        call    same_page
        call    same_block
        call    loops
        call    over_page_end
        call    invalid_opcodes
        call    aliases
        call    remapping
        call    string_stores
        call    locked_stores
        call    mode_of_code
        call    firmware_interface
        ret

other_page:
        CODE_AT page_a, 1
        CALL_AT page_a
        CHECK   "code that was just written", %rax, $1
        movl    $2, page_a + 1
        CALL_AT page_a
        CHECK   "its immediate changed", %rax, $2
        movb    $0xB9, page_a                   // MOV ECX, imm32
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        CALL_AT page_a
        CHECK   "its opcode changed: EAX", %rax, $0
        CHECK   "its opcode changed: ECX", %rcx, $2
        movl    $0xC3C3C3C3, page_a
        movl    $7, %eax
        CALL_AT page_a
        CHECK   "became RET", %rax, $7
        // Data beside code, in the same 64 bytes.
        CODE_AT page_a, 3
        xorl    %esi, %esi
1:      movl    %esi, page_a + 32
        CALL_AT page_a
        incl    %esi
        cmpl    $1000, %esi
        jne     1b
        CHECK   "data beside code", %rax, $3
        CHECK_LOW "and the data", page_a + 32, $999
        // A thousand generations.
        xorl    %esi, %esi
        xorl    %edi, %edi
2:      movl    %esi, page_a + 1
        CALL_AT page_a
        addl    %eax, %edi
        incl    %esi
        cmpl    $1000, %esi
        jne     2b
        CHECK   "a thousand changes", %rdi, $499500
        ret

// The store and the code are in one page of their own.
same_page:
        mov     $same_page_code, %rsi
        mov     $page_a, %rdi
        movl    $(same_page_code_end - same_page_code), %ecx
        rep movsb
        movl    $41, %edx
        CALL_AT page_a
        CHECK   "store into the same page, ahead of a jump", %rax, $41
        movl    $42, %edx
        CALL_AT page_a
        CHECK   "again", %rax, $42
        ret
same_page_code:
        lea     1f(%rip), %rcx
        movl    %edx, 1(%rcx)
        jmp     1f
        .fill   100, 1, 0x90
1:      movl    $0, %eax
        ret
same_page_code_end:

// The store changes an instruction of the straight run it belongs to. On processors since the P6 the store is seen.
same_block:
        mov     $same_block_code, %rsi
        mov     $page_a, %rdi
        movl    $(same_block_code_end - same_block_code), %ecx
        rep movsb
        movl    $43, %edx
        CALL_AT page_a
        CHECK   "store into the next instruction but one", %rax, $43
        movl    $44, %edx
        CALL_AT page_a
        CHECK   "again", %rax, $44
        mov     $next_instruction_code, %rsi
        mov     $page_b, %rdi
        movl    $(next_instruction_code_end - next_instruction_code), %ecx
        rep movsb
        movl    $0xC3, %edx
        movl    $1, %eax
        CALL_AT page_b
        CHECK   "store into the very next instruction", %rax, $1
        // An instruction that changes itself finishes as it began.
        mov     $self_code, %rsi
        mov     $page_c, %rdi
        movl    $(self_code_end - self_code), %ecx
        rep movsb
        movl    $0x90909090, %edx
        CALL_AT page_c
        movl    page_c + 7, %eax
        CHECK   "an instruction that overwrites itself", %rax, %rdx
        ret
same_block_code:
        lea     1f(%rip), %rcx
        movl    %edx, 1(%rcx)
        nop
1:      movl    $0, %eax
        ret
same_block_code_end:
next_instruction_code:
        lea     1f(%rip), %rcx
        movb    %dl, (%rcx)
1:      nop                                     // becomes RET
        movl    $2, %eax
        ret
next_instruction_code_end:
self_code:
        lea     1f(%rip), %rcx                  // 7 bytes
1:      movl    %edx, (%rcx)                    // 2 bytes, and NOPs from the first pass on
        nop
        nop
        ret
self_code_end:

// A loop whose body counts by what it wrote in the turn before.
loops:
        mov     $loop_code, %rsi
        mov     $page_a, %rdi
        movl    $(loop_code_end - loop_code), %ecx
        rep movsb
        CALL_AT page_a
        CHECK   "a loop that changes its own addend", %rax, $55
        ret
loop_code:
        xorl    %eax, %eax
        movl    $1, %edx
        lea     2f(%rip), %rcx
1:      movl    %edx, 1(%rcx)
2:      addl    $0x7FFFFFFF, %eax
        incl    %edx
        cmpl    $11, %edx
        jne     1b
        ret
loop_code_end:

over_page_end:
        MAP     0, page_a
        MAP     1, page_b
        CODE_AT page_a + 0xFFD, 0               // needs the bytes of page_b below
        movb    $0xB8, page_a + 0xFFD
        movw    $0x1111, page_a + 0xFFE
        movw    $0x2222, page_b
        movb    $0xC3, page_b + 2
        CALL_AT WINDOW + 0xFFD
        CHECK   "instruction over a page's end", %rax, $0x22221111
        movw    $0x3333, page_b
        CALL_AT WINDOW + 0xFFD
        CHECK   "its second half changed", %rax, $0x33331111
        movw    $0x4444, page_a + 0xFFE
        CALL_AT WINDOW + 0xFFD
        CHECK   "its first half changed", %rax, $0x33334444
        MAP     1, page_c
        movw    $0x5555, page_c
        movb    $0xC3, page_c + 2
        CALL_AT WINDOW + 0xFFD
        CHECK   "another page behind it", %rax, $0x55554444
        movw    $0x6666, page_b
        CALL_AT WINDOW + 0xFFD
        CHECK   "a store to the page that is no more behind it", %rax, $0x55554444
        // With straight code in front, so that the run does not begin at the instruction.
        movl    $0x90909090, page_a + 0xFF9
        CALL_AT WINDOW + 0xFF9
        CHECK   "from before it", %rax, $0x55554444
        MAP     1, page_b
        CALL_AT WINDOW + 0xFF9
        CHECK   "from before it, with the other page", %rax, $0x66664444
        movw    $0x7777, page_b
        CALL_AT WINDOW + 0xFF9
        CHECK   "from before it, changed", %rax, $0x77774444
        // An 8-byte store over the page's end changes both halves.
        movq    $0, WINDOW + 0xFF0
        movabsq $0x00C388889999B890, %rax
        mov     %rax, WINDOW + 0xFFC
        CALL_AT WINDOW + 0xFFC
        movl    $0x88889999, %ecx
        CHECK   "one store over both pages", %rax, %rcx
        ret

// Bytes that were no instruction become one: 0F 04 is invalid, 0F A2 is CPUID.
.macro BECOMES_VALID name, first, second
        movb    $0x0F, \first
        movb    $0x04, \second
        TRY
        CALL_AT \first
        CATCH   "invalid opcode \name", UD
        movb    $0xA2, \second
        movb    $0xC3, \second + 1
        TRY
        CALL_AT \first
        CATCH   "its second byte changed, \name", NO_FAULT
.endm

invalid_opcodes:
        BECOMES_VALID "in one piece", page_a + 16, page_a + 17
        BECOMES_VALID "over 64 bytes", page_a + 63, page_a + 64
        BECOMES_VALID "over 128 bytes", page_a + 127, page_a + 128
        MAP     0, page_a
        MAP     1, page_b
        BECOMES_VALID "over a page's end", WINDOW + 0xFFF, WINDOW + 0x1000
        ret

aliases:
        MAP     0, page_a
        MAP     1, page_a
        CODE_AT page_a, 1
        CALL_AT WINDOW
        CHECK   "first alias", %rax, $1
        movl    $2, WINDOW + PAGE + 1
        CALL_AT WINDOW
        CHECK   "stored through the second alias", %rax, $2
        CALL_AT WINDOW + PAGE
        CHECK   "called through it", %rax, $2
        movl    $3, page_a + 1
        CALL_AT WINDOW
        CHECK   "stored through the identity map", %rax, $3
        CALL_AT page_a
        CHECK   "called there", %rax, $3
        // RIP-relative code differs by alias.
        mov     $where_code, %rsi
        mov     $page_a, %rdi
        movl    $(where_code_end - where_code), %ecx
        rep movsb
        CALL_AT WINDOW
        CHECK   "RIP of the first alias", %rax, $(WINDOW + 7)
        CALL_AT WINDOW + PAGE
        CHECK   "RIP of the second alias", %rax, $(WINDOW + PAGE + 7)
        ret
where_code:
        lea     0f(%rip), %rax
0:      ret
where_code_end:

remapping:
        CODE_AT page_a, 1
        CODE_AT page_b, 2
        MAP     0, page_a
        CALL_AT WINDOW
        CHECK   "first page", %rax, $1
        MAP     0, page_b
        CALL_AT WINDOW
        CHECK   "remapped", %rax, $2
        MAP     0, page_a
        CALL_AT WINDOW
        CHECK   "mapped back", %rax, $1
        MAP     0, page_b
        movl    $3, page_a + 1
        MAP     0, page_a
        CALL_AT WINDOW
        CHECK   "changed while it was not mapped", %rax, $3
        // Remap in a loop that calls through one address.
        xorl    %esi, %esi
        xorl    %edi, %edi
1:      MAP     0, page_b
        CALL_AT WINDOW
        addl    %eax, %edi
        MAP     0, page_a
        CALL_AT WINDOW
        addl    %eax, %edi
        incl    %esi
        cmpl    $100, %esi
        jne     1b
        CHECK   "two hundred remaps", %rdi, $500
        ret

string_stores:
        CODE_AT page_a, 1
        CODE_AT page_b, 2
        CALL_AT page_a
        mov     $page_b, %rsi
        mov     $page_a, %rdi
        movl    $6, %ecx
        rep movsb
        CALL_AT page_a
        CHECK   "REP MOVSB over code", %rax, $2
        mov     $page_a, %rdi
        movl    $0x90, %eax
        movl    $6, %ecx
        movb    $0xC3, page_a + 6
        rep stosb
        movl    $9, %eax
        CALL_AT page_a
        CHECK   "REP STOSB over code", %rax, $9
        CODE_AT page_a, 1
        CODE_AT page_a + 0x800, 5
        CALL_AT page_a + 0x800
        mov     $page_b, %rsi
        mov     $page_a, %rdi
        movl    $512, %ecx
        rep movsq
        CALL_AT page_a
        CHECK   "a whole page copied", %rax, $2
        ret

locked_stores:
        CODE_AT page_a, 1
        CALL_AT page_a
        lock addl $4, page_a + 1
        CALL_AT page_a
        CHECK   "LOCK ADD in code", %rax, $5
        movl    $6, %eax
        xchgl   %eax, page_a + 1
        CALL_AT page_a
        CHECK   "XCHG in code", %rax, $6
        movl    $6, %eax
        movl    $7, %ecx
        lock cmpxchgl %ecx, page_a + 1
        CALL_AT page_a
        CHECK   "CMPXCHG in code", %rax, $7
        mov     page_a, %rax
        mov     page_a + 8, %rdx
        movabsq $0xC300000008B8, %rbx
        xorl    %ecx, %ecx
        lock cmpxchg16b page_a
        CALL_AT page_a
        CHECK   "CMPXCHG16B in code", %rax, $8
        SET_BITS cr4, CR4_OSFXSR
        CODE_AT page_b, 0x1234
        CALL_AT page_b
        CODE_AT page_c, 0x4321
        movups  page_c, %xmm0
        movups  %xmm0, page_b
        CALL_AT page_b
        CHECK   "MOVUPS over code", %rax, $0x4321
        pushq   $0
        movabsq $0xC30000567890B8, %rax
        mov     %rsp, %rsi
        mov     $(page_b + 8), %rsp
        pushq   %rax
        mov     %rsi, %rsp
        popq    %rcx
        CALL_AT page_b
        CHECK   "PUSH over code", %rax, $0x567890
        // FXSAVE, x87 and accessed bits of page tables write memory too; so does the processor's interrupt frame.
        CODE_AT page_c, 0x11
        CALL_AT page_c
        TRY
        mov     $(page_c + 48), %rsp            // the frame covers the code
        ud2
        CATCH   "interrupt frame over code", UD
        CHECK   "its first quadword", page_c + 8, fault_ip
        ret

// The same bytes as 64-bit and as 32-bit code: INC EAX (40) is a prefix in the one.
mode_of_code:
        movl    $0xC3C08940, page_a             // INC EAX; MOV EAX, EAX; RET - or REX MOV EAX, EAX; RET
        movl    $5, %eax
        CALL_AT page_a
        CHECK   "as 64-bit code", %rax, $5
        movb    $0xCB, page_a + 3               // far RET
        movl    $page_a, far_pointer
        movl    $5, %eax
        lcall   *far_pointer
        CHECK   "the same bytes as 32-bit code", %rax, $6
        movb    $0xC3, page_a + 3
        movl    $5, %eax
        CALL_AT page_a
        CHECK   "and as 64-bit code again", %rax, $5
        ret

// fw_cfg's DMA copies the signature "QEMU" over code: 51 45 4D 55 is PUSH RCX; REX.RB PUSH R13.
firmware_interface:
        movl    $0xC3C3C3C3, page_a
        movl    $1, %eax
        CALL_AT page_a
        movl    $((FW_CFG_DMA_SELECT | FW_CFG_DMA_READ) << 24), dma_command     // big-endian control, selector 0
        movl    $(4 << 24), dma_command + 4
        movl    $0, dma_command + 8
        movl    $page_a, %eax
        bswapl  %eax
        movl    %eax, dma_command + 12
        movl    $0xB8, page_a                   // will be overwritten
        movb    $0xC3, page_a + 4
        movl    $0, %eax
        movw    $FW_CFG_DMA_HIGH, %dx
        outl    %eax, %dx
        movl    $dma_command, %eax
        bswapl  %eax
        movw    $FW_CFG_DMA_LOW, %dx
        outl    %eax, %dx
        WAIT
        CHECK_LOW "fw_cfg DMA ends without error", dma_command, $0
        CHECK_LOW "what it wrote", page_a, $0x554D4551
        // Run it: two pushes, then code that takes them away.
        movl    $0x08C48348, page_a + 4         // ADD RSP, 8
        movl    $0xC358, page_a + 8             // POP RAX; RET
        mov     $0x5150, %ecx
        CALL_AT page_a
        CHECK   "code that DMA wrote", %rax, $0x5150
        ret

        .data
        .balign 8
far_pointer:
        .long   0
        .word   CODE32

        .bss
        .balign 0x1000
window_table:   .skip 0x1000
page_a:         .skip 0x1000
page_b:         .skip 0x1000
page_c:         .skip 0x1000
dma_command:    .skip 16
