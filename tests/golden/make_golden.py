#!/usr/bin/env python3
"""Writes the golden files of the tests with PyTorch: needs torch and numpy.

Everything is float64 (labels int64). Inputs are multiples of 1/256, so that they are exact in
float32 too, and every case draws its own numbers: adding a case changes no other one.

safetensors files: tensors are called <kind>/<case>/<what>, the options of a case stand in the
metadata under <kind>/<case>, the versions under "made_with". schedules.csv: one line per series.
"""

import csv
import json
import os
import platform
import struct
import sys
import zlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.utils.prune as prune
from torch.ao.quantization import MinMaxObserver, PerChannelMinMaxObserver

HERE = os.path.dirname(os.path.abspath(__file__))
MADE_WITH = "PyTorch %s, NumPy %s, Python %s" % (
    torch.__version__, np.__version__, platform.python_version())
DTYPES = {"float64": "F64", "int64": "I64"}

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def rng(name):
    return np.random.RandomState(zlib.crc32(name.encode()))


def numbers(name, *shape, scale=1.0):
    """Normal numbers, rounded to multiples of 1/256."""
    return torch.tensor(np.round(rng(name).randn(*shape) * scale * 256) / 256)


def distinct(name, *shape, signed=True):
    """Numbers whose magnitudes all differ (no ties in a maximum or a ranking)."""
    r = rng(name)
    n = int(np.prod(shape))
    values = (r.permutation(n) + 1) / 64.0
    if signed:
        values = values * r.choice([-1.0, 1.0], n)
    return torch.tensor(values.reshape(shape))


class File:
    """One safetensors file: length of the header, the header as JSON, the data."""

    def __init__(self, name):
        self.path = os.path.join(HERE, name + ".safetensors")
        self.tensors = {}
        self.metadata = {"made_with": MADE_WITH}

    def case(self, name, options=""):
        assert name not in self.metadata, name
        self.metadata[name] = options

    def add(self, name, tensor):
        assert name not in self.tensors, name
        array = tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else np.array(tensor)
        self.tensors[name] = np.array(array, order="C")

    def write(self):
        header = {"__metadata__": self.metadata}
        data = b""
        for name in sorted(self.tensors):
            array = self.tensors[name]
            raw = array.tobytes()
            header[name] = {
                "dtype": DTYPES[str(array.dtype)],
                "shape": list(array.shape),
                "data_offsets": [len(data), len(data) + len(raw)],
            }
            data += raw
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(self.path, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + data)


# ---------------------------------------------------------------------------------------------
# Layers: forward, and backward for a random upstream gradient
# ---------------------------------------------------------------------------------------------

def layer_case(file, name, module, x, options=""):
    """Saves input, parameters, output and all gradients of one call of `module`."""
    file.case(name, options)
    x = x.clone().requires_grad_(True)
    file.add(name + "/input", x)
    parameters = dict(module.named_parameters()) if isinstance(module, nn.Module) else {}
    for key, p in parameters.items():
        p.data = numbers(name + "/" + key, *p.shape, scale=0.5)
        file.add(name + "/" + key, p)
    y = module(x)
    dy = numbers(name + "/output_grad", *y.shape)
    y.backward(dy)
    file.add(name + "/output", y)
    file.add(name + "/output_grad", dy)
    file.add(name + "/input_grad", x.grad)
    for key, p in parameters.items():
        file.add(name + "/" + key + "_grad", p.grad)


