"""Runs the kernels' benchmarks and writes docs/results/kernels.{json,md}: each of our forms
of a product beside the fastest peer, and sparse ones beside the fastest dense peer too. The short tables in
README.md and docs/kernels.md, between lines `<!-- kernels: ... -->`, are made of the same run.

Times are medians of processor time on one core; compare ratios, not times between machines.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

BENCHMARKS = ("dense", "sparse", "int8", "training")

# Five short repetitions, in an order that chance mixes: what disturbs one does not disturb them all.
REPETITIONS = ["--", "--benchmark_repetitions=5", "--benchmark_min_time=0.1"]


def measure(name, folder, filter_):
    """The benchmark's entries as {(workload, shape, density): {contender: (microseconds, bytes)}}."""
    path = os.path.join(folder, name + ".json")
    command = [os.path.join(os.environ["STRUCTOPT_SOURCE_DIR"], "dev"), "bench", name, "--json", path]
    if filter_:
        command += ["--filter", filter_]
    if name != "training":  # which has a repetition of its own kind
        command += REPETITIONS
    subprocess.run(command, check=True, stdout=sys.stderr)
    with open(path) as file:
        runs = json.load(file)["benchmarks"]
    times = {}
    for run in runs:
        if run.get("run_type") == "aggregate" or run.get("error_occurred"):
            continue
        parts = run["run_name"].split("/")
        workload, contender, shape = parts[:3]
        key = (workload, shape, "/".join(parts[3:]))
        scale = {"ns": 1e-3, "us": 1.0, "ms": 1e3}[run["time_unit"]]
        # Networks are timed by hand, by the processor time of each process.
        time = run["real_time" if name == "training" else "cpu_time"]
        times.setdefault(key, {}).setdefault(contender, []).append(
            (time * scale, run.get("weight_bytes")))
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


def shorter(rows, wanted):
    """The fastest of our forms for each of `wanted`: (text, workload, shape, density, forms to choose from)."""
    lines = ["| | B x K x N | ours | us | best dense peer | us | ratio | best peer | ratio |",
             "|---|---|---|---|---|---|---|---|---|"]
    for text, workload, shape, density, accept in wanted:
        found = [row for row in rows if (row["workload"], row["shape"], row["density"]) == (workload, shape, density)
                 and accept(row["ours"].removeprefix("structopt").lstrip("_"))]
        if not found:
            continue
        row = min(found, key=lambda row: row["us"])
        name = row["ours"].removeprefix("structopt").lstrip("_") or "int32 sums"
        # Without a dense peer of its own name every peer is dense.
        dense, ratio = row["best dense peer"], row["dense / ours"]
        lines.append(f"| {text} | {shape.replace('x', ' x ')} | `{name}` | {row['us']} | {dense or row['best peer']} | "
                     f"{round(row['us'] * (ratio or row['peer / ours'] or 0), 1) or ''} | {ratio or row['peer / ours']} | "
                     f"{row['best peer']} | {row['peer / ours']} |")
    return lines


def any_but_dense(form):
    return form != "dense"


def named(*names):
    return lambda form: form in names


SHAPES = ("1x1024x1024", "8x1024x1024", "64x1024x1024", "256x1024x1024", "64x784x300", "1x4096x4096", "64x4096x4096")
DENSE = [("float", "gemm_f32", shape, "", named("packed")) for shape in SHAPES]
INT8 = [(text, "gemm_int8", shape, "", named(*forms)) for shape in SHAPES
        for text, forms in (("codes in, int32 out", ("",)), ("floats in and out", ("dynamic",)))]
SPARSE = [(f"{zeros} zeros", "spmm_f32", shape, density, any_but_dense)
          for shape in ("1x1024x1024", "8x1024x1024", "64x1024x1024", "256x1024x1024", "1x4096x4096", "8x4096x4096",
                        "64x4096x4096")
          for density, zeros in (("0.5", "50 %"), ("0.1", "90 %"))]
SPARSE += [(f"{zeros} zeros, feature-major", "spmm_f32_feature_major", shape, density, any_but_dense)
           for shape in ("64x1024x1024", "256x1024x1024") for density, zeros in (("0.5", "50 %"), ("0.1", "90 %"))]
SPARSE += [(text, "dlmc_f32", shape, density, any_but_dense)
           for shape in ("1x512x2048", "64x512x2048")
           for density, text in (("rn50_0.1", "pruned ResNet-50, 90 % zeros"),
                                 ("transformer_0.2", "pruned Transformer, 80 % zeros"))]
