"""Times training steps of PyTorch (forward, backward, optimizer) on one thread, batch 64.

Prints one line per network and optimizer: name, median microseconds of wall time per step. bench_training runs it
and puts its lines beside its own.
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


def measure(name, net, x, make_optimizer):
    labels = torch.arange(64) % 10
    loss_function = nn.CrossEntropyLoss()
    optimizer = make_optimizer(net.parameters())

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_function(net(x), labels).backward()
        optimizer.step()

    for _ in range(10):
        step()
    times = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < 1.0 or len(times) < 20:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    times.sort()
    print(name, f"{1e6 * times[len(times) // 2]:.3f}")


for kind, make in (("sgd", lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9)),
                   ("adam", lambda p: torch.optim.Adam(p, lr=1e-4))):
    measure(f"train_mlp_{kind}", mlp(), torch.randn(64, 784), make)
    measure(f"train_lenet5_{kind}", lenet5(), torch.randn(64, 1, 28, 28), make)
