/* font_builtin.c - the ASCII glyphs that need no font file, drawn for this project.
 *
 * A glyph is a string of rows from top to bottom, each row a base-32 digit (0-9, A-V) whose five
 * bits are its pixels: "EHHVHHH" is an A. Seven rows stand on the base line, two may hang below.
 */
#include "canvas.h"

#include <string.h>

/* clang-format off */
static const char *const glyphs[95] = {
    "0000000",   "4444404",   "AAA0000",                                         /* space ! " */
    "AAVAVAA",   "4FKE5U4",   "OP248J3",                                         /* # $ % */
    "CIK8LID",   "4480000",   "2488842",   "8422248",   "04LEL40",   "044V440",  /* & ' ( ) * + */
    "00000CC48", "000V000",   "00000CC",   "01248G0",                            /* , - . / */
    "EHJLPHE",   "4C4444E",   "EH1248V",   "V2421HE",   "26AIV22",               /* 0 1 2 3 4 */
    "VGU11HE",   "68GUHHE",   "V124888",   "EHHEHHE",   "EHHF12C",               /* 5 6 7 8 9 */
    "00CC0CC",   "00CC0CC48", "248G842",   "00V0V00",   "8421248",   "EH12404",  /* : ; < = > ? */
    "EH1DLLE",   "EHHVHHH",   "UHHUHHU",   "EHGGGHE",   "SIHHHIS",               /* @ A B C D */
    "VGGUGGV",   "VGGUGGG",   "EHGNHHF",   "HHHVHHH",   "E44444E",               /* E F G H I */
    "72222IC",   "HIKOKIH",   "GGGGGGV",   "HRLLHHH",   "HHPLJHH",               /* J K L M N */
    "EHHHHHE",   "UHHUGGG",   "EHHHLID",   "UHHUKIH",   "FGGE11U",               /* O P Q R S */
    "V444444",   "HHHHHHE",   "HHHHHA4",   "HHHLLLA",   "HHA4AHH",               /* T U V W X */
    "HHHA444",   "V1248GV",   "E88888E",   "0G84210",   "E22222E",               /* Y Z [ \ ] */
    "4AH0000",   "0000000V",  "8420000",                                         /* ^ _ ` */
    "00E1FHF",   "GGMPHHU",   "00EGGHE",   "11DJHHF",   "00EHVGE",               /* a b c d e */
    "698S888",   "00FHHHF1E", "GGMPHHH",   "40C444E",   "2062222IC",             /* f g h i j */
    "GGIKOKI",   "C44444E",   "00QLLHH",   "00MPHHH",   "00EHHHE",               /* k l m n o */
    "00UHHHUGG", "00FHHHF11", "00MPGGG",   "00FGE1U",   "88S8896",               /* p q r s t */
    "00HHHJD",   "00HHHA4",   "00HHLLA",   "00HA4AH",   "00HHHHF1E",             /* u v w x y */
    "00V248V",   "2448442",   "4444444",   "8442448",   "008L200",               /* z { | } ~ */
};
/* clang-format on */

void cs_font_builtin_glyph(uint32_t code, uint8_t rows[CS_BUILTIN_ROWS]) {
    const char *glyph = code >= ' ' && code <= '~' ? glyphs[code - ' '] : "VHHHHHV";
    size_t length = strlen(glyph);
    for (size_t i = 0; i < CS_BUILTIN_ROWS; i++) {
        char digit = i < length ? glyph[i] : '0';
        rows[i] = (uint8_t)(digit <= '9' ? digit - '0' : digit - 'A' + 10);
    }
}
