/* single_node.c - one node of a run alone, on values that the caller owns. */
#include "run_state.h"

void cs_run_keep_single_nodes(cs_run *run) {
    if (!run->single_nodes || !run->keep_gates)
        run_unprepare(run);
    run->single_nodes = run->keep_gates = true;
}

static cs_status check_run(const cs_run *run, int node, cs_error *err) {
    CS_CHECK(run->single_nodes, CS_ERROR_STATE,
             "call cs_run_keep_single_nodes before single nodes are run");
    CS_CHECK(!run->training, CS_ERROR_STATE,
             "single nodes are run in inference mode, and this run is in training mode");
    CS_CHECK(run->prepared && run->batch > 0, CS_ERROR_STATE,
             "call cs_run_forward before single nodes are run");
    CS_CHECK(node > 0 && node < run->model->node_count, CS_ERROR_ARGUMENT,
             "there is no node %d behind the input; 1 to %d were expected", node,
             run->model->node_count - 1);
    CS_CHECK(!run->imposed || run->imposed->batch == run->batch, CS_ERROR_ARGUMENT,
             "the gates imposed since the forward pass are those of %lld images, not of %lld",
             (long long)(run->imposed ? run->imposed->batch : 0), (long long)run->batch);
    return CS_OK;
}

/* A tensor of the run's own type, shaped as the output of `node`. */
static cs_status check_tensor(const cs_run *run, int node, const cs_tensor *t, const char *what,
                              cs_error *err) {
    CS_TRY(run_check_shape(run, node, t, run->batch, what, err));
    CS_CHECK(t->dtype == run->dtype, CS_ERROR_ARGUMENT, "the %s must be of the run's type (%s)",
             what, cs_dtype_name(run->dtype));
    return CS_OK;
}

cs_status cs_run_node_forward(cs_run *run, int node, const cs_tensor *const inputs[2],
                              cs_tensor *output, cs_error *err) {
    CS_TRY(check_run(run, node, err));
    CS_TRY(check_tensor(run, node, output, "output", err));
    const cs_node_info *info = &run->model->nodes[node];
    const layer *kind = run_kind(run, node);
    layer_call call = run_call(run, node, PASS_FORWARD);
    for (int k = 0; k < info->inputs; k++) {
        CS_TRY(check_tensor(run, info->input[k], inputs[k], "input", err));
        call.input[k] = inputs[k]->data;
    }
    call.output = output->data;
    const bool imposed = run->imposed && kind->forward_imposed;
    if (!imposed)
        call.saved = NULL; /* the run keeps the gates of its own forward */
    run_layer(run, node, imposed ? kind->forward_imposed : kind->forward, &call);
    return CS_OK;
}

cs_status cs_run_node_backward(cs_run *run, int node, const cs_tensor *output,
                               const cs_tensor *doutput, cs_tensor *const dinputs[2], bool add,
                               cs_error *err) {
    CS_TRY(check_run(run, node, err));
    CS_TRY(check_tensor(run, node, doutput, "gradient of the output", err));
    const cs_node_info *info = &run->model->nodes[node];
    const layer *kind = run_kind(run, node);
    layer_call call = run_call(run, node, PASS_BACKWARD);
    if (kind->needs_output)
        CS_TRY(check_tensor(run, node, output, "output", err));
    call.output = output ? output->data : NULL;
    call.doutput = doutput->data;
    for (int k = 0; k < info->inputs; k++) {
        if (!dinputs[k])
            continue;
        CS_TRY(check_tensor(run, info->input[k], dinputs[k], "gradient of an input", err));
        call.dinput[k] = dinputs[k]->data;
        call.add[k] = add;
    }
    if (call.dinput[0] || call.dinput[1])
        run_layer(run, node, kind->backward, &call);
    return CS_OK;
}

cs_status cs_run_node_tangent(cs_run *run, int node, const cs_tensor *output,
                              const cs_tensor *const tangents[2], cs_tensor *tangent,
                              cs_error *err) {
    CS_TRY(check_run(run, node, err));
    CS_TRY(check_tensor(run, node, tangent, "tangent of the output", err));
    const cs_node_info *info = &run->model->nodes[node];
    const layer *kind = run_kind(run, node);
    layer_call call = run_call(run, node, PASS_FORWARD);
    if (kind->needs_output)
        CS_TRY(check_tensor(run, node, output, "output", err));
    call.value = output ? output->data : NULL;
    for (int k = 0; k < info->inputs; k++) {
        CS_TRY(check_tensor(run, info->input[k], tangents[k], "tangent of an input", err));
        call.input[k] = tangents[k]->data;
    }
    call.output = tangent->data;
    call.tangent = true;
    run_layer(run, node, kind->tangent, &call);
    return CS_OK;
}

/* Parameters of a node that are not NULL. */
static cs_status check_parameters(const cs_run *run, int node, const cs_tensor *const t[2],
                                  const char *what, cs_error *err) {
    const cs_node_info *info = &run->model->nodes[node];
    for (int i = 0; i < 2; i++) {
        if (!t[i])
            continue;
        if (i >= info->parameters)
            return cs_error_set(err, CS_ERROR_ARGUMENT, info->name, -1,
                                "\"%s\" has %d parameters, and a %s of number %d was given",
                                info->name, info->parameters, what, i);
        CS_TRY(run_check_parameter(run, info, i, t[i], what, err));
    }
    return CS_OK;
}

cs_status cs_run_node_parameter_gradient(cs_run *run, int node, const cs_tensor *input,
                                         const cs_tensor *doutput, cs_tensor *const dparameters[2],
                                         cs_error *err) {
    CS_TRY(check_run(run, node, err));
    CS_TRY(check_tensor(run, run->model->nodes[node].input[0], input, "input", err));
    CS_TRY(check_tensor(run, node, doutput, "gradient of the output", err));
    const cs_tensor *const given[2] = {dparameters[0], dparameters[1]};
    CS_TRY(check_parameters(run, node, given, "gradient", err));
    layer_call call = run_call(run, node, PASS_BACKWARD);
    call.input[0] = input->data;
    call.doutput = doutput->data;
    for (int i = 0; i < 2; i++)
        call.dparameter[i] = given[i] ? given[i]->data : NULL;
    if ((given[0] || given[1]) && run_backward_params(run, node, &call) != 0)
        run_note_bad(run, node);
    return CS_OK;
}

cs_status cs_run_node_parameter_tangent(cs_run *run, int node, const cs_tensor *input,
                                        const cs_tensor *const parameters[2], cs_tensor *tangent,
                                        cs_error *err) {
    CS_TRY(check_run(run, node, err));
    CS_TRY(check_tensor(run, run->model->nodes[node].input[0], input, "input", err));
    CS_TRY(check_tensor(run, node, tangent, "tangent of the output", err));
    CS_TRY(check_parameters(run, node, parameters, "tangent", err));
    layer_call call = run_call(run, node, PASS_FORWARD);
    call.input[0] = input->data;
    call.output = tangent->data;
    call.tangent = true;
    for (int i = 0; i < 2; i++)
        call.parameter_tangent[i] = parameters[i] ? parameters[i]->data : NULL;
    if (parameters[0] || parameters[1])
        run_layer(run, node, run_kind(run, node)->tangent_parameters, &call);
    return CS_OK;
}
