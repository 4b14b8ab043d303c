// 32-bit and PAE paging (SDM vol. 3, 4.3 and 4.4): permissions, error codes, accessed and dirty bits, large pages, reserved
// bits, page-directory-pointer registers, and address spaces of tasks. 4-level paging has its own ROM with the accesses that
// fault half way.
#include "roms/testroms/common/testrom.inc"

// The window is mapped by window_table (32-bit paging) or pae_window_table; everything else one to one by large pages.
        .set    WINDOW, 0x40000000
        .set    PAGE, 0x1000
        .set    PRESENT, 1
        .set    WRITABLE, 2
        .set    USER, 4
        .set    OPEN, 7
        .set    A, 0x20
        .set    D, 0x40
        .set    LARGE, 0x80
        .set    GLOBAL, 0x100
        .set    NX_HIGH, 1 << 31
        .set    E_P, 1
        .set    E_W, 2
        .set    E_U, 4
        .set    E_R, 8
        .set    E_I, 16
        .set    DIRECTORY_ENTRY, directory + (WINDOW >> 22) * 4
        .set    PAE_DIRECTORY_ENTRY, pae_directories + (WINDOW >> 21) * 8
        .set    TASK_B, FREE

.macro MAP index, page, flags
        movl    $(\page + (\flags)), window_table + (\index) * 4
        invlpg  WINDOW + (\index) * PAGE
.endm
.macro PAE_MAP index, page, flags, high=0
        movl    $(\page + (\flags)), pae_window_table + (\index) * 8
        movl    $(\high), pae_window_table + (\index) * 8 + 4
        invlpg  WINDOW + (\index) * PAGE
.endm
.macro CHECK_FLAGS name, entry, expected
        movl    \entry, %eax
        andl    $(A | D), %eax
        CHECK   "\name", %eax, $(\expected)
.endm

        .text
main:
        call    build_tables
        movl    $directory, %eax
        movl    %eax, %cr3
        SET_BITS cr4, CR4_PSE
        SET_BITS cr0, (CR0_PG | CR0_WP)
        call    small_pages
        call    large_pages
        call    without_extension
        call    global_pages
        call    task_spaces
        CLEAR_BITS cr0, CR0_PG
        call    pae_pointers
        call    pae_pages
        call    pae_no_execute
        CLEAR_BITS cr0, CR0_PG
        ret

reload_cr3:
        movl    %cr3, %eax
        movl    %eax, %cr3
        ret

build_tables:
        movl    $(OPEN | LARGE), %eax
        xorl    %ecx, %ecx
1:      movl    %eax, directory(, %ecx, 4)
        movl    %eax, second_directory(, %ecx, 4)
        addl    $0x400000, %eax
        incl    %ecx
        cmpl    $1024, %ecx
        jne     1b
        movl    $(window_table + OPEN), DIRECTORY_ENTRY
        movl    $(second_window_table + OPEN), second_directory + (WINDOW >> 22) * 4
        movl    $(page_b + OPEN), second_window_table
        movl    $(OPEN | LARGE), %eax
        xorl    %ecx, %ecx
2:      movl    %eax, pae_directories(, %ecx, 8)
        addl    $0x200000, %eax
        incl    %ecx
        cmpl    $2048, %ecx
        jne     2b
        movl    $(pae_window_table + OPEN), PAE_DIRECTORY_ENTRY
        xorl    %ecx, %ecx
        movl    $(pae_directories + PRESENT), %eax
3:      movl    %eax, pointers(, %ecx, 8)
        addl    $0x1000, %eax
        incl    %ecx
        cmpl    $4, %ecx
        jne     3b
        ret

// --- 4.3, 4.6, 4.7, 4.8 ------------------------------------------------------------------------------------------------------------
small_pages:
        movl    $0xA, page_a
        movl    $0xB, page_b
        andl    $~(A | D), DIRECTORY_ENTRY
        MAP     0, page_a, OPEN
        call    reload_cr3
        movl    WINDOW, %ebx
        CHECK   "4 KiB page", %ebx, $0xA
        CHECK_FLAGS "a read sets A", window_table, A
        CHECK_FLAGS "in the directory as well", DIRECTORY_ENTRY, A
        movl    $0xC, WINDOW
        CHECK_FLAGS "a write sets D", window_table, A | D
        CHECK_FLAGS "in the last entry only", DIRECTORY_ENTRY, A
        CHECK   "the write reached the page", page_a, $0xC
        MAP     0, page_a, 0
        TRY
