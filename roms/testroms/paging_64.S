// 4-level paging (SDM vol. 3, chapter 4): permissions, error codes, accessed and dirty bits, page sizes, reserved bits,
// supervisor-mode protection, invalidation, address-space identifiers, and accesses that fault half way.
#define LONG_MODE
#include "roms/testroms/common/testrom.inc"

// Linear addresses from 1 GiB are mapped by `window_table`; 512 GiB and up is a second view of everything, through another
// level-4 entry.
        .set    WINDOW, 0x40000000
        .set    WINDOW_ENTRY, level2_tables + 512 * 8
        .set    ALIAS, 0x8000000000
        .set    PAGE, 0x1000
        .set    PRESENT, 1
        .set    WRITABLE, 2
        .set    USER, 4
        .set    OPEN, 7
        .set    A, 0x20
        .set    D, 0x40
        .set    LARGE, 0x80
        .set    GLOBAL, 0x100
        .set    NX_HIGH, 1 << 31                // in the upper half of an entry

// Causes in the error code (4.7).
        .set    E_P, 1
        .set    E_W, 2
        .set    E_U, 4
        .set    E_R, 8
        .set    E_I, 16

// Maps page `index` of the window. Flags fit in the lower half, `high` is the upper half of the entry.
.macro MAP index, page, flags, high=0
        movl    $(\page + (\flags)), window_table + (\index) * 8
        movl    $(\high), window_table + (\index) * 8 + 4
        invlpg  WINDOW + (\index) * PAGE
.endm

.macro CHECK_FAULT_ADDRESS name, address
        mov     $(\address), %rax
        CHECK   "\name", fault_cr2, %rax
.endm

.macro CHECK_ENTRY_FLAGS name, index, expected
        mov     window_table + (\index) * 8, %rax
        and     $(A | D), %eax
        CHECK   "\name", %rax, $(\expected)
.endm

        .text
main:
        movl    $(window_table + OPEN), WINDOW_ENTRY
        movl    $(level3_table + OPEN), level4_table + 8
        call    reload_cr3
        call    accessed_and_dirty
        call    not_present
        call    write_protection
        call    user_and_supervisor
        call    no_execute
        call    reserved_bits
        call    large_pages
        call    upper_levels
        call    supervisor_protection
        call    invalidation
        call    global_pages
        call    address_space_identifiers
        call    crossing
        call    read_modify_write
        call    stack_faults
        call    string_faults
        call    implicit_accesses
        ret

reload_cr3:
        mov     %cr3, %rax
        mov     %rax, %cr3
        ret

// --- 4.8 -----------------------------------------------------------------------------------------------------------------
accessed_and_dirty:
        MAP     0, page_a, OPEN
        andl    $~A, WINDOW_ENTRY
        call    reload_cr3
        CHECK_ENTRY_FLAGS "a fresh entry", 0, 0
        movb    WINDOW, %al
        CHECK_ENTRY_FLAGS "a read sets A", 0, A
        mov     WINDOW_ENTRY, %rax
        and     $(A | D), %eax
        CHECK   "and A in the entry above, but not D", %rax, $A
        movb    $1, WINDOW
        CHECK_ENTRY_FLAGS "a write sets D", 0, A | D
        MAP     0, page_a, OPEN
        movb    $1, WINDOW
        CHECK_ENTRY_FLAGS "a write without a read sets both", 0, A | D
        MAP     0, page_a, PRESENT | USER
        TRY
        movb    $1, WINDOW
        CATCH   "a write to a read-only page", PF, E_P | E_W
        mov     window_table, %rax
        and     $D, %eax
        CHECK   "does not set D", %rax, $0
        movb    $0xC3, page_b                   // RET
        MAP     1, page_b, OPEN
        mov     $(WINDOW + PAGE), %rax
        call    *%rax
        CHECK_ENTRY_FLAGS "a fetch sets A", 1, A
        MAP     1, page_b, OPEN
        lock addl $0, WINDOW + PAGE
        CHECK_ENTRY_FLAGS "a locked instruction sets both", 1, A | D
        MAP     1, page_b, OPEN
        mov     $0x12345678, %eax
        lock cmpxchgl %eax, WINDOW + PAGE + 16
        CHECK_ENTRY_FLAGS "CMPXCHG that differs sets both", 1, A | D
        MAP     1, page_b, OPEN
        prefetcht0 WINDOW + PAGE
        andl    $~D, window_table + 8
        CHECK   "PREFETCH does not write", $0, $0
        ret

// --- 4.7 -----------------------------------------------------------------------------------------------------------------
not_present:
        MAP     0, page_a, 0
        TRY
