// Boots a Linux kernel image that the host handed to the firmware configuration device: copies its parts to where the
// host planned them, finds room for the initial RAM disk, and enters the kernel's real-mode code.
// Source: Linux, Documentation/x86/boot.rst, "The Linux/x86 Boot Protocol".

#include "roms/common/option_rom.inc"
#include "roms/common/fw_cfg.inc"

        .set    HEADER_RAMDISK_IMAGE, 0x218
        .set    E820_USABLE, 1

        .set    SETUP_ADDRESS, VARIABLES
        .set    RAMDISK_SIZE, VARIABLES + 4     // rounded up to pages
        .set    RAMDISK_LIMIT, VARIABLES + 8    // first address behind the highest that is allowed
        .set    RAMDISK_ADDRESS, VARIABLES + 12

        OPTION_ROM "Linux kernel (Calco)"

boot_entry:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $STACK_TOP, %sp
        sti

        FW_CFG_LOAD FW_CFG_SETUP_ADDRESS, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA
        FW_CFG_LOAD FW_CFG_COMMAND_LINE_ADDRESS, FW_CFG_COMMAND_LINE_SIZE, FW_CFG_COMMAND_LINE_DATA
        FW_CFG_LOAD FW_CFG_KERNEL_ADDRESS, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA
        FW_CFG_U32 FW_CFG_SETUP_ADDRESS
        movl    %eax, SETUP_ADDRESS
        FW_CFG_U32 FW_CFG_INITRD_SIZE
        testl   %eax, %eax
        jz      enter_kernel
        call    place_ramdisk

// Real-mode entry: segments at the setup code, which continues 0x200 bytes further; the stack right below the command
// line.
enter_kernel:
        FW_CFG_U32 FW_CFG_COMMAND_LINE_ADDRESS
        movl    SETUP_ADDRESS, %ebx
        subl    %ebx, %eax
        subl    $16, %eax
        shrl    $4, %ebx
        cli
        movw    %bx, %ds
        movw    %bx, %es
        movw    %bx, %fs
        movw    %bx, %gs
        movw    %bx, %ss
        movl    %eax, %esp
        addw    $0x20, %bx
        pushw   %bx
        pushw   $0
        xorl    %eax, %eax
        xorl    %ebx, %ebx
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %esi, %esi
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        lretw

// Puts the RAM disk of EAX bytes as high in usable memory as the host's plan and the memory map allow, and tells the
// kernel's header where it is.
place_ramdisk:
        addl    $0xFFF, %eax
        andl    $~0xFFF, %eax
        movl    %eax, RAMDISK_SIZE
        FW_CFG_U32 FW_CFG_INITRD_ADDRESS
        addl    RAMDISK_SIZE, %eax
        movl    %eax, RAMDISK_LIMIT
        movl    $0, RAMDISK_ADDRESS
        xorl    %ebx, %ebx
1:      call    e820_next
        jc      2f
        call    consider_entry
        testl   %ebx, %ebx
        jnz     1b
2:      movl    RAMDISK_ADDRESS, %edi
        testl   %edi, %edi
        jz      no_room
        pushl   %edi
        FW_CFG_U32 FW_CFG_INITRD_SIZE
        movl    %eax, %ecx
        popl    %edi
        pushl   %edi
        movw    $FW_CFG_INITRD_DATA, %ax
        call    fw_cfg_read
        popl    %edi
        movl    SETUP_ADDRESS, %eax
        shrl    $4, %eax
        movw    %ax, %es
        movl    %edi, %es:HEADER_RAMDISK_IMAGE
        ret

// RAMDISK_ADDRESS = max(RAMDISK_ADDRESS, highest page-aligned place in the entry). Keeps EBX.
consider_entry:
        cmpl    $E820_USABLE, E820_ENTRY + 16
        jne     2f
        cmpl    $0, E820_ENTRY + 4              // above 4 GiB
        jne     2f
        movl    E820_ENTRY, %eax
        cmpl    $0x100000, %eax
        jb      2f
        movl    %eax, %ecx
        cmpl    $0, E820_ENTRY + 12             // 4 GiB or longer
        jne     1f
        addl    E820_ENTRY + 8, %ecx
        jc      1f
        cmpl    RAMDISK_LIMIT, %ecx
        jbe     3f
1:      movl    RAMDISK_LIMIT, %ecx
3:      subl    RAMDISK_SIZE, %ecx
        jb      2f
        andl    $~0xFFF, %ecx
        cmpl    %eax, %ecx
        jb      2f
        cmpl    RAMDISK_ADDRESS, %ecx
        jbe     2f
        movl    %ecx, RAMDISK_ADDRESS
2:      ret

no_room:
        GIVE_UP no_room_message
no_room_message:
        .asciz  "Calco: no room in memory for the initial RAM disk\r\n"

        FW_CFG_ROUTINES
        E820_ROUTINES
        OPTION_ROM_ROUTINES
