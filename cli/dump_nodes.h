/* dump_nodes.h - which nodes dump writes, under which names. */
#ifndef CLI_DUMP_NODES_H
#define CLI_DUMP_NODES_H

#include "common.h"
#include "output_folder.h"
#include "prediction.h"

typedef struct dump_node {
    int node;
    char name[NAME_MAX + 1]; /* of the file, without folder and ending */
    bool activation;         /* written to activations/; the gradient always where asked for */
} dump_node;

typedef struct dump_nodes {
    int count;
    bool gradients;
    bool *is_vector; /* for every node of the model: its .npy has shape (N, C) */
    dump_node *items;
} dump_nodes;

/* Reads --nodes: "all", or names with commas between them. Adds the logits and, with gradients, the
 * input. Free with dump_nodes_free. Errors: CS_ERROR_ARGUMENT, CS_ERROR_MEMORY, CS_ERROR_FORMAT (a
 * manifest whose names cannot be file names). */
cs_status dump_nodes_read(dump_nodes *nodes, const cs_model *model, const char *text,
                          bool gradients, cs_error *err);
void dump_nodes_free(dump_nodes *nodes);

/* Tells the run to keep them, and the input. */
cs_status dump_nodes_watch(const dump_nodes *nodes, const cs_model *model, cs_run *run,
                           cs_error *err);

/* Writes input.npy, activations/ and gradients/. Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY. */
cs_status dump_nodes_write(const dump_nodes *nodes, const cs_model *model, cs_run *run,
                           const output_folder *folder, cs_error *err);

/* Writes the array "nodes": file names and the nodes they stand for. */
void put_dump_nodes(json_writer *w, const dump_nodes *nodes, const cs_model *model);

#endif
