/* dump_nodes.h - what dump writes, under which names: activations, gradients, gates, parameters. */
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
    const cs_model *model;
    int count;
    bool gradients, parameters; /* which gradients are asked for */
    dump_node *items;
    bool *gated; /* per node of the model: its gates or winners are written */
} dump_nodes;

/* Reads --nodes: "all", or names with commas between them. Adds the logits and, with gradients, the
 * input. Set `gradients` and `parameters` before. Free with dump_nodes_free. Errors:
 * CS_ERROR_ARGUMENT, CS_ERROR_MEMORY, CS_ERROR_FORMAT (a manifest whose names cannot be file
 * names). */
cs_status dump_nodes_read(dump_nodes *nodes, const cs_model *model, const char *text,
                          cs_error *err);
void dump_nodes_free(dump_nodes *nodes);

/* Tells the run to keep them, and the input. */
cs_status dump_nodes_watch(const dump_nodes *nodes, cs_run *run, cs_error *err);

/* Writes input.npy, activations/, gradients/, gates/, winners/ and parameters/. Errors:
 * CS_ERROR_OUTPUT, CS_ERROR_MEMORY. */
cs_status dump_nodes_write(const dump_nodes *nodes, cs_run *run, const output_folder *folder,
                           cs_error *err);

/* Writes the arrays "nodes" (file names and the nodes they stand for), "gates", "winners" and
 * "parameters" (names of files). */
void put_dump_nodes(json_writer *w, const dump_nodes *nodes);

/* Whether the model can learn tensor `slot` of a node's parameters: not a running statistic. */
bool is_learned(const cs_node_info *node, int slot);

#endif
