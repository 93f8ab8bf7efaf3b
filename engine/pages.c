/* pages.c - large blocks of zeroed memory, on huge pages where the system has them.
 *
 * Packed weights and the arena of ResNet-50 are 27,000 pages of 4 KB; each costs a fault when it is
 * first touched, and all of them together more than the TLB holds. The system's own pages are zero
 * already, so nothing is cleared twice. Small blocks come from malloc.
 */
#include "pages.h"
#include "base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

/* Under a sanitizer all blocks are malloc's, so that it sees what is written beyond their ends. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PAGES_FROM SIZE_MAX
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PAGES_FROM SIZE_MAX
#endif
#if !defined(PAGES_FROM)
#define PAGES_FROM HUGE_PAGE
#endif

static size_t whole_pages(size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

void *pages_allocate(size_t size) {
    if (size < PAGES_FROM) {
        void *memory = size <= SIZE_MAX - 64 ? aligned_alloc(64, cs_align64(size)) : NULL;
        return memory ? memset(memory, 0, size) : NULL;
    }
    size_t room;
    if (!cs_size_add(size, HUGE_PAGE, &room))
        return NULL;
    char *all = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    /* Keeps the part that begins at a huge page. What is cut off was never touched. */
    const size_t before = (HUGE_PAGE - (uintptr_t)all % HUGE_PAGE) % HUGE_PAGE;
    const size_t used = before + whole_pages(size);
    if (before > 0)
        munmap(all, before);
    if (used < room)
        munmap(all + used, room - used);
    (void)madvise(all + before, size, MADV_HUGEPAGE); /* where it is refused, small pages do */
    return all + before;
}

void pages_free(void *memory, size_t size) {
    if (size < PAGES_FROM)
        free(memory);
    else if (memory)
        munmap(memory, whole_pages(size));
}
