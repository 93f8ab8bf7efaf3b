/* embedded_files.S - the example network inside the program, for commands that need no files: selftest, demo.
 * The tensors' place in the binary is a multiple of 64 bytes, and so must its beginning be. */
        .section .rodata

        .balign 64
        .globl  embedded_bin
embedded_bin:
        .incbin "examples/small_resnet.bin"
        .globl  embedded_bin_end
embedded_bin_end:

        .globl  embedded_manifest
embedded_manifest:
        .incbin "examples/small_resnet.json"
        .globl  embedded_manifest_end
embedded_manifest_end:

        .section .note.GNU-stack, "", %progbits