def make_layers():
    f = File("layers")

    layer_case(f, "dense/basic", nn.Linear(5, 3), numbers("dense/x", 4, 5), "in=5 out=3")
    layer_case(f, "dense/no_bias", nn.Linear(5, 3, bias=False), numbers("dense/x", 4, 5),
               "in=5 out=3 bias=false")

    conv = [
        # name, in, out, kernel, input extents, options
        ("kernel3", 3, 4, 3, (6, 7), {}),
        ("kernel1", 3, 4, 1, (3, 4), {}),
        ("no_bias", 2, 3, 3, (5, 5), {"bias": False}),
        ("stride2", 2, 3, 3, (7, 6), {"stride": 2}),
        ("pad1", 2, 3, 3, (4, 5), {"padding": 1}),
        ("stride2_pad1", 2, 3, 3, (7, 6), {"stride": 2, "padding": 1}),
        ("kernel5_pad2", 1, 2, 5, (5, 6), {"padding": 2}),
        ("dilation2_pad2", 2, 2, 3, (6, 6), {"dilation": 2, "padding": 2}),
        ("groups2", 4, 6, 3, (5, 5), {"groups": 2}),
        ("stride2_pad1_groups2", 4, 4, 3, (6, 7), {"stride": 2, "padding": 1, "groups": 2}),
        ("depthwise_pad1", 4, 4, 3, (5, 5), {"padding": 1, "groups": 4}),
        ("depthwise_stride2_pad1_multiplier2", 3, 6, 3, (6, 5),
         {"stride": 2, "padding": 1, "groups": 3}),
        ("stride2_pad2_dilation2_groups2", 4, 2, 3, (8, 7),
         {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}),
        ("rectangle", 2, 3, (3, 2), (6, 6),
         {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    ]
    for case, c_in, c_out, kernel, extents, options in conv:
        name = "conv2d/" + case
        layer_case(f, name, nn.Conv2d(c_in, c_out, kernel, **options),
                   numbers(name + "/input", 2, c_in, *extents),
                   "in=%d out=%d kernel=%s %s" % (c_in, c_out, kernel, options))

    pools = [
        ("kernel2", 2, {}),
        ("kernel2_stride1", 2, {"stride": 1}),
        ("kernel3_stride2", 3, {"stride": 2}),
        ("kernel3_stride2_pad1", 3, {"stride": 2, "padding": 1}),
        ("rectangle", (3, 2), {"stride": (2, 1), "padding": (1, 0)}),
    ]
    for case, kernel, options in pools:
        for extents in ((6, 6), (7, 5)):
            suffix = case + "_%dx%d" % extents
            text = "kernel=%s %s" % (kernel, options)
            x = distinct("pool/" + suffix, 2, 2, *extents)
            layer_case(f, "max_pool2d/" + suffix, nn.MaxPool2d(kernel, **options), x, text)
            layer_case(f, "avg_pool2d/" + suffix, nn.AvgPool2d(kernel, **options), x, text)
            if "padding" in options:
                layer_case(f, "avg_pool2d/" + suffix + "_exclude_pad",
                           nn.AvgPool2d(kernel, count_include_pad=False, **options), x,
                           text + " count_include_pad=false")
    layer_case(f, "max_pool2d/kernel2_dilation2_7x5", nn.MaxPool2d(2, dilation=2),
               distinct("pool/dilation", 2, 2, 7, 5), "kernel=2 dilation=2")
    layer_case(f, "global_avg_pool2d/basic", lambda x: x.mean((2, 3)),
               numbers("global/x", 2, 3, 4, 5), "output has shape (batch, channels)")

    norms = [
        ("batch_norm1d/%s", lambda **o: nn.BatchNorm1d(3, **o), (6, 3)),
        ("batch_norm2d/%s", lambda **o: nn.BatchNorm2d(3, **o), (3, 3, 2, 3)),
    ]
    for pattern, make, shape in norms:
        for case, options, training in (
                ("train", {}, True),
                ("train_momentum0.3_eps0.01", {"momentum": 0.3, "eps": 0.01}, True),
                ("eval", {}, False)):
            name = pattern % case
            module = make(**options)
            module.train(training)
            module.running_mean.copy_(numbers(name + "/running_mean", 3))
            module.running_var.copy_(numbers(name + "/running_var", 3).abs() + 0.5)
            f.add(name + "/running_mean", module.running_mean.clone())
            f.add(name + "/running_var", module.running_var.clone())
            layer_case(f, name, module, numbers(name + "/input", *shape, scale=2.0) + 0.5,
                       "channels=3 momentum=%g eps=%g %s" % (
                           module.momentum, module.eps, "train" if training else "eval"))
            f.add(name + "/running_mean_after", module.running_mean)
            f.add(name + "/running_var_after", module.running_var)

    layer_case(f, "layer_norm/last1", nn.LayerNorm(6), numbers("layer_norm/x1", 4, 6, scale=2.0),
               "normalized_shape=[6] eps=1e-05")
    layer_case(f, "layer_norm/last3", nn.LayerNorm([2, 3, 4]),
               numbers("layer_norm/x3", 3, 2, 3, 4, scale=2.0),
               "normalized_shape=[2,3,4] eps=1e-05")
    layer_case(f, "layer_norm/eps0.1", nn.LayerNorm(6, eps=0.1),
               numbers("layer_norm/x1", 4, 6, scale=2.0), "normalized_shape=[6] eps=0.1")

    # A wide range, and zero itself; none on the corners of hard-sigmoid and hard-swish (-3 and 3).
    x = numbers("activation/x", 4, 6, scale=3.0)
    x[0, 0], x[0, 1], x[0, 2], x[0, 3] = 0.0, -20.0, 20.0, 2.5
    activations = [
        ("relu", nn.ReLU(), ""),
        ("leaky_relu", nn.LeakyReLU(), "negative_slope=0.01"),
        ("leaky_relu_slope0.2", nn.LeakyReLU(0.2), "negative_slope=0.2"),
        ("elu", nn.ELU(), "alpha=1"),
        ("elu_alpha0.7", nn.ELU(0.7), "alpha=0.7"),
        ("gelu", nn.GELU(), "exact, with erf"),
        ("gelu_tanh", nn.GELU(approximate="tanh"), "tanh approximation"),
        ("silu", nn.SiLU(), ""),
        ("sigmoid", nn.Sigmoid(), ""),
        ("tanh", nn.Tanh(), ""),
        ("hard_sigmoid", nn.Hardsigmoid(), ""),
        ("hard_swish", nn.Hardswish(), ""),
        ("softmax", nn.Softmax(dim=1), "over the last axis"),
        ("log_softmax", nn.LogSoftmax(dim=1), "over the last axis"),
    ]
    for case, module, text in activations:
        layer_case(f, "activation/" + case, module, x, text)
    large = torch.tensor([[1000.0, 999.0, -1000.0], [-800.0, -801.0, -800.5]])
    layer_case(f, "activation/softmax_large", nn.Softmax(dim=1), large, "over the last axis")
    layer_case(f, "activation/log_softmax_large", nn.LogSoftmax(dim=1), large, "over the last axis")
    f.write()


# ---------------------------------------------------------------------------------------------
# Losses: value and gradient
# ---------------------------------------------------------------------------------------------

def loss_case(file, name, function, x, target, options="", **extra):
    file.case(name, options)
    x = x.clone().requires_grad_(True)
    value = function(x, target)
    value.backward()
    file.add(name + "/input", x)
    file.add(name + "/target", target)
    for key, tensor in extra.items():
        file.add(name + "/" + key, tensor)
    file.add(name + "/value", value.reshape(1))
    file.add(name + "/input_grad", x.grad)


def make_losses():
    f = File("losses")
    logits = numbers("loss/logits", 5, 4, scale=2.0)
    labels = torch.tensor(rng("loss/labels").randint(0, 4, 5), dtype=torch.int64)
    soft = F.softmax(numbers("loss/soft", 5, 4), dim=1)
    real = numbers("loss/real", 5, 4, scale=1.5)
    binary = torch.tensor(np.round(rng("loss/binary").rand(5, 4) * 4) / 4)
    pos_weight = torch.tensor([0.5, 1.0, 2.0, 3.0])

    for reduction in ("mean", "sum"):
        text = "reduction=" + reduction
        r = {"reduction": reduction}
        loss_case(f, "cross_entropy/labels_" + reduction,
                  lambda x, t: F.cross_entropy(x, t, **r), logits, labels, text)
        loss_case(f, "cross_entropy/labels_smoothing0.1_" + reduction,
                  lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1, **r), logits, labels,
                  text + " label_smoothing=0.1")
        loss_case(f, "cross_entropy/soft_" + reduction,
                  lambda x, t: F.cross_entropy(x, t, **r), logits, soft, text)
        loss_case(f, "cross_entropy/soft_smoothing0.1_" + reduction,
                  lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1, **r), logits, soft,
                  text + " label_smoothing=0.1")
        loss_case(f, "nll/" + reduction, lambda x, t: F.nll_loss(x, t, **r),
                  F.log_softmax(logits, dim=1), labels, text)
        loss_case(f, "mse/" + reduction, lambda x, t: F.mse_loss(x, t, **r), logits, real, text)
        loss_case(f, "mae/" + reduction, lambda x, t: F.l1_loss(x, t, **r), logits, real, text)
        for delta in (1.0, 0.5):
            loss_case(f, "huber/delta%g_%s" % (delta, reduction),
                      lambda x, t: F.huber_loss(x, t, delta=delta, **r), logits, real,
                      text + " delta=%g" % delta)
        loss_case(f, "bce_with_logits/" + reduction,
                  lambda x, t: F.binary_cross_entropy_with_logits(x, t, **r), logits, binary, text)
        loss_case(f, "bce_with_logits/pos_weight_" + reduction,
                  lambda x, t: F.binary_cross_entropy_with_logits(
                      x, t, pos_weight=pos_weight, **r),
                  logits, binary, text, pos_weight=pos_weight)
    for reduction in ("batchmean", "mean", "sum"):
        loss_case(f, "kl_div/" + reduction,
                  lambda x, t: F.kl_div(x, t, reduction=reduction),
                  F.log_softmax(logits, dim=1), soft,
                  "input: log-probabilities, target: probabilities, reduction=" + reduction)
    certain = torch.tensor([[0.0, 1.0, 0.0, 0.0]] * 2 + [[0.25, 0.25, 0.5, 0.0]] * 3)
    loss_case(f, "kl_div/zeros_batchmean", lambda x, t: F.kl_div(x, t, reduction="batchmean"),
              F.log_softmax(logits, dim=1), certain, "a target of 0 adds nothing")
    large = torch.tensor([[1000.0, 0.0, -1000.0, 5.0], [-900.0, -901.0, -902.0, -903.0]])
    loss_case(f, "cross_entropy/large_mean", F.cross_entropy, large,
              torch.tensor([2, 0], dtype=torch.int64), "logits far apart")
    loss_case(f, "bce_with_logits/large_mean", F.binary_cross_entropy_with_logits, large,
              torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.5, 0.0]]), "logits far apart")
    f.write()