1:      movb    WINDOW + 0x123, %al
        CATCH   "read", PF, 0
        CHECK_FAULT_ADDRESS "CR2 is the byte's address", WINDOW + 0x123
        CHECK   "at the instruction", fault_ip, $1b
        mov     fault_flags, %rax
        and     $FLAG_RF, %eax
        CHECK   "RF is set in the frame", %rax, $FLAG_RF
        TRY
        movb    $1, WINDOW
        CATCH   "write", PF, E_W
        TRY
        lock incl WINDOW
        CATCH   "read-modify-write", PF, E_W
        TRY
        mov     $WINDOW, %rax
        call    *%rax
        CATCH   "fetch", PF, E_I
        CHECK_FAULT_ADDRESS "CR2 of a fetch", WINDOW
        CHECK_FAULT_ADDRESS "RIP of a fetch", WINDOW
        TRY_USER
        movb    WINDOW, %al
        CATCH   "read in ring 3", PF, E_U
        TRY_USER
        movb    $1, WINDOW
        CATCH   "write in ring 3", PF, E_U | E_W
        TRY_USER
        mov     $WINDOW, %rax
        jmp     *%rax
        CATCH   "fetch in ring 3", PF, E_U | E_I
        TRY
        int3
        CATCH   "another exception", BP_TRAP
        CHECK_FAULT_ADDRESS "keeps CR2", WINDOW
        mov     $0x1234567, %eax
        mov     %rax, %cr2
        mov     %cr2, %rdi
        CHECK   "CR2 can be written", %rdi, $0x1234567
        ret

// --- 4.6 -----------------------------------------------------------------------------------------------------------------
write_protection:
        MAP     0, page_a, PRESENT | USER
        TRY
        movb    WINDOW, %al
        CATCH   "read of a read-only page", NO_FAULT
        TRY_USER
        movb    $1, WINDOW
        CATCH   "write of ring 3 to a read-only page", PF, E_P | E_W | E_U
        CLEAR_BITS cr0, CR0_WP
        TRY
        movb    $0x42, WINDOW
        CATCH   "write of ring 0 with CR0.WP clear", NO_FAULT
        movzbl  page_a, %eax
        CHECK   "reaches the page", %rax, $0x42
        CHECK_ENTRY_FLAGS "and sets D", 0, A | D
        TRY_USER
        movb    $1, WINDOW
        CATCH   "ring 3 still may not", PF, E_P | E_W | E_U
        SET_BITS cr0, CR0_WP
        TRY
        movb    $1, WINDOW
        CATCH   "CR0.WP set again", PF, E_P | E_W
        ret

user_and_supervisor:
        MAP     0, page_a, PRESENT | WRITABLE
        TRY_USER
        movb    WINDOW, %al
        CATCH   "read of ring 3 from a supervisor page", PF, E_P | E_U
        TRY_USER
        movb    $1, WINDOW
        CATCH   "write of ring 3 to a supervisor page", PF, E_P | E_W | E_U
        TRY_USER
        mov     $WINDOW, %rax
        jmp     *%rax
        CATCH   "fetch of ring 3 from a supervisor page", PF, E_P | E_U | E_I
        TRY
        movb    $1, WINDOW
        CATCH   "ring 0 may write", NO_FAULT
        // The translation that ring 0 just used is no use to ring 3.
        TRY_USER
        movb    WINDOW, %al
        CATCH   "ring 3 after ring 0", PF, E_P | E_U
        ret

no_execute:
        movb    $0xC3, page_b
        MAP     1, page_b, OPEN, NX_HIGH
        TRY
        movb    WINDOW + PAGE, %al
        CATCH   "read of a no-execute page", NO_FAULT
        TRY
        mov     $(WINDOW + PAGE), %rax
        call    *%rax
        CATCH   "fetch from a no-execute page", PF, E_P | E_I
        TRY_USER
        mov     $(WINDOW + PAGE), %rax
        jmp     *%rax
        CATCH   "fetch of ring 3 from a no-execute page", PF, E_P | E_U | E_I
        movl    $NX_HIGH, WINDOW_ENTRY + 4
        MAP     1, page_b, OPEN
        call    reload_cr3
        TRY
        mov     $(WINDOW + PAGE), %rax
        call    *%rax
        CATCH   "no-execute in the entry above", PF, E_P | E_I
        movl    $0, WINDOW_ENTRY + 4
        call    reload_cr3
        READ_MSR MSR_EFER
        andl    $~EFER_NXE, %eax
        wrmsr
        MAP     1, page_b, OPEN, NX_HIGH
        TRY
        movb    WINDOW + PAGE, %al
        CATCH   "bit 63 is reserved with EFER.NXE clear", PF, E_P | E_R
        MAP     1, page_b, 0
        TRY
        mov     $(WINDOW + PAGE), %rax
        call    *%rax
        CATCH   "a fetch is not told apart with EFER.NXE clear", PF, 0
        READ_MSR MSR_EFER
        orl     $EFER_NXE, %eax
        wrmsr
        ret

// --- 4.5: reserved bits --------------------------------------------------------------------------------------------------
reserved_bits:
        movl    $0x80000008, %eax
        cpuid
        movzbl  %al, %edi                       // physical address width
        cmpl    $52, %edi
        je      1f
        MAP     0, page_a, OPEN, 1 << 19        // bit 51
        TRY
        movb    WINDOW, %al
        CATCH   "address bit 51", PF, E_P | E_R
        TRY_USER
        movb    $1, WINDOW
        CATCH   "address bit 51, write of ring 3", PF, E_P | E_R | E_U | E_W
