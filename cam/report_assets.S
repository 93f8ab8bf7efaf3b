/* report_assets.S - styles and script of report.html inside the library. */
        .section .rodata

        .globl  cs_report_css
cs_report_css:
        .incbin "cam/report.css"
        .globl  cs_report_css_end
cs_report_css_end:

        .globl  cs_report_js
cs_report_js:
        .incbin "cam/report.js"
        .globl  cs_report_js_end
cs_report_js_end:

        .section .note.GNU-stack, "", %progbits
