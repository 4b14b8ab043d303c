// Boots a kernel by the Multiboot Specification 0.6.96 (multiboot 1). The host has loaded and relocated everything: this
// copies three pieces to their addresses (kernel; modules and strings; the information structure), adds the memory map
// that only the firmware knows, and enters the kernel in protected mode.

#include "roms/common/option_rom.inc"
#include "roms/common/fw_cfg.inc"

        .set    BOOTLOADER_MAGIC, 0x2BADB002    // 3.2, in EAX
        .set    INFO_FLAGS, 0                   // 3.3
        .set    INFO_MEMORY_LOWER, 4
        .set    INFO_MEMORY_UPPER, 8
        .set    INFO_MAP_LENGTH, 44
        .set    INFO_MAP_ADDRESS, 48
        .set    INFO_HAS_MEMORY, 1 << 0
        .set    INFO_HAS_MAP, 1 << 6

        .set    MAP, 0x8000                     // memory map for the kernel
        .set    MAP_END, 0x9000
        .set    MAP_ENTRY_SIZE, 24

        .set    INFO_ADDRESS, VARIABLES         // below 64 KiB
        .set    ENTRY_ADDRESS, VARIABLES + 4
        .set    GDT_POINTER, VARIABLES + 8      // 6 bytes

        .set    CODE_SELECTOR, 0x08
        .set    DATA_SELECTOR, 0x10

        OPTION_ROM "Multiboot kernel (Calco)"

boot_entry:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $STACK_TOP, %sp
        sti

        FW_CFG_LOAD FW_CFG_KERNEL_ADDRESS, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA
        FW_CFG_LOAD FW_CFG_INITRD_ADDRESS, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA
        FW_CFG_LOAD FW_CFG_SETUP_ADDRESS, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA
        FW_CFG_U32 FW_CFG_KERNEL_ENTRY
        movl    %eax, ENTRY_ADDRESS
        FW_CFG_U32 FW_CFG_SETUP_ADDRESS
        movl    %eax, INFO_ADDRESS
        call    describe_memory
        jmp     enter_kernel

// Fills the memory fields of the information structure.
describe_memory:
        movw    INFO_ADDRESS, %bp
        int     $0x12
        movzwl  %ax, %eax
        movl    %eax, %ds:INFO_MEMORY_LOWER(%bp)
        movw    $MAP, %si
        xorl    %ebx, %ebx
1:      call    e820_next
        jc      3f
        movl    $MAP_ENTRY_SIZE - 4, (%si)      // the size field does not count itself
        movw    $E820_ENTRY, %di
        movl    (%di), %eax
        movl    %eax, 4(%si)
        movl    4(%di), %eax
        movl    %eax, 8(%si)
        movl    8(%di), %eax
        movl    %eax, 12(%si)
        movl    12(%di), %eax
        movl    %eax, 16(%si)
        movl    16(%di), %eax
        movl    %eax, 20(%si)
        addw    $MAP_ENTRY_SIZE, %si
        cmpl    $0x100000, (%di)                // the memory that begins at 1 MiB, in KiB
        jne     2f
        cmpl    $0, 4(%di)
        jne     2f
        movl    8(%di), %eax
        movl    12(%di), %edx
        shrdl   $10, %edx, %eax
        movl    %eax, %ds:INFO_MEMORY_UPPER(%bp)
2:      testl   %ebx, %ebx
        jz      3f
        cmpw    $MAP_END - MAP_ENTRY_SIZE, %si
        jbe     1b
3:      movzwl  %si, %eax
        subl    $MAP, %eax
        movl    %eax, %ds:INFO_MAP_LENGTH(%bp)
        movl    $MAP, %ds:INFO_MAP_ADDRESS(%bp)
        orl     $INFO_HAS_MEMORY | INFO_HAS_MAP, %ds:INFO_FLAGS(%bp)
        ret

// The machine state of 3.2: flat 32-bit segments, paging and interrupts off, A20 open.
enter_kernel:
        cli
        inb     $0x92, %al
        orb     $0x02, %al
        andb    $0xFE, %al
        outb    %al, $0x92
        xorl    %esi, %esi
        movw    %cs, %si
        shll    $4, %esi                        // linear address of this ROM
        movw    $gdt_end - gdt - 1, GDT_POINTER
        leal    gdt(%esi), %eax
        movl    %eax, GDT_POINTER + 2
        lgdtl   GDT_POINTER
        pushl   $CODE_SELECTOR
        leal    protected_mode(%esi), %eax
        pushl   %eax
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        lretl

        .code32
protected_mode:
        movw    $DATA_SELECTOR, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $STACK_TOP, %esp
        movl    INFO_ADDRESS, %ebx
        movl    $BOOTLOADER_MAGIC, %eax
        jmp     *ENTRY_ADDRESS

        .balign 8
        // Marked as accessed: the processor need not, and could not, store that in a ROM.
gdt:    .quad   0
        .quad   0x00CF9B000000FFFF              // code: base 0, 4 GiB, 32-bit
        .quad   0x00CF93000000FFFF              // data: the same
gdt_end:

        .code16
        FW_CFG_ROUTINES
        E820_ROUTINES
        OPTION_ROM_ROUTINES