# ---------------------------------------------------------------------------------------------
# Optimizers: five updates with given gradients
# ---------------------------------------------------------------------------------------------

def single_tensor_nadam(params, grads, exp_avgs, exp_avg_sqs, mu_products, state_steps, *, beta1,
                        beta2, lr, weight_decay, momentum_decay, eps):
    """NAdam as in its paper and in PyTorch 2; versions before multiply the product of the momenta
    by the current one twice in the last line."""
    for p, g, m, v, product, t in zip(params, grads, exp_avgs, exp_avg_sqs, mu_products,
                                      state_steps):
        t += 1
        step = t.item()
        g = g.add(p, alpha=weight_decay)
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
        product *= mu
        m.mul_(beta1).add_(g, alpha=1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        denom = v.div(1 - beta2 ** step).sqrt().add_(eps)
        p.addcdiv_(g, denom, value=-lr * (1.0 - mu) / (1.0 - product.item()))
        p.addcdiv_(m, denom, value=-lr * mu_next / (1.0 - product.item() * mu_next))


if int(torch.__version__.split(".")[0]) < 2:
    sys.modules[torch.optim.NAdam.__module__]._single_tensor_nadam = single_tensor_nadam


def make_optimizers():
    f = File("optimizers")
    steps = 5
    shapes = {"weight": (2, 4), "bias": (4,)}
    start = {k: numbers("optimizer/start/" + k, *s) for k, s in shapes.items()}
    grads = {k: numbers("optimizer/grad/" + k, steps, *s) for k, s in shapes.items()}
    for k in grads:
        grads[k][0] *= 4.0  # the second moments then fall: AMSGrad differs from Adam
    grads["weight"][:, 0, 1] = 0.0  # never any gradient
    grads["weight"][2, 1, 2] = 0.0  # none for once
    for k in shapes:
        f.add("gradients/" + k, grads[k])

    o = torch.optim
    cases = [
        ("sgd/plain", o.SGD, dict(lr=0.1)),
        ("sgd/weight_decay", o.SGD, dict(lr=0.1, weight_decay=0.05)),
        ("momentum/plain", o.SGD, dict(lr=0.1, momentum=0.9)),
        ("momentum/dampening", o.SGD, dict(lr=0.1, momentum=0.9, dampening=0.3)),
        ("momentum/weight_decay", o.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.05)),
        ("momentum/dampening_weight_decay", o.SGD,
         dict(lr=0.1, momentum=0.8, dampening=0.3, weight_decay=0.05)),
        ("nesterov/plain", o.SGD, dict(lr=0.1, momentum=0.9, nesterov=True)),
        ("nesterov/weight_decay", o.SGD,
         dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05)),
        ("adagrad/plain", o.Adagrad, dict(lr=0.1)),
        ("adagrad/weight_decay", o.Adagrad, dict(lr=0.1, weight_decay=0.05)),
        ("adagrad/lr_decay", o.Adagrad, dict(lr=0.1, lr_decay=0.1)),
        ("adagrad/initial_eps", o.Adagrad, dict(lr=0.1, initial_accumulator_value=0.5, eps=0.01)),
        ("adadelta/plain", o.Adadelta, dict(lr=1.0)),
        ("adadelta/weight_decay", o.Adadelta, dict(lr=1.0, weight_decay=0.05)),
        ("adadelta/rho0.5_eps0.01", o.Adadelta, dict(lr=0.5, rho=0.5, eps=0.01)),
        ("adam/plain", o.Adam, dict(lr=0.05)),
        ("adam/weight_decay", o.Adam, dict(lr=0.05, weight_decay=0.05)),
        ("adam/betas_eps", o.Adam, dict(lr=0.05, betas=(0.7, 0.8), eps=0.01)),
        ("amsgrad/plain", o.Adam, dict(lr=0.05, betas=(0.9, 0.8), amsgrad=True)),
        ("amsgrad/weight_decay", o.Adam,
         dict(lr=0.05, betas=(0.9, 0.8), amsgrad=True, weight_decay=0.05)),
        ("adamw/plain", o.AdamW, dict(lr=0.05)),
        ("adamw/no_weight_decay", o.AdamW, dict(lr=0.05, weight_decay=0.0)),
        ("adamw/weight_decay", o.AdamW, dict(lr=0.05, weight_decay=0.2)),
        ("adamw/amsgrad", o.AdamW,
         dict(lr=0.05, betas=(0.9, 0.8), amsgrad=True, weight_decay=0.2)),
        ("rmsprop/plain", o.RMSprop, dict(lr=0.02)),
        ("rmsprop/weight_decay", o.RMSprop, dict(lr=0.02, weight_decay=0.05)),
        ("rmsprop/momentum", o.RMSprop, dict(lr=0.02, alpha=0.9, momentum=0.9)),
        ("rmsprop/centered", o.RMSprop, dict(lr=0.02, alpha=0.9, centered=True)),
        ("rmsprop/centered_momentum_weight_decay", o.RMSprop,
         dict(lr=0.02, alpha=0.9, eps=1e-3, centered=True, momentum=0.9, weight_decay=0.05)),
        ("nadam/plain", o.NAdam, dict(lr=0.05)),
        ("nadam/weight_decay", o.NAdam, dict(lr=0.05, weight_decay=0.05)),
        ("nadam/momentum_decay", o.NAdam, dict(lr=0.05, betas=(0.8, 0.9), momentum_decay=0.1)),
    ]
    for name, make, options in cases:
        parameters = {k: p.clone().requires_grad_(True) for k, p in start.items()}
        optimizer = make(list(parameters.values()), **options)
        path = {k: [p.detach().clone()] for k, p in parameters.items()}
        for step in range(steps):
            for k, p in parameters.items():
                p.grad = grads[k][step].clone()
            optimizer.step()
            for k, p in parameters.items():
                path[k].append(p.detach().clone())
        shown = {k: v for k, v in optimizer.defaults.items()
                 if k not in ("foreach", "maximize", "capturable", "differentiable", "fused")}
        f.case(name, " ".join("%s=%s" % kv for kv in sorted(shown.items())))
        for k in path:
            # Row 0 is the start, row t the parameters after update t.
            f.add(name + "/" + k, torch.stack(path[k]))
    f.write()