1:      MAP     0, page_a, 0, 1 << 19
        TRY
        movb    WINDOW, %al
        CATCH   "in an entry not present nothing is reserved", PF, 0
        MAP     0, page_a, OPEN, 1 << 26        // bits 52-62 are ignored
        TRY
        movb    WINDOW, %al
        CATCH   "bit 58 is ignored", NO_FAULT
        MAP     0, page_a, OPEN | 0xE00
        TRY
        movb    WINDOW, %al
        CATCH   "bits 9-11 are ignored", NO_FAULT
        movl    $(0x2000 | LARGE | OPEN), WINDOW_ENTRY
        call    reload_cr3
        TRY
        movb    WINDOW, %al
        CATCH   "bit 13 of a 2 MiB page", PF, E_P | E_R
        movl    $(window_table + OPEN), WINDOW_ENTRY
        orl     $LARGE, level4_table + 8
        call    reload_cr3
        TRY
        mov     $ALIAS, %rbx
        movb    (%rbx), %al
        CATCH   "bit 7 of a level-4 entry", PF, E_P | E_R
        andl    $~LARGE, level4_table + 8
        call    reload_cr3
        ret

large_pages:
        // 2 MiB: the window shows physical memory from 0.
        movl    $(LARGE | OPEN), WINDOW_ENTRY
        call    reload_cr3
        movl    $0xCAFE, page_a
        mov     $(WINDOW + page_a), %rbx
        movl    (%rbx), %eax
        CHECK   "2 MiB page", %rax, $0xCAFE
        mov     WINDOW_ENTRY, %rax
        and     $(A | D), %eax
        CHECK   "a read sets A in it", %rax, $A
        movl    $0xBEEF, (%rbx)
        CHECK_LOW "a write reaches it", page_a, $0xBEEF
        mov     WINDOW_ENTRY, %rax
        and     $(A | D), %eax
        CHECK   "and sets D", %rax, $(A | D)
        movl    $(LARGE | PRESENT), WINDOW_ENTRY
        call    reload_cr3
        TRY
        movl    $1, (%rbx)
        CATCH   "read-only 2 MiB page", PF, E_P | E_W
        movl    $(window_table + OPEN), WINDOW_ENTRY
        call    reload_cr3

        // 1 GiB at 3 GiB in the second view, which shares all tables: use entry 8 of level 3, 8 GiB.
        movl    $0x80000001, %eax
        cpuid
        testl   $(1 << 26), %edx
        jz      1f
        movl    $(LARGE | OPEN), level3_table + 8 * 8
        movl    $0, level3_table + 8 * 8 + 4
        call    reload_cr3
        movabsq $0x200000000, %rbx
        mov     $page_a, %eax
        add     %rax, %rbx
        movl    (%rbx), %eax
        CHECK   "1 GiB page", %rax, $0xBEEF
        movl    $(LARGE | OPEN | 0x4000), level3_table + 8 * 8
        call    reload_cr3
        TRY
        movl    (%rbx), %eax
        CATCH   "bit 14 of a 1 GiB page", PF, E_P | E_R
        movl    $0, level3_table + 8 * 8
        call    reload_cr3
1:      ret

// Permissions of all levels count together (4.6.1).
upper_levels:
        MAP     0, page_a, OPEN
        movl    $(window_table + PRESENT + USER), WINDOW_ENTRY
        call    reload_cr3
        TRY
        movb    $1, WINDOW
        CATCH   "read-only by the entry above", PF, E_P | E_W
        movl    $(window_table + PRESENT + WRITABLE), WINDOW_ENTRY
        call    reload_cr3
        TRY_USER
        movb    WINDOW, %al
        CATCH   "supervisor by the entry above", PF, E_P | E_U
        movl    $0, WINDOW_ENTRY
        call    reload_cr3
        TRY
        movb    WINDOW, %al
        CATCH   "entry above not present", PF, 0
        movl    $(window_table + OPEN), WINDOW_ENTRY
        call    reload_cr3
        ret

// --- SMEP and SMAP (4.6.1, 4.6.2) -----------------------------------------------------------------------------------------
// All of the first view becomes supervisor's; the second shows the same memory as user's.
supervisor_protection:
        movl    $7, %eax
        xorl    %ecx, %ecx
        cpuid
        mov     %rbx, %rdi
        movb    $0xC3, page_b
        andl    $~USER, level4_table
        call    reload_cr3
        mov     $ALIAS, %rsi
        mov     $page_a, %eax
        add     %rax, %rsi
        mov     $ALIAS, %rbp
        mov     $page_b, %eax
        add     %rax, %rbp

        testl   $(1 << 7), %edi
        jz      1f
        SET_BITS cr4, CR4_SMEP
        TRY
        call    *%rbp
        CATCH   "SMEP: ring 0 fetches from a user page", PF, E_P | E_I
        TRY
        movb    (%rbp), %al
        CATCH   "SMEP does not mind reads", NO_FAULT
        CLEAR_BITS cr4, CR4_SMEP
        TRY
        call    *%rbp
        CATCH   "SMEP clear", NO_FAULT

