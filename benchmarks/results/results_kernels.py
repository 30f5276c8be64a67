"""Runs the kernels' benchmarks and writes docs/results/kernels.{json,md}: each of our forms
of a product beside the fastest peer, and sparse ones beside the fastest dense peer too.

Times are medians of processor time on one core; compare ratios, not times between machines.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

BENCHMARKS = ("dense", "sparse", "int8")


def measure(name, folder, filter_):
    """The benchmark's entries as {(workload, shape, density): {contender: (microseconds, bytes)}}."""
    path = os.path.join(folder, name + ".json")
    command = [os.path.join(os.environ["STRUCTOPT_SOURCE_DIR"], "dev"), "bench", name, "--json", path]
    if filter_:
        command += ["--filter", filter_]
    subprocess.run(command, check=True, stdout=sys.stderr)
    with open(path) as file:
        runs = json.load(file)["benchmarks"]
    times = {}
    for run in runs:
        if run.get("run_type") == "aggregate" or run.get("error_occurred"):
            continue
        parts = run["run_name"].split("/")
        workload, contender, shape = parts[:3]
        key = (workload, shape, parts[3] if len(parts) > 3 else "")
        scale = {"ns": 1e-3, "us": 1.0, "ms": 1e3}[run["time_unit"]]
        times.setdefault(key, {}).setdefault(contender, []).append(
            (run["cpu_time"] * scale, run.get("weight_bytes")))
    return {key: {contender: (statistics.median(t for t, _ in samples), samples[0][1])
                  for contender, samples in contenders.items()}
            for key, contenders in times.items()}


def fastest(contenders, accept):
    candidates = [(time, name) for name, (time, _) in contenders.items() if accept(name)]
    return min(candidates) if candidates else (None, None)


def rows_of(results):
    order = lambda key: (key[0], [int(n) for n in key[1].split("x")][::-1], len(key[2]), key[2])
    for key in sorted(results, key=order):
        contenders = results[key]
        peer, peer_name = fastest(contenders, lambda n: not n.startswith("structopt"))
        dense, dense_name = fastest(contenders, lambda n: not n.startswith("structopt") and "dense" in n)
        for name in sorted(n for n in contenders if n.startswith("structopt")):
            ours, size = contenders[name]
            yield {"workload": key[0], "shape": key[1], "density": key[2], "ours": name,
                   "us": round(ours, 2), "bytes": int(size) if size else "",
                   "best peer": peer_name or "absent", "peer us": round(peer, 2) if peer else "",
                   "peer / ours": round(peer / ours, 2) if peer else "",
                   "best dense peer": dense_name or "",
                   "dense / ours": round(dense / ours, 2) if dense else ""}


def write(path, text):
    temporary = path + ".tmp"
    with open(temporary, "w") as file:
        file.write(text)
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="docs/results")
    parser.add_argument("--only", nargs="*", default=BENCHMARKS, help="benchmarks to run")
    parser.add_argument("--filter", default="", help="regular expression over names")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            for key, contenders in measure(name, folder, arguments.filter).items():
                results.setdefault(key, {}).update(contenders)
    rows = list(rows_of(results))
    about = {name: os.environ.get("STRUCTOPT_" + name.upper(), "")
             for name in ("command", "commit", "compiler", "cpu")}
    table = {"command": about["command"], "commit": about["commit"], "seeds": [1],
             "compiler": about["compiler"], "cpu": about["cpu"], "rows": rows}
    os.makedirs(arguments.out, exist_ok=True)
    write(os.path.join(arguments.out, "kernels.json"), json.dumps(table, indent=1) + "\n")
    lines = ["# kernels", "", __doc__.split("\n\n")[1].strip().replace("\n", " "),
             "B x K x N: samples, inputs, outputs. Density: share of weights that are not zero.", ""]
    if rows:
        lines.append("| " + " | ".join(rows[0]) + " |")
        lines.append("|---" * len(rows[0]) + "|")
    lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    lines += ["", f"Made by `{about['command']}` at commit {about['commit']}, {about['compiler']}, {about['cpu']}.", ""]
    write(os.path.join(arguments.out, "kernels.md"), "\n".join(lines))


main()