# ---------------------------------------------------------------------------------------------
# Gradient clipping and pruning masks
# ---------------------------------------------------------------------------------------------

def make_clipping():
    f = File("clipping")
    grads = {"weight": numbers("clip/weight", 3, 4, scale=2.0), "bias": numbers("clip/bias", 4)}
    for k, g in grads.items():
        f.add("gradients/" + k, g)

    def case(name, clip, options):
        f.case(name, options)
        parameters = {k: torch.zeros_like(g) for k, g in grads.items()}
        for k, p in parameters.items():
            p.grad = grads[k].clone()
        total = clip(list(parameters.values()))
        for k, p in parameters.items():
            f.add(name + "/" + k, p.grad)
        if total is not None:
            f.add(name + "/total_norm", total.reshape(1))

    u = nn.utils
    case("norm/max1", lambda p: u.clip_grad_norm_(p, 1.0), "max_norm=1 norm_type=2")
    case("norm/max100", lambda p: u.clip_grad_norm_(p, 100.0), "max_norm=100: nothing to clip")
    case("norm/max1_norm1", lambda p: u.clip_grad_norm_(p, 1.0, norm_type=1),
         "max_norm=1 norm_type=1")
    case("norm/max1_inf", lambda p: u.clip_grad_norm_(p, 1.0, norm_type=float("inf")),
         "max_norm=1 norm_type=inf")
    case("value/max0.5", lambda p: u.clip_grad_value_(p, 0.5), "clip_value=0.5")
    f.write()


