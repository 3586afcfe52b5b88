/* What gcc's unwinder wants of glibc, for an executable that has musl instead.
 *
 * Debian's libgcc_eh.a is built for glibc, and differs from one built for musl in two things. It asks
 * _dl_find_object(3) where an address's unwind tables lie, which musl does not have: here it is, by
 * dl_iterate_phdr(3). And it takes the functions of threads for weak names that glibc always has: a
 * static link leaves them out, and panics would jump to address 0. Naming them here links them in. */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdint.h>

/* struct dl_find_object of glibc's <dlfcn.h> */
struct object {
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct question {
    uintptr_t address;
    struct object *answer;
};

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
    struct question *question = data;
    void *eh_frame = NULL, *map_start = NULL, *map_end = NULL;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && question->address - start < segment->p_memsz) {
            map_start = (void *)start;
            map_end = (void *)(start + segment->p_memsz);
        }
        if (segment->p_type == PT_GNU_EH_FRAME)
            eh_frame = (void *)start;
    }
    if (!map_start || !eh_frame)
        return 0;
    *question->answer = (struct object){ .map_start = map_start, .map_end = map_end, .eh_frame = eh_frame };
    return 1;
}

/* 0 if the address lies in the executable, and where its tables are; else -1. */
int _dl_find_object(void *address, struct object *answer)
{
    struct question question = { (uintptr_t)address, answer };
    return dl_iterate_phdr(look, &question) == 1 ? 0 : -1;
}

__attribute__((used)) static void *const linked[] = {
    pthread_once,        pthread_mutex_lock,  pthread_mutex_unlock,
    pthread_getspecific, pthread_setspecific, pthread_key_create,
};
