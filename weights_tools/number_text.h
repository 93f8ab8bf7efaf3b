/* number_text.h - numbers as text that reads back to the same bits, the same on every machine and
 * in every locale. */
#ifndef CS_NUMBER_TEXT_H
#define CS_NUMBER_TEXT_H

#include <stddef.h>

#define CS_NUMBER_TEXT_SIZE 40

/* The shortest decimal of a finite double, or of a finite float, that reads back the same. */
void cs_double_text(double value, char out[CS_NUMBER_TEXT_SIZE]);
void cs_float_text(float value, char out[CS_NUMBER_TEXT_SIZE]);

/* C99's hexadecimal form of a finite float: "0x1.8p+1", "-0x0p+0". */
void cs_float_hex(float value, char out[CS_NUMBER_TEXT_SIZE]);

#endif