1:      movb    WINDOW + 0x123, %al
        CATCH   "read of a page not present", PF, 0
        CHECK   "CR2", fault_cr2, $(WINDOW + 0x123)
        CHECK   "EIP", fault_ip, $1b
        TRY
        movb    $1, WINDOW
        CATCH   "write", PF, E_W
        TRY_USER
        movb    WINDOW, %al
        CATCH   "read of ring 3", PF, E_U
        TRY_USER
        movl    $WINDOW, %eax
        jmp     *%eax
        CATCH   "a fetch is not told apart without no-execute", PF, E_U
        MAP     0, page_a, PRESENT | USER
        TRY
        movb    $1, WINDOW
        CATCH   "read-only", PF, E_P | E_W
        TRY_USER
        movb    $1, WINDOW
        CATCH   "read-only for ring 3", PF, E_P | E_W | E_U
        CLEAR_BITS cr0, CR0_WP
        TRY
        movb    $1, WINDOW
        CATCH   "ring 0 with CR0.WP clear", NO_FAULT
        SET_BITS cr0, CR0_WP
        MAP     0, page_a, PRESENT | WRITABLE
        TRY_USER
        movb    WINDOW, %al
        CATCH   "supervisor page in ring 3", PF, E_P | E_U
        MAP     0, page_a, OPEN
        movl    $(window_table + PRESENT + USER), DIRECTORY_ENTRY
        call    reload_cr3
        TRY
        movb    $1, WINDOW
        CATCH   "read-only by the directory", PF, E_P | E_W
        movl    $(window_table + PRESENT + WRITABLE), DIRECTORY_ENTRY
        call    reload_cr3
        TRY_USER
        movb    WINDOW, %al
        CATCH   "supervisor by the directory", PF, E_P | E_U
        movl    $(window_table + OPEN), DIRECTORY_ENTRY
        call    reload_cr3
        ret

large_pages:
        movl    $(LARGE | OPEN), DIRECTORY_ENTRY
        call    reload_cr3
        movl    $0xAAAA, page_a
        movl    $(WINDOW + page_a), %ebx
        movl    (%ebx), %ecx
        CHECK   "4 MiB page", %ecx, $0xAAAA
        CHECK_FLAGS "a read sets A in it", DIRECTORY_ENTRY, A
        movl    $0xBBBB, (%ebx)
        CHECK_FLAGS "a write sets D in it", DIRECTORY_ENTRY, A | D
        movl    $(LARGE | PRESENT), DIRECTORY_ENTRY
        call    reload_cr3
        TRY
        movl    $1, (%ebx)
        CATCH   "read-only 4 MiB page", PF, E_P | E_W
        TRY_USER
        movl    (%ebx), %eax
        CATCH   "supervisor 4 MiB page", PF, E_P | E_U
        movl    $(LARGE | OPEN | 1 << 21), DIRECTORY_ENTRY
        call    reload_cr3
        TRY
        movl    (%ebx), %eax
        CATCH   "bit 21 of a 4 MiB page is reserved", PF, E_P | E_R
        movl    $(window_table + OPEN), DIRECTORY_ENTRY
        call    reload_cr3
        ret

// With CR4.PSE clear bit 7 of a directory entry is ignored. The code runs in 4 MiB pages, so the table for it comes first.
without_extension:
        movl    $OPEN, %eax
        xorl    %ecx, %ecx
1:      movl    %eax, identity_table(, %ecx, 4)
        addl    $0x1000, %eax
        incl    %ecx
        cmpl    $1024, %ecx
        jne     1b
        movl    $(identity_table + OPEN), directory
        MAP     0, page_a, OPEN
        movl    $0xDDDD, page_a
        orl     $LARGE, DIRECTORY_ENTRY
        CLEAR_BITS cr4, CR4_PSE
        call    reload_cr3
        TRY
        movl    WINDOW, %ebx
        CATCH   "CR4.PSE clear: bit 7 is ignored", NO_FAULT
        CHECK   "the entry names a table", %ebx, $0xDDDD
        andl    $~LARGE, DIRECTORY_ENTRY
        SET_BITS cr4, CR4_PSE
        movl    $(OPEN | LARGE), directory
        call    reload_cr3
        ret

global_pages:
        SET_BITS cr4, CR4_PGE
        movl    $0xA, page_a
        movl    $0xB, page_b
        MAP     0, page_a, OPEN | GLOBAL
        movl    WINDOW, %ebx
        movl    $(page_b + OPEN + GLOBAL), window_table
        invlpg  WINDOW
        movl    WINDOW, %ebx
        CHECK   "INVLPG drops a global page", %ebx, $0xB
        movl    $(page_a + OPEN + GLOBAL), window_table
        CLEAR_BITS cr4, CR4_PGE
        movl    WINDOW, %ebx
        CHECK   "clearing CR4.PGE drops global pages", %ebx, $0xA
        ret

// --- 7.3: a task switch loads CR3 ------------------------------------------------------------------------------------------------------
task_spaces:
        movl    $0xA, page_a
        movl    $0xB, page_b
        MAP     0, page_a, OPEN
        movl    $directory, tss + 0x1C          // CR3 of this task
        SET_SEGMENT_AT TASK_B, tss_b, 0x67, 0x89, 0
        movl    WINDOW, %ebx
        CHECK   "this task's page", %ebx, $0xA
        lcall   $TASK_B, $0
        CHECK   "the other task's page at the same address", seen_by_b, $0xB
        movl    WINDOW, %ebx
        CHECK   "this task's page again", %ebx, $0xA
        movl    %cr3, %eax
        CHECK   "CR3 is this task's", %eax, $directory
        clts
        ret

task_b: movl    WINDOW, %eax
        movl    %eax, seen_by_b
        iretl
        jmp     task_b

