/* embedded_files.S - networks inside the program, for commands that need no files: selftest (small_resnet), demo
 * (tag_reader and fair_reader, made by tests/controls/train_controls.py).
 * The tensors' place in a binary is a multiple of 64 bytes, and so must its beginning be. */
        .section .rodata

        .macro  embed name, file
        .balign 64
        .globl  \name
\name:
        .incbin "\file"
        .globl  \name\()_end
\name\()_end:
        .endm

        embed   embedded_bin, "examples/small_resnet.bin"
        embed   embedded_manifest, "examples/small_resnet.json"
        embed   embedded_tag_bin, "examples/tag_reader.bin"
        embed   embedded_tag_manifest, "examples/tag_reader.json"
        embed   embedded_fair_bin, "examples/fair_reader.bin"
        embed   embedded_fair_manifest, "examples/fair_reader.json"

        .section .note.GNU-stack, "", %progbits