1:      testl   $(1 << 20), %edi
        jz      2f
        TRY
        stac
        clac
        CATCH   "STAC and CLAC with CR4.SMAP clear", NO_FAULT
        SET_BITS cr4, CR4_SMAP
        TRY
        movb    (%rsi), %al
        CATCH   "SMAP: ring 0 reads a user page", PF, E_P
        TRY
        movb    $1, (%rsi)
        CATCH   "SMAP: ring 0 writes a user page", PF, E_P | E_W
        TRY
        call    *%rbp
        CATCH   "SMAP does not mind fetches", NO_FAULT
        stac
        TRY
        movb    (%rsi), %al
        movb    $1, (%rsi)
        CATCH   "STAC lets ring 0 read and write", NO_FAULT
        clac
        TRY
        movb    (%rsi), %al
        CATCH   "CLAC closes again", PF, E_P
        pushq   $(FLAG_FIXED | FLAG_AC)
        popfq
        TRY
        movb    (%rsi), %al
        CATCH   "POPF opens as well", NO_FAULT
        pushq   $FLAG_FIXED
        popfq
        SET_GATE idt, PF * 16, interrupt_stubs + PF * STUB_SIZE, CODE64, INTERRUPT_GATE, 1
        TRY
        lea     16(%rsi), %rsp
        pushq   %rax
        CATCH   "SMAP: a push to a user page", PF, E_P | E_W
        SET_GATE idt, PF * 16, interrupt_stubs + PF * STUB_SIZE, CODE64, INTERRUPT_GATE, 0
        CLEAR_BITS cr0, CR0_WP
        TRY
        movb    $1, (%rsi)
        CATCH   "SMAP with CR0.WP clear", PF, E_P | E_W
        SET_BITS cr0, CR0_WP
        CLEAR_BITS cr4, CR4_SMAP
        TRY
        movb    (%rsi), %al
        CATCH   "SMAP clear", NO_FAULT
2:      orl     $USER, level4_table
        call    reload_cr3
        TRY_USER
        stac
        CATCH   "STAC in ring 3", UD
        ret

// --- 4.10.4 ----------------------------------------------------------------------------------------------------------------
invalidation:
        movq    $0xA, page_a
        movq    $0xB, page_b
        MAP     0, page_a, OPEN
        mov     WINDOW, %rax
        CHECK   "first mapping", %rax, $0xA
        movl    $(page_b + OPEN), window_table
        invlpg  WINDOW
        mov     WINDOW, %rax
        CHECK   "INVLPG takes a new page", %rax, $0xB
        movl    $(page_a + OPEN), window_table
        invlpg  WINDOW + 0xFFF
        mov     WINDOW, %rax
        CHECK   "INVLPG by any address in the page", %rax, $0xA
        movl    $(page_b + OPEN), window_table
        call    reload_cr3
        mov     WINDOW, %rax
        CHECK   "a CR3 load takes a new page", %rax, $0xB
        // More permission needs no invalidation: a fault looks again (4.10.4.3).
        MAP     0, page_a, PRESENT | USER
        movb    WINDOW, %al
        movl    $(page_a + OPEN), window_table
        TRY
        movb    $1, WINDOW
        CATCH   "write permission granted without INVLPG", NO_FAULT
        movl    $0, window_table + 16
        TRY
        movb    WINDOW + 2 * PAGE, %al
        CATCH   "page 2 not present", PF, 0
        movl    $(page_b + OPEN), window_table + 16
        TRY
        movb    WINDOW + 2 * PAGE, %al
        CATCH   "made present without INVLPG", NO_FAULT
        // INVLPG of a 2 MiB page drops all of it.
        movl    $(LARGE | OPEN), WINDOW_ENTRY
        call    reload_cr3
        movl    $0xAA, page_a
        mov     $(WINDOW + page_a), %rbx
        movl    (%rbx), %eax
        movl    page_b - page_a(%rbx), %eax
        movl    $(window_table + OPEN), WINDOW_ENTRY
        invlpg  WINDOW
        MAP     0, page_b, OPEN
        mov     WINDOW, %rax
        CHECK   "INVLPG of a large page", %rax, page_b
        movl    $0, window_table + 3 * 8
        invlpg  WINDOW + 3 * PAGE
        TRY
        movb    WINDOW + 3 * PAGE, %al
        CATCH   "page not present after it was large", PF, 0
        ret

global_pages:
        movq    $0xA, page_a
        movq    $0xB, page_b
        SET_BITS cr4, CR4_PGE
        MAP     0, page_a, OPEN | GLOBAL
        mov     WINDOW, %rax
        call    reload_cr3
        mov     WINDOW, %rax
        CHECK   "global page after a CR3 load", %rax, $0xA
        movl    $(page_b + OPEN + GLOBAL), window_table
        invlpg  WINDOW
        mov     WINDOW, %rax
        CHECK   "INVLPG drops a global page", %rax, $0xB
        movl    $(page_a + OPEN + GLOBAL), window_table
        CLEAR_BITS cr4, CR4_PGE
        SET_BITS cr4, CR4_PGE
        mov     WINDOW, %rax
        CHECK   "a change of CR4.PGE drops global pages", %rax, $0xA
        CLEAR_BITS cr4, CR4_PGE
        ret

// --- 4.10.1: PCIDs ---------------------------------------------------------------------------------------------------------
        .set    INVPCID_ADDRESS, 0
        .set    INVPCID_CONTEXT, 1
        .set    INVPCID_ALL_AND_GLOBAL, 2
        .set    INVPCID_ALL, 3

// Loads CR3 with address space `number`, 1 or 2; `keep` is bit 63.
.macro ADDRESS_SPACE number, keep=0
        movabsq $((\keep) << 63), %rax
        mov     address_space_\number, %rcx
        or      %rcx, %rax
        mov     %rax, %cr3
.endm
.macro INVALIDATE_PCID type, identifier, address=0
        movq    $\identifier, descriptor
        movq    $\address, descriptor + 8
        mov     $\type, %rax
        invpcid descriptor, %rax
