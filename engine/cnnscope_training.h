/* cnnscope_training.h - gradients of parameters, batch norm in training, cross-entropy.
 *
 * Included by cnnscope.h. A run belongs to one thread at a time; "telling" un-prepares it, as
 * cs_run_keep does.
 */
#ifndef CNNSCOPE_TRAINING_H
#define CNNSCOPE_TRAINING_H

#include "cnnscope_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cs_run cs_run;

/* Telling: asks for the gradient of a parameter tensor ("layer1.0.conv1.weight"), or with NULL of
 * all that can be learned: weights and biases of conv2d and linear, gamma and beta (weight and
 * bias) of batch_norm. It changes no bit of anything else; the run keeps what it needs for it.
 * Errors: CS_ERROR_ARGUMENT (unknown, with the nearest names, or a running statistic). */
cs_status cs_run_keep_parameter_gradient(cs_run *run, const char *tensor, cs_error *err);

/* The gradient of a parameter, in the run's type. Each cs_run_backward adds to it: dS/dw of its
 * scalar S, image after image, so that a batch gives what its images give one after another. It is
 * zero after cs_run_prepare (made a new plan) and cs_run_zero_parameter_gradients, and stays zero
 * where the seed node does not depend on the parameter. A convolution's weight is a tensor of
 * n = K, c = C/groups, h = R, w = S (channels-last as every tensor; cs_tensor_copy_nchw gives
 * PyTorch's order), linear's n = K, c = C, h = w = 1; a vector has n = 1, c = its length,
 * h = w = 1. The view stays valid until a telling call or the run's end. Errors: CS_ERROR_ARGUMENT
 * (unknown or not asked for), CS_ERROR_STATE (not prepared). */
cs_status cs_run_parameter_gradient(cs_run *run, const char *tensor, cs_tensor *gradient,
                                    cs_error *err);

/* Sets all gradients of parameters to zero. */
void cs_run_zero_parameter_gradients(cs_run *run);

/* Telling: with `training`, batch norms normalise with the mean and variance of the batch that
 * runs, as in torch.nn.Module.train(), and gradients go through both. Nothing else changes: running
 * statistics are left alone until cs_run_update_statistics. In this mode the images of a batch
 * depend on each other. A batch with one value a channel at a batch norm is refused by
 * cs_run_forward (CS_ERROR_ARGUMENT, naming the node). Does nothing where a hook calls it. */
void cs_run_set_training(cs_run *run, bool training);

/* Moves the running statistics in the run's private parameters (cs_params_copy) towards those of
 * the last forward, as torch.nn.BatchNorm2d does in each forward (its momentum is 0.1):
 * running = (1 - momentum) * running + momentum * batch, the variance unbiased. Other runs that use
 * these parameters must be prepared again. Errors: CS_ERROR_STATE (not in training mode, or no
 * forward yet), CS_ERROR_ARGUMENT (the parameters are the model's own; momentum not in [0, 1]). */
cs_status cs_run_update_statistics(cs_run *run, double momentum, cs_error *err);

typedef enum cs_reduction { CS_REDUCTION_MEAN = 0, CS_REDUCTION_SUM = 1 } cs_reduction;

/* Cross-entropy (torch.nn.CrossEntropyLoss) of logits (N x C, h = w = 1) for labels[N], each in
 * [0, C): the mean or the sum over the images of -log(softmax(logits)[label]), in double. If
 * `seed` is not NULL, it receives the gradient with respect to the logits: a tensor of their shape
 * and type that the caller allocated (cs_run_backward takes it). `loss` may be NULL. NaN and
 * infinity pass through. Errors: CS_ERROR_ARGUMENT. */
cs_status cs_cross_entropy(const cs_tensor *logits, const int64_t *labels, cs_reduction reduction,
                           double *loss, cs_tensor *seed, cs_error *err);

#ifdef __cplusplus
}
#endif

#endif
