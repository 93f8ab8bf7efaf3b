/* fault_tree.c - see fault_tree.h. */
#include "fault_tree.h"
#include "test_support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* nftw has no argument to hand on. */
static char *tree_text;
static size_t tree_root;

static int tree_entry(const char *path, const struct stat *info, int type, struct FTW *walk) {
    char hash[CS_SHA256_HEX_SIZE] = "-";
    (void)info;
    (void)walk;
    const char *name = strlen(path) > tree_root ? path + tree_root + 1 : "";
    if (type == FTW_F && strstr(name, "manifest.json") == NULL) {
        size_t size = 0;
        char *data = test_file_get(path, &size);
        cs_sha256_hex(data, size, hash);
        free(data);
    }
    size_t used = strlen(tree_text);
    snprintf(tree_text + used, FAULT_TREE_SIZE - used, "%s %s\n", name, hash);
    ck_assert_uint_lt(strlen(tree_text), FAULT_TREE_SIZE - 1);
    return 0;
}

void fault_tree_add(char tree[FAULT_TREE_SIZE], const char *line) {
    const size_t used = strlen(tree);
    snprintf(tree + used, FAULT_TREE_SIZE - used, "%s\n", line);
}

static int compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void fault_tree_read(const char *path, char out[FAULT_TREE_SIZE]) {
    static char text[FAULT_TREE_SIZE];
    char *lines[512];
    size_t count = 0;
    text[0] = out[0] = '\0';
    tree_text = text;
    tree_root = strlen(path);
    ck_assert_int_eq(nftw(path, tree_entry, 16, FTW_PHYS), 0);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        ck_assert_uint_lt(count, 512);
        lines[count++] = line;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++)
        fault_tree_add(out, lines[i]);
}

void fault_tree_drop(char tree[FAULT_TREE_SIZE], const char *words) {
    char *to = tree;
    for (char *line = tree; *line;) {
        const size_t length = strcspn(line, "\n") + 1;
        char *next = line + length;
        const char *at = strstr(line, words);
        if (!at || at >= next) {
            memmove(to, line, length);
            to += length;
        }
        line = next;
    }
    *to = '\0';
}

bool fault_tree_has(const char *line, const char *truth) {
    const char *at = strstr(truth, line);
    return at && (at == truth || at[-1] == '\n') && at[strlen(line)] == '\n';
}