.endm

address_space_identifiers:
        movl    $1, %eax
        cpuid
        testl   $(1 << 17), %ecx
        jz      no_identifiers
        // The second space differs in page 0 of the window only.
        mov     $0xA, %eax
        mov     %rax, page_a
        mov     $0xB, %eax
        mov     %rax, page_b
        MAP     0, page_a, OPEN
        call    copy_tables
        mov     %cr3, %rax
        or      $8, %rax
        mov     %rax, %cr3
        TRY
        SET_BITS cr4, CR4_PCIDE
        CATCH   "CR4.PCIDE with CR3[11:0] set", GP
        mov     $level4_table, %rax
        mov     %rax, %cr3
        TRY
        SET_BITS cr4, CR4_PCIDE
        CATCH   "CR4.PCIDE", NO_FAULT
        ADDRESS_SPACE 1
        mov     WINDOW, %rdi
        CHECK   "space 1", %rdi, $0xA
        ADDRESS_SPACE 2
        mov     WINDOW, %rdi
        CHECK   "space 2", %rdi, $0xB
        ADDRESS_SPACE 1, 1
        mov     WINDOW, %rdi
        CHECK   "back in space 1, translations kept", %rdi, $0xA
        ADDRESS_SPACE 2, 1
        mov     WINDOW, %rdi
        CHECK   "back in space 2, translations kept", %rdi, $0xB
        mov     %cr3, %rdi
        CHECK   "CR3 reads back without bit 63", %rdi, address_space_2

        // Change space 1 while in space 2, then invalidate it in each way.
        movl    $7, %eax
        xorl    %ecx, %ecx
        cpuid
        testl   $(1 << 10), %ebx
        jz      1f
        movl    $(page_b + OPEN), window_table
        INVALIDATE_PCID INVPCID_ADDRESS, 1, WINDOW
        ADDRESS_SPACE 1, 1
        mov     WINDOW, %rdi
        CHECK   "INVPCID of one address", %rdi, $0xB
        ADDRESS_SPACE 2, 1
        movl    $(page_a + OPEN), window_table
        INVALIDATE_PCID INVPCID_CONTEXT, 1
        ADDRESS_SPACE 1, 1
        mov     WINDOW, %rdi
        CHECK   "INVPCID of one context", %rdi, $0xA
        ADDRESS_SPACE 2, 1
        movl    $(page_b + OPEN), window_table
        INVALIDATE_PCID INVPCID_ALL, 0
        ADDRESS_SPACE 1, 1
        mov     WINDOW, %rdi
        CHECK   "INVPCID of all contexts but global pages", %rdi, $0xB
        ADDRESS_SPACE 2, 1
        movl    $(page_a + OPEN), window_table
        INVALIDATE_PCID INVPCID_ALL_AND_GLOBAL, 0
        ADDRESS_SPACE 1, 1
        mov     WINDOW, %rdi
        CHECK   "INVPCID of everything", %rdi, $0xA
        TRY
        INVALIDATE_PCID 4, 0
        CATCH   "INVPCID of type 4", GP
        TRY
        INVALIDATE_PCID INVPCID_CONTEXT, 0x1000
        CATCH   "INVPCID with a PCID above 4095", GP
        TRY
        movabsq $0x0000800000000000, %rax
        mov     %rax, descriptor + 8
        movq    $1, descriptor
        xorl    %eax, %eax
        invpcid descriptor, %rax
        CATCH   "INVPCID of an address that is not canonical", GP
        TRY_USER
        mov     $INVPCID_ALL, %eax
        invpcid descriptor, %rax
        CATCH   "INVPCID in ring 3", GP

1:      ADDRESS_SPACE 2, 1
        movl    $(page_b + OPEN), window_table
        ADDRESS_SPACE 1
        mov     WINDOW, %rdi
        CHECK   "a CR3 load without bit 63 drops the context", %rdi, $0xB
        // Global pages are shared by all contexts.
        SET_BITS cr4, CR4_PGE
        movl    $(page_a + OPEN + GLOBAL), window_table
        invlpg  WINDOW
        mov     WINDOW, %rdi
        CHECK   "INVLPG with PCIDs", %rdi, $0xA
        movl    $(page_b + OPEN), window_table
        invlpg  WINDOW
        ADDRESS_SPACE 2, 1
        mov     WINDOW, %rdi
        CHECK   "INVLPG in one context dropped the global page in all", %rdi, $0xB
        CLEAR_BITS cr4, CR4_PGE
        TRY
        CLEAR_BITS cr0, CR0_PG
        CATCH   "CR0.PG cleared with PCIDE in 64-bit mode", GP
        mov     $level4_table, %rax
        mov     %rax, %cr3
        CLEAR_BITS cr4, CR4_PCIDE
        TRY
        INVALIDATE_PCID INVPCID_CONTEXT, 1
        CATCH   "INVPCID of a PCID with PCIDE clear", GP
no_identifiers:
        ret