def make_prune():
    f = File("prune")

    def module(name, *shape):
        m = nn.Linear(1, 1) if len(shape) == 2 else nn.Conv2d(1, 1, 1)
        m.weight = nn.Parameter(distinct(name, *shape))
        return m

    def case(name, m, apply, options):
        f.case(name, options)
        f.add(name + "/weight", m.weight.detach().clone())
        apply(m)
        f.add(name + "/mask", m.weight_mask)

    for share in (0.0, 0.1, 0.3, 0.5, 0.9):
        name = "l1_unstructured/amount%g" % share
        case(name, module(name, 4, 6), lambda m: prune.l1_unstructured(m, "weight", share),
             "amount=%g" % share)
    name = "l1_unstructured/count7"
    case(name, module(name, 5, 5), lambda m: prune.l1_unstructured(m, "weight", 7), "amount=7")
    for n, dim, shape in ((2, 0, (6, 4)), (1, 0, (6, 4)), (2, 1, (6, 4)),
                          (2, 0, (4, 3, 2, 2)), (1, 1, (4, 3, 2, 2)),
                          (float("inf"), 0, (4, 3, 2, 2))):
        name = "ln_structured/n%g_dim%d_%s" % (n, dim, "x".join(map(str, shape)))
        case(name, module(name, *shape),
             lambda m: prune.ln_structured(m, "weight", 0.5, n=n, dim=dim),
             "amount=0.5 n=%g dim=%d" % (n, dim))
    name = "global_l1/amount0.4"
    f.case(name, "amount=0.4 over both tensors together")
    values = distinct(name, 44)
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    first.weight = nn.Parameter(values[:24].reshape(4, 6).clone())
    second.weight = nn.Parameter(values[24:].reshape(5, 4).clone())
    f.add(name + "/first", first.weight.detach().clone())
    f.add(name + "/second", second.weight.detach().clone())
    prune.global_unstructured([(first, "weight"), (second, "weight")],
                              pruning_method=prune.L1Unstructured, amount=0.4)
    f.add(name + "/first_mask", first.weight_mask)
    f.add(name + "/second_mask", second.weight_mask)
    f.write()


