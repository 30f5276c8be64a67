"""Times training steps of PyTorch (forward, backward, optimizer) at batch 64 and forward passes of one sample,
on one thread, eager and compiled.

Prints one line each: workload, contender, extents, median microseconds of processor time. bench_training runs
it and puts its lines beside its own.
"""
import sys
import time

try:
    import torch
except ImportError:
    print("absent")
    sys.exit(0)

from torch import nn

torch.set_num_threads(1)
torch.manual_seed(1)


def mlp():
    return nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))


def median_microseconds(run):
    for _ in range(10):
        run()
    times = []
    begin = time.process_time()
    while time.process_time() - begin < 1.0 or len(times) < 20:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    times.sort()
    return 1e6 * times[len(times) // 2]


def training_step(net, x, make_optimizer):
    labels = torch.arange(64) % 10
    loss_function = nn.CrossEntropyLoss()
    optimizer = make_optimizer(net.parameters())

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_function(net(x), labels).backward()
        optimizer.step()

    return step


def forward_pass(net, x):
    def run():
        with torch.inference_mode():
            net(x)

    return run


def report(workload, extents, make):
    """make(prepare) gives the function to time; prepare is applied to the network."""
    print(workload, "pytorch", extents, f"{median_microseconds(make(lambda net: net)):.3f}", flush=True)
    if not hasattr(torch, "compile"):
        return
    try:
        compiled = median_microseconds(make(torch.compile))
        print(workload, "pytorch_compiled", extents, f"{compiled:.3f}", flush=True)
    except Exception as error:  # no compiler, no headers: eager alone
        print("not compiled:", str(error).splitlines()[0], file=sys.stderr)


OPTIMIZERS = (("sgd", lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9)),
              ("adam", lambda p: torch.optim.Adam(p, lr=1e-4)))
NETWORKS = (("mlp", mlp, (784,)), ("lenet5", lenet5, (1, 28, 28)))

for name, make_network, extents in NETWORKS:
    batch = torch.randn(64, *extents)
    for kind, make_optimizer in OPTIMIZERS:
        report(f"train_{name}_{kind}", "64x784x10",
               lambda prepare: training_step(prepare(make_network()), batch, make_optimizer))
    sample = torch.randn(1, *extents)
    report(f"forward_{name}", "1x784x10", lambda prepare: forward_pass(prepare(make_network().eval()), sample))