// Copies levels 4 to 1 of the window for space 2, in which page 0 is page_b.
copy_tables:
        mov     $level4_table, %rsi
        mov     $second_level4, %rdi
        movl    $512, %ecx
        rep movsq
        mov     $level3_table, %rsi
        mov     $second_level3, %rdi
        movl    $512, %ecx
        rep movsq
        mov     $(level2_tables + 0x1000), %rsi
        mov     $second_level2, %rdi
        movl    $512, %ecx
        rep movsq
        mov     $window_table, %rsi
        mov     $second_window_table, %rdi
        movl    $512, %ecx
        rep movsq
        movl    $(second_level3 + OPEN), second_level4
        movl    $(second_level2 + OPEN), second_level3 + 8
        movl    $(second_window_table + OPEN), second_level2
        movl    $(page_b + OPEN), second_window_table
        mov     $(level4_table + 1), %rax
        mov     %rax, address_space_1
        mov     $(second_level4 + 2), %rax
        mov     %rax, address_space_2
        ret

// --- Accesses over a page's end ------------------------------------------------------------------------------------------
// Page 0 is page_a, page 1 is absent unless told otherwise.
.macro CROSSING_CHECK name, error, instruction:vararg
        movq    $0, page_a + 0xFF8
        TRY
        \instruction
        CATCH   "\name", PF, \error
        CHECK_FAULT_ADDRESS "\name: CR2 is the second page", WINDOW + PAGE
        CHECK   "\name: nothing stored on the first", page_a + 0xFF8, $0
.endm

crossing:
        MAP     0, page_a, OPEN
        MAP     1, page_b, 0
        mov     $-1, %rdi
        mov     $0x1122334455667788, %rsi
        CROSSING_CHECK "read of 8 bytes", 0, mov WINDOW + 0xFFC, %rdi
        CHECK   "the destination keeps its value", %rdi, $-1
        CROSSING_CHECK "write of 8 bytes", E_W, mov %rsi, WINDOW + 0xFFC
        CROSSING_CHECK "write of 4 bytes", E_W, movl %esi, WINDOW + 0xFFF
        CROSSING_CHECK "write of 2 bytes", E_W, movw %si, WINDOW + 0xFFF
        CROSSING_CHECK "read-modify-write", E_W, add %rsi, WINDOW + 0xFFC
        CROSSING_CHECK "locked read-modify-write", E_W, lock add %rsi, WINDOW + 0xFFC
        CROSSING_CHECK "XCHG", E_W, xchg %rsi, WINDOW + 0xFFC
        mov     $0x1122334455667788, %rdi
        CHECK   "XCHG keeps its register", %rsi, %rdi
        SET_BITS cr4, CR4_OSFXSR
        pcmpeqd %xmm0, %xmm0
        CROSSING_CHECK "MOVUPS", E_W, movups %xmm0, WINDOW + 0xFF8
        MAP     0, page_a, OPEN
        CROSSING_CHECK "FSTP of 10 bytes", E_W, call store_x87
        MAP     1, page_b, PRESENT | USER
        CROSSING_CHECK "second page read-only", E_P | E_W, mov %rsi, WINDOW + 0xFFC
        MAP     1, page_b, PRESENT | WRITABLE
        movq    $0, page_a + 0xFF8
        TRY_USER
        mov     %rsi, WINDOW + 0xFFC
        CATCH   "second page supervisor's", PF, E_P | E_W | E_U
        CHECK   "nothing stored on the first either", page_a + 0xFF8, $0
        MAP     1, page_b, 0
        MAP     0, page_a, 0
        TRY
        mov     %rsi, WINDOW + 0xFFC
        CATCH   "both absent", PF, E_W
        CHECK_FAULT_ADDRESS "CR2 is the first byte", WINDOW + 0xFFC
        MAP     0, page_a, OPEN
        MAP     1, page_b, OPEN
        movq    $0, page_b
        mov     $0x1122334455667788, %rsi
        mov     %rsi, WINDOW + 0xFFC
        movl    page_a + 0xFFC, %eax
        CHECK   "both present: lower half", %rax, $0x55667788
        CHECK   "both present: upper half", page_b, $0x11223344
        mov     WINDOW + 0xFFC, %rdi
        CHECK   "and back", %rdi, %rsi

        // An instruction over the page's end: NOP; MOV EAX, imm32; RET
        movl    $0x44B89090, page_a + 0xFFC
        movl    $0xC3112233, page_b
        mov     $(WINDOW + 0xFFD), %rbx
        xorl    %eax, %eax
        call    *%rbx
        CHECK   "instruction over a page's end", %rax, $0x11223344
        MAP     1, page_b, 0
        TRY
        xorl    %edi, %edi
        call    *%rbx
        CATCH   "its second page absent", PF, E_I
        CHECK_FAULT_ADDRESS "CR2 is the second page", WINDOW + PAGE
        mov     $(WINDOW + 0xFFE), %rax
        CHECK   "RIP is the instruction's start", fault_ip, %rax
        MAP     1, page_c, OPEN
        movl    $0xC3998877, page_c
        call    *%rbx
        movl    $0x99887744, %ecx
        CHECK   "another second page, other bytes", %rax, %rcx
        ret

store_x87:
        fninit
        fldpi
        fstpt   WINDOW + 0xFF8
        ret

// --- Read-modify-write on read-only pages ----------------------------------------------------------------------------------
.macro READ_ONLY_CHECK instruction:vararg
        TRY
        \instruction
        CATCH   "\instruction on a read-only page", PF, E_P | E_W
.endm
.macro READING_CHECK instruction:vararg
        TRY
        \instruction
        CATCH   "\instruction on a read-only page", NO_FAULT
