/* pages.h - large blocks of zeroed memory, on huge pages where the system has them. */
#ifndef CS_PAGES_H
#define CS_PAGES_H

#include <stddef.h>

/* `size` > 0 bytes of zeros at a multiple of 64, or NULL. Memory that is never touched costs
 * nothing. Free it with pages_free and the same size; NULL is accepted there. */
void *pages_allocate(size_t size);
void pages_free(void *memory, size_t size);

#endif
