/* fault_tree.h - what lies in a folder, as text that can be compared. */
#ifndef FAULT_TREE_H
#define FAULT_TREE_H

#include <stdbool.h>

enum { FAULT_TREE_SIZE = 1 << 15 };

/* What lies in a folder as sorted lines "NAME SHA256"; of folders, and of manifest.json, which has
 * dates and timings, the name alone (" -": the folder itself). */
void fault_tree_read(const char *path, char out[FAULT_TREE_SIZE]);

/* Adds a line. */
void fault_tree_add(char tree[FAULT_TREE_SIZE], const char *line);

/* Whether a line of a tree is also one of `truth`. */
bool fault_tree_has(const char *line, const char *truth);

/* Takes out the lines that hold `words`. */
void fault_tree_drop(char tree[FAULT_TREE_SIZE], const char *words);

#endif