// --- 4.4.1 --------------------------------------------------------------------------------------------------------------------------------
pae_pointers:
        movl    $pointers, %eax
        movl    %eax, %cr3
        SET_BITS cr4, CR4_PAE
        orl     $WRITABLE, pointers
        TRY
        SET_BITS cr0, CR0_PG
        CATCH   "reserved bit in a pointer when paging begins", GP
        andl    $~WRITABLE, pointers
        TRY
        SET_BITS cr0, CR0_PG
        CATCH   "PAE paging", NO_FAULT
        orl     $USER, pointers + 8
        TRY
        call    reload_cr3
        CATCH   "reserved bit in a pointer when CR3 is loaded", GP
        andl    $~USER, pointers + 8
        PAE_MAP 0, page_a, OPEN
        movl    WINDOW, %ebx
        CHECK   "4 KiB page", %ebx, page_a
        // The registers keep the pointers until CR3 is loaded.
        movl    $0, pointers + 8
        invlpg  WINDOW
        TRY
        movl    WINDOW, %ebx
        CATCH   "a pointer changed in memory only", NO_FAULT
        call    reload_cr3
        TRY
        movl    WINDOW, %ebx
        CATCH   "a pointer not present", PF, 0
        movl    $(pae_directories + 0x1000 + PRESENT), pointers + 8
        call    reload_cr3
        movl    pointers, %eax
        andl    $A, %eax
        CHECK   "pointers have no accessed bit", %eax, $0
        ret

pae_pages:
        PAE_MAP 0, page_a, OPEN
        movl    WINDOW, %ebx
        CHECK_FLAGS "a read sets A", pae_window_table, A
        movl    $1, WINDOW
        CHECK_FLAGS "a write sets D", pae_window_table, A | D
        PAE_MAP 0, page_a, PRESENT | USER
        TRY
        movb    $1, WINDOW
        CATCH   "read-only", PF, E_P | E_W
        PAE_MAP 0, page_a, OPEN, 1 << 20        // bit 52
        TRY
        movb    WINDOW, %al
        CATCH   "address bit 52 is reserved", PF, E_P | E_R
        PAE_MAP 0, page_a, OPEN, 1 << 30        // bit 62
        TRY
        movb    WINDOW, %al
        CATCH   "bit 62 is reserved", PF, E_P | E_R
        PAE_MAP 0, page_a, OPEN, NX_HIGH
        TRY
        movb    WINDOW, %al
        CATCH   "bit 63 is reserved with EFER.NXE clear", PF, E_P | E_R
        movl    $(LARGE | OPEN), PAE_DIRECTORY_ENTRY
        call    reload_cr3
        movl    $0xEEEE, page_a
        movl    $(WINDOW + page_a), %ebx
        movl    (%ebx), %ecx
        CHECK   "2 MiB page", %ecx, $0xEEEE
        movl    $(LARGE | OPEN | 1 << 13), PAE_DIRECTORY_ENTRY
        call    reload_cr3
        TRY
        movl    (%ebx), %ecx
        CATCH   "bit 13 of a 2 MiB page", PF, E_P | E_R
        movl    $(pae_window_table + OPEN), PAE_DIRECTORY_ENTRY
        call    reload_cr3
        // CR4.PSE means nothing here.
        CLEAR_BITS cr4, CR4_PSE
        TRY
        movb    page_a, %al
        CATCH   "2 MiB pages without CR4.PSE", NO_FAULT
        ret

pae_no_execute:
        READ_MSR MSR_EFER
        orl     $EFER_NXE, %eax
        wrmsr
        movb    $0xC3, page_b
        PAE_MAP 1, page_b, OPEN, NX_HIGH
        TRY
        movb    WINDOW + PAGE, %al
        CATCH   "no-execute page: read", NO_FAULT
        TRY
        movl    $(WINDOW + PAGE), %eax
        call    *%eax
        CATCH   "no-execute page: fetch", PF, E_P | E_I
        TRY_USER
        movl    $(WINDOW + PAGE), %eax
        jmp     *%eax
        CATCH   "no-execute page: fetch of ring 3", PF, E_P | E_I | E_U
        PAE_MAP 1, page_b, OPEN
        TRY
        movl    $(WINDOW + PAGE), %eax
        call    *%eax
        CATCH   "without the bit", NO_FAULT
        ret

        .data
        .balign 4
tss_b:  .long   0, 0, 0, 0, 0, 0, 0
        .long   second_directory
        .long   task_b, FLAG_FIXED
        .long   0, 0, 0, 0, task_b_stack_top, 0, 0, 0
        .long   DATA, CODE32, DATA, DATA, 0, 0
        .long   0
        .word   0, 0x68

        .bss
        .balign 0x1000
directory:              .skip 0x1000
second_directory:       .skip 0x1000
window_table:           .skip 0x1000
second_window_table:    .skip 0x1000
identity_table:         .skip 0x1000
pae_directories:        .skip 0x4000
pae_window_table:       .skip 0x1000
page_a:                 .skip 0x1000
page_b:                 .skip 0x1000
pointers:               .skip 32
        .skip   0x400
task_b_stack_top:
seen_by_b:              .skip 4