.endm

read_modify_write:
        MAP     0, page_a, PRESENT | USER
        movq    $0x55, page_a
        movq    $0, page_a + 8
        xorl    %eax, %eax
        xorl    %edx, %edx
        READ_ONLY_CHECK addl $0, WINDOW
        READ_ONLY_CHECK orl $0, WINDOW
        READ_ONLY_CHECK negl WINDOW
        READ_ONLY_CHECK notl WINDOW
        READ_ONLY_CHECK incl WINDOW
        READ_ONLY_CHECK xaddl %eax, WINDOW
        READ_ONLY_CHECK lock xaddl %eax, WINDOW
        READ_ONLY_CHECK xchgl %eax, WINDOW
        READ_ONLY_CHECK cmpxchgl %eax, WINDOW
        READ_ONLY_CHECK lock cmpxchgl %eax, WINDOW
        READ_ONLY_CHECK cmpxchg8b WINDOW
        READ_ONLY_CHECK lock cmpxchg16b WINDOW
        READ_ONLY_CHECK btsl $0, WINDOW
        READ_ONLY_CHECK btrl $1, WINDOW
        READ_ONLY_CHECK shll $1, WINDOW
        READ_ONLY_CHECK sete WINDOW
        READING_CHECK cmpl $0, WINDOW
        READING_CHECK testl $1, WINDOW
        READING_CHECK btl $0, WINDOW
        CHECK   "nothing was stored", page_a, $0x55
        MAP     0, page_a, 0
        TRY
        mov     $7, %edi
        cmpl    %eax, %eax
        cmovnel WINDOW, %edi
        CATCH   "CMOVcc reads even if it does not move", PF, 0
        ret

// --- Stack operations leave RSP --------------------------------------------------------------------------------------------
.macro STACK_CHECK name, stack, error, instruction:vararg
        TRY_USER
        mov     $(\stack), %rsp
        \instruction
        CATCH   "\name", PF, \error
        mov     $(\stack), %rax
        CHECK   "\name leaves RSP", fault_sp, %rax
.endm

stack_faults:
        MAP     0, page_a, 0
        MAP     1, page_b, OPEN
        MAP     2, page_c, PRESENT | USER
        mov     $(WINDOW + 8), %rbx
        STACK_CHECK "PUSH to an absent page", WINDOW + PAGE, E_U | E_W, pushq %rax
        STACK_CHECK "PUSH to a read-only page", WINDOW + 3 * PAGE, E_U | E_W | E_P, pushq %rax
        STACK_CHECK "CALL", WINDOW + PAGE, E_U | E_W, call user_and_supervisor
        STACK_CHECK "PUSH from an absent page", WINDOW + PAGE + 64, E_U, pushq (%rbx)
        STACK_CHECK "POP from an absent page", WINDOW, E_U, popq %rax
        STACK_CHECK "POP to a read-only page", WINDOW + PAGE + 64, E_U | E_W | E_P, popq WINDOW + 2 * PAGE
        STACK_CHECK "RET", WINDOW, E_U, ret
        STACK_CHECK "PUSHF", WINDOW + PAGE, E_U | E_W, pushfq
        STACK_CHECK "ENTER", WINDOW + PAGE, E_U | E_W, enter $16, $0
        STACK_CHECK "PUSH over a page's end", WINDOW + PAGE + 4, E_U | E_W, pushq %rax
        CHECK_FAULT_ADDRESS "CR2 of a push over a page's end", WINDOW + PAGE - 4
        ret

// --- String instructions stop where they fault -----------------------------------------------------------------------------
string_faults:
        MAP     0, page_a, OPEN
        MAP     1, page_b, 0
        TRY
        mov     $(WINDOW + 0xFF0), %rdi
        movl    $64, %ecx
        movl    $0x5A, %eax
        rep stosb
        CATCH   "REP STOSB into an absent page", PF, E_W
        CHECK   "what is left", %rcx, $48
        CHECK   "where it stopped", %rdi, $(WINDOW + PAGE)
        CHECK_FAULT_ADDRESS "CR2", WINDOW + PAGE
        movzbl  page_a + 0xFFF, %eax
        CHECK   "the last byte before it", %rax, $0x5A
        TRY
        mov     $(WINDOW + 0xFF4), %rsi
        mov     $page_c, %rdi
        movl    $4, %ecx
        rep movsq
        CATCH   "REP MOVSQ from over a page's end", PF, 0
        CHECK   "one moved", %rcx, $3
        CHECK   "source", %rsi, $(WINDOW + 0xFFC)
        CHECK   "destination", %rdi, $(page_c + 8)
        MAP     1, page_b, OPEN
        MAP     0, page_a, 0
        TRY
        std
        mov     $(WINDOW + PAGE + 8), %rdi
        movl    $16, %ecx
        rep stosb
        CATCH   "REP STOSB downwards into an absent page", PF, E_W
        cld
        CHECK   "downwards: what is left", %rcx, $7
        CHECK   "downwards: where it stopped", %rdi, $(WINDOW + PAGE - 1)
        TRY
        mov     $page_c, %rsi
        mov     $(WINDOW + 0x10), %rdi
        xorl    %ecx, %ecx
        rep movsb
        CATCH   "REP MOVSB of nothing touches nothing", NO_FAULT
        MAP     0, page_a, PRESENT | USER
        TRY
        mov     $page_c, %rsi
        mov     $WINDOW, %rdi
        movl    $5, %ecx
        rep movsb
        CATCH   "REP MOVSB to a read-only page", PF, E_P | E_W
        CHECK   "leaves RCX", %rcx, $5
        CHECK   "leaves RSI", %rsi, $page_c
        CHECK   "leaves RDI", %rdi, $WINDOW
        ret