# ---------------------------------------------------------------------------------------------
# Quantization: scales and zero points of observers, and what fake quantization makes of a tensor
# ---------------------------------------------------------------------------------------------

def make_quantize():
    f = File("quantize")
    torch.set_default_dtype(torch.float32)  # of the observers' arithmetic

    def case(name, x, observer, low, high, axis=None):
        x = x.float()
        observer(x)
        scale, zero = observer.calculate_qparams()
        if axis is None:
            y = torch.fake_quantize_per_tensor_affine(x, float(scale), int(zero), low, high)
        else:
            y = torch.fake_quantize_per_channel_affine(
                x, scale, zero.to(torch.int32), axis, low, high)
        f.case(name, "codes %d to %d" % (low, high))
        f.add(name + "/input", x.double())
        f.add(name + "/scale", scale.double().reshape(-1))
        f.add(name + "/zero_point", zero.to(torch.int64).reshape(-1))
        f.add(name + "/output", y.double())

    schemes = [
        # name, symmetric, lowest code, highest code
        ("symmetric8", True, -127, 127),
        ("symmetric8_full", True, -128, 127),
        ("symmetric4", True, -7, 7),
        ("affine8", False, 0, 255),
        ("affine8_signed", False, -128, 127),
        ("affine4", False, 0, 15),
    ]
    inputs = [("normal", 0.0), ("positive", 6.0), ("negative", -6.0)]
    for scheme, symmetric, low, high in schemes:
        kind = torch.qint8 if low < 0 else torch.quint8
        limits = {"dtype": kind, "quant_min": low, "quant_max": high}
        for case_name, shift in inputs:
            name = scheme + "/" + case_name
            x = numbers("quantize/" + name, 4, 3, 5) + shift
            case(name, x, MinMaxObserver(
                qscheme=torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine,
                **limits), low, high)
        for axis in (0, 1):
            name = scheme + "/axis%d" % axis
            x = numbers("quantize/" + name, 4, 3, 5)
            case(name, x, PerChannelMinMaxObserver(
                ch_axis=axis,
                qscheme=torch.per_channel_symmetric if symmetric else torch.per_channel_affine,
                **limits), low, high, axis)
    # Clipped: a range that is smaller than the numbers.
    name = "clipped/affine8"
    x = numbers("quantize/" + name, 8, 8, scale=2.0).float()
    f.case(name, "scale and zero point given, codes 0 to 255")
    f.add(name + "/input", x.double())
    f.add(name + "/scale", torch.tensor([0.0078125]).double())
    f.add(name + "/zero_point", torch.tensor([101]))
    f.add(name + "/output",
          torch.fake_quantize_per_tensor_affine(x, 0.0078125, 101, 0, 255).double())
    f.write()
    torch.set_default_dtype(torch.float64)