STRUCTURED = [(f"16 x 1, {zeros} zeros", "spmm_v16x1_f32", shape, density, any_but_dense)
              for shape in ("1x1024x1024", "8x1024x1024", "64x1024x1024", "64x4096x4096")
              for density, zeros in (("0.8", "20 %"), ("0.5", "50 %"), ("0.1", "90 %"))]
STRUCTURED += [("2:4", "spmm_2x4_f32", shape, "0.5", any_but_dense)
               for shape in ("1x1024x1024", "8x1024x1024", "64x1024x1024", "1x4096x4096", "64x4096x4096")]
STRUCTURED += [(text, "spmm_s8", shape, density, any_but_dense)
               for shape in ("1x1024x1024", "64x1024x1024", "1x4096x4096")
               for density, text in (("0.25", "int8, 16 x 1, 75 % zeros"), ("2x4", "int8, 2:4"))]
README = [("float, dense", "gemm_f32", "64x1024x1024", "", named("packed")),
          ("int8, dense", "gemm_int8", "64x1024x1024", "", named("")),
          ("50 % zeros", "spmm_f32", "1x1024x1024", "0.5", any_but_dense),
          ("90 % zeros", "spmm_f32", "1x1024x1024", "0.1", any_but_dense),
          ("50 % zeros", "spmm_f32", "64x1024x1024", "0.5", any_but_dense),
          ("90 % zeros", "spmm_f32", "64x1024x1024", "0.1", any_but_dense),
          ("90 % zeros in 16 x 1", "spmm_v16x1_f32", "64x1024x1024", "0.1", any_but_dense),
          ("2:4", "spmm_2x4_f32", "64x1024x1024", "0.5", any_but_dense),
          ("int8, 75 % zeros in 16 x 1", "spmm_s8", "64x1024x1024", "0.25", any_but_dense)]


def networks(results):
    """Training steps and forward passes of whole networks."""
    peers = ("pytorch", "pytorch_compiled", "libtorch")
    lines = ["| | ours, us | PyTorch | compiled | libtorch | PyTorch / ours | best of the others / ours |",
             "|---|---|---|---|---|---|---|"]
    texts = {"train_mlp_sgd": "MLP, step with momentum", "train_mlp_adam": "MLP, step of Adam",
             "train_lenet5_sgd": "LeNet-5, step with momentum", "train_lenet5_adam": "LeNet-5, step of Adam",
             "forward_mlp": "MLP, one sample", "forward_lenet5": "LeNet-5, one sample"}
    for workload, text in texts.items():
        for key, contenders in results.items():
            if key[0] != workload:
                continue
            for name in sorted(n for n in contenders if n.startswith("structopt")):
                ours = contenders[name][0]
                times = [contenders[peer][0] if peer in contenders else None for peer in peers]
                ratio = lambda values: round(min(values) / ours, 2) if values else ""
                kind = name.removeprefix("structopt").replace("_", " ")
                lines.append(f"| {text}{',' + kind if kind else ''} | {round(ours, 1)} | " +
                             " | ".join(str(round(t, 1)) if t else "absent" for t in times) +
                             f" | {ratio([t for t in times[:1] if t])} | {ratio([t for t in times[1:] if t])} |")
    return lines


def replace_block(path, name, lines):
    """Puts `lines` between `<!-- kernels: NAME -->` and `<!-- kernels: end -->` of a page."""
    begin, end = f"<!-- kernels: {name} -->\n", "<!-- kernels: end -->"
    with open(path) as file:
        text = file.read()
    if begin not in text:
        sys.exit(f"{path}: no line {begin.strip()}")
    before, after = text.split(begin, 1)
    rest = after.split(end, 1)[1]
    write(path, before + begin + "\n".join(lines) + "\n" + end + rest)


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
    if arguments.filter or set(arguments.only) != set(BENCHMARKS):
        return  # the pages show whole runs
    top = os.environ["STRUCTOPT_SOURCE_DIR"]
    made = [f"Made by `{about['command']}` at commit {about['commit'][:10]}, {about['compiler']}, {about['cpu']}."]
    page = os.path.join(top, "docs", "kernels.md")
    for name, table in (("dense", shorter(rows, DENSE)), ("int8", shorter(rows, INT8)),
                        ("sparse", shorter(rows, SPARSE)), ("structured", shorter(rows, STRUCTURED)),
                        ("networks", networks(results))):
        replace_block(page, name, table + [""] + made)
    replace_block(os.path.join(top, "README.md"), "summary", shorter(rows, README))


main()