// --- What the processor reads and writes by itself is the supervisor's (4.6, 4.7) -----------------------------------------------------
        .set    HIGH_VECTOR, 0x90
        .set    NEW_IDT, WINDOW + 0x800         // vectors from 0x80 on lie in page 1
        .set    NEW_GDT, WINDOW + 3 * PAGE - 0x100      // selectors from 0x100 on lie in page 3
        .set    HIGH_SELECTOR, 0x108

implicit_accesses:
        MAP     0, page_a, OPEN
        MAP     1, page_b, OPEN
        MAP     2, page_c, OPEN
        MAP     3, page_d, OPEN
        mov     $idt, %rsi
        mov     $NEW_IDT, %rdi
        movl    $(0x1000 / 8), %ecx
        rep movsq
        mov     $gdt, %rsi
        mov     $NEW_GDT, %rdi
        movl    $((GDT_LIMIT + 1) / 8), %ecx
        rep movsq
        lidt    new_idt_pointer
        MAP     1, page_b, 0
        TRY
        int     $HIGH_VECTOR
        CATCH   "IDT entry in an absent page", PF, 0
        mov     $(NEW_IDT + HIGH_VECTOR * 16), %rax
        CHECK   "CR2 is the entry", fault_cr2, %rax
        TRY_USER
        int     $HIGH_VECTOR
        CATCH   "the same from ring 3 is no user access", PF, 0
        MAP     1, page_b, PRESENT
        TRY_USER
        int     $HIGH_VECTOR
        CATCH   "IDT in a supervisor page", HIGH_VECTOR
        lidt    idt_pointer

        lgdt    new_gdt_pointer
        movabsq $0x00CFF2000000FFFF, %rax       // user data, not accessed
        mov     %rax, NEW_GDT + HIGH_SELECTOR
        MAP     3, page_d, 0
        TRY_USER
        movl    $(HIGH_SELECTOR | 3), %eax
        movw    %ax, %fs
        CATCH   "GDT entry in an absent page, from ring 3", PF, 0
        MAP     3, page_d, PRESENT
        TRY_USER
        movl    $(HIGH_SELECTOR | 3), %eax
        movw    %ax, %fs
        CATCH   "the accessed bit in a read-only page", PF, E_P | E_W
        MAP     3, page_d, PRESENT | WRITABLE
        TRY_USER
        movl    $(HIGH_SELECTOR | 3), %eax
        movw    %ax, %fs
        CATCH   "GDT in a supervisor page", NO_FAULT
        CHECK_ENTRY_FLAGS "the accessed bit makes the page dirty", 3, A | D
        MAP     3, page_d, PRESENT
        TRY_USER
        movl    $(HIGH_SELECTOR | 3), %eax
        movw    %ax, %fs
        CATCH   "an accessed descriptor in a read-only page", NO_FAULT
        lgdt    gdt_pointer
        xorl    %eax, %eax
        movw    %ax, %fs

        // The stack of ring 0 in an absent page.
        MAP     3, page_d, 0
        movq    $(WINDOW + 4 * PAGE), tss + 4
        SET_GATE idt, PF * 16, interrupt_stubs + PF * STUB_SIZE, CODE64, INTERRUPT_GATE, 1
        TRY_USER
        ud2
        CATCH   "frame in an absent page", PF, E_W
        CHECK   "the interrupted code is still ring 3's", fault_cs, $USER_CODE64
        mov     $(WINDOW + 4 * PAGE - 8), %rax
        CHECK   "CR2 is the first push", fault_cr2, %rax
        SET_GATE idt, PF * 16, interrupt_stubs + PF * STUB_SIZE, CODE64, INTERRUPT_GATE, 0
        SET_GATE idt, DF * 16, interrupt_stubs + DF * STUB_SIZE, CODE64, INTERRUPT_GATE, 2
        TRY_USER
        movb    WINDOW + 3 * PAGE, %al
        CATCH   "a page fault whose frame is absent is #DF", DF
        movq    $interrupt_stack_top, tss + 4
        SET_GATE idt, DF * 16, interrupt_stubs + DF * STUB_SIZE, CODE64, INTERRUPT_GATE, 0
        ret

        .data
        .balign 8
        .word   0, 0, 0
new_idt_pointer:
        .word   0xFFF
        .long   NEW_IDT, 0
        .balign 8
        .word   0, 0, 0
new_gdt_pointer:
        .word   GDT_LIMIT
        .long   NEW_GDT, 0

        .bss
        .balign 0x1000
window_table:           .skip 0x1000
second_level4:          .skip 0x1000
second_level3:          .skip 0x1000
second_level2:          .skip 0x1000
second_window_table:    .skip 0x1000
page_a:                 .skip 0x1000
page_b:                 .skip 0x1000
page_c:                 .skip 0x1000
page_d:                 .skip 0x1000
address_space_1:        .skip 8
address_space_2:        .skip 8
descriptor:             .skip 16