# ---------------------------------------------------------------------------------------------
# Learning-rate schedules: one line per series
# ---------------------------------------------------------------------------------------------

def make_schedules():
    s = torch.optim.lr_scheduler
    lines = []

    def optimizer(rate, **options):
        return torch.optim.SGD([torch.zeros(1)], lr=rate, **options)

    def series(name, rate, steps, make, momentum=None):
        opt = optimizer(rate, **({"momentum": 0.9} if momentum else {}))
        scheduler = make(opt)
        rates, momenta = [], []
        for _ in range(steps):
            rates.append(float(opt.param_groups[0]["lr"]))
            momenta.append(float(opt.param_groups[0]["momentum"]))
            opt.step()
            scheduler.step()
        lines.append([name] + rates)
        if momentum:
            lines.append([momentum] + momenta)

    series("step_decay/every4_gamma0.5", 0.1, 20, lambda o: s.StepLR(o, 4, gamma=0.5))
    series("step_decay/every1_gamma0.9", 0.3, 12, lambda o: s.StepLR(o, 1, gamma=0.9))
    series("multi_step/3_4_9_gamma0.2", 0.1, 14, lambda o: s.MultiStepLR(o, [3, 4, 9], gamma=0.2))
    series("exponential_decay/gamma0.8", 0.1, 15, lambda o: s.ExponentialLR(o, 0.8))
    series("piecewise_constant/3_8", 1.0, 12,
           lambda o: s.LambdaLR(o, lambda t: 0.1 if t < 3 else 0.05 if t < 8 else 0.002))
    series("polynomial_decay/steps8_power1", 0.1, 12, lambda o: s.PolynomialLR(o, 8, power=1.0))
    series("polynomial_decay/steps8_power2.5", 0.1, 12, lambda o: s.PolynomialLR(o, 8, power=2.5))
    series("inverse_time_decay/decay0.5", 0.1, 12,
           lambda o: s.LambdaLR(o, lambda t: 1 / (1 + 0.5 * t)))
    series("cosine_decay/steps10", 0.1, 11, lambda o: s.CosineAnnealingLR(o, 10))
    series("cosine_decay/steps10_final0.01", 0.1, 11,
           lambda o: s.CosineAnnealingLR(o, 10, eta_min=0.01))
    series("cosine_restarts/period5", 0.1, 18, lambda o: s.CosineAnnealingWarmRestarts(o, 5))
    series("cosine_restarts/period3_growth2_final0.001", 0.1, 50,
           lambda o: s.CosineAnnealingWarmRestarts(o, 3, T_mult=2, eta_min=0.001))
    for case, steps, options in (
            ("steps20", 20, {}),
            ("steps20_linear", 20, {"anneal_strategy": "linear"}),
            ("steps20_three_phase", 20, {"three_phase": True}),
            ("steps17_linear_three_phase_rise0.4", 17,
             {"anneal_strategy": "linear", "three_phase": True, "pct_start": 0.4}),
            ("steps13_rise0.25_divisors10_100", 13,
             {"pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0,
              "base_momentum": 0.7, "max_momentum": 0.9})):
        series("one_cycle/" + case, 0.1, steps,
               lambda o: s.OneCycleLR(o, 0.2, total_steps=steps, **options),
               momentum="one_cycle_momentum/" + case)
    series("linear_warmup/steps5_start0.2_constant", 0.1, 10,
           lambda o: s.LinearLR(o, start_factor=0.2, total_iters=5))

    def warm(o):
        return s.SequentialLR(o, [s.LinearLR(o, start_factor=0.25, total_iters=4),
                                  s.CosineAnnealingWarmRestarts(o, 6)], milestones=[4])
    series("linear_warmup/steps4_start0.25_cosine_restarts6", 0.1, 16, warm)

    def warm_steps(o):
        return s.SequentialLR(o, [s.LinearLR(o, start_factor=0.5, total_iters=3),
                                  s.StepLR(o, 4, gamma=0.5)], milestones=[3])
    series("linear_warmup/steps3_start0.5_step_decay4", 0.1, 16, warm_steps)

    r = rng("plateau")
    falling = [1.0, 0.8, 0.7, 0.7, 0.71, 0.69995, 0.6999, 0.72, 0.6, 0.6, 0.61, 0.6, 0.62, 0.6,
               0.6, 0.59, 0.59, 0.59, 0.59, 0.59, 0.59, 0.59, 0.59, 0.59, 0.3, 0.3, 0.3, 0.3]
    noisy = [round(float(v), 3) for v in 1.0 / (1.0 + np.arange(40)) + 0.1 * r.rand(40)]
    for case, metrics, options in (
            ("minimum_relative", falling, dict(patience=2, factor=0.5)),
            ("minimum_absolute", falling,
             dict(patience=1, factor=0.5, threshold=0.05, threshold_mode="abs")),
            ("minimum_cooldown", falling, dict(patience=1, factor=0.5, cooldown=2)),
            ("minimum_min_rate", falling, dict(patience=0, factor=0.3, min_lr=0.004)),
            ("minimum_eps", falling, dict(patience=0, factor=0.5, eps=0.003)),
            ("noisy", noisy, dict(patience=2, factor=0.7, threshold=0.01, cooldown=1)),
            ("maximum_relative", [-v + 2 for v in falling],
             dict(mode="max", patience=2, factor=0.5, threshold=0.001)),
            ("maximum_absolute", [-v for v in noisy],
             dict(mode="max", patience=1, factor=0.5, threshold=0.02, threshold_mode="abs")),
            # PyTorch counts NaN as no improvement; so do we.
            ("minimum_not_a_number", [1.0, 0.9, float("nan"), float("nan"), float("nan"), 0.8],
             dict(patience=1, factor=0.5))):
        opt = optimizer(0.1)
        scheduler = s.ReduceLROnPlateau(opt, **options)
        rates = []
        for metric in metrics:
            scheduler.step(metric)
            rates.append(float(opt.param_groups[0]["lr"]))
        lines.append(["reduce_on_plateau_metric/" + case] + metrics)
        lines.append(["reduce_on_plateau/" + case] + rates)

    with open(os.path.join(HERE, "schedules.csv"), "w", newline="") as out:
        out.write("# %s; series name, then its values from step 0 on\n" % MADE_WITH)
        writer = csv.writer(out, lineterminator="\n")
        for line in lines:
            writer.writerow([line[0]] + [repr(v) for v in line[1:]])


if __name__ == "__main__":
    make_layers()
    make_losses()
    make_optimizers()
    make_clipping()
    make_prune()
    make_quantize()
    make_schedules()
