#!/usr/bin/env python3
"""Makes the golden files of tests/io with the reference implementations.

    python3 -m venv venv && venv/bin/pip install safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
    venv/bin/python tests/golden/io/make_golden.py

dtypes.safetensors    one small tensor of every dtype, scalars, an empty one, metadata
floats.safetensors    codes of the small floating formats and what ml_dtypes makes of them, and
                      float32 values with the codes that they round to
*.npy                 NumPy's own files: byte orders, Fortran order, versions, ranks
"""

import os

import ml_dtypes
import numpy as np
import safetensors.numpy

here = os.path.dirname(os.path.abspath(__file__))

names = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "I16": np.int16,
    "U16": np.uint16,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I32": np.int32,
    "U32": np.uint32,
    "F32": np.float32,
    "F64": np.float64,
    "I64": np.int64,
    "U64": np.uint64,
}


def save(name, tensors, metadata=None):
    """`tensors`: name -> array. The library takes NumPy's names of ml_dtypes' types as its own."""
    with open(os.path.join(here, name), "wb") as file:
        file.write(safetensors.numpy.save(tensors, metadata))


def dtypes():
    tensors = {}
    for dtype, kind in names.items():
        if dtype == "BOOL":
            x = np.array([[True, False, True], [False, False, True]])
        elif np.issubdtype(kind, np.integer):
            info = np.iinfo(kind)
            x = np.array([[info.min, 0, 1], [2, 3, info.max]], dtype=kind)
        else:
            x = np.array([[-2.0, -0.0, 0.5], [1.0, 1.5, 448.0]]).astype(kind)
        tensors["all." + dtype] = x
    tensors["scalar"] = np.array(3.25, dtype=np.float32)
    tensors["empty"] = np.zeros((0, 4), dtype=np.float32)
    tensors["four axes"] = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)
    tensors['name "\\\n\u00e4'] = np.arange(3, dtype=np.uint8)
    save("dtypes.safetensors", tensors, {"format": "np"})


def floats():
    tensors = {}
    rng = np.random.default_rng(20)
    # Float32 values around every rounding decision: random bit patterns, and the middles between
    # neighbouring codes with one unit in the last place on both sides.
    for dtype, code in (("F16", np.uint16), ("BF16", np.uint16), ("F8_E4M3", np.uint8),
                        ("F8_E5M2", np.uint8)):
        kind = names[dtype]
        most = np.iinfo(code).max
        codes = np.arange(most + 1) if most == 255 else rng.integers(0, most + 1, 600)
        codes = np.unique(np.concatenate([codes, [0, 1, 2, 3, most // 2, most]])).astype(code)
        wide = codes.view(kind).astype(np.float32)
        tensors[dtype + ".codes"] = codes.view(kind)
        tensors[dtype + ".decoded"] = wide

        positive = np.arange(most // 2, dtype=code) if most == 255 else np.unique(
            rng.integers(0, most // 2, 200)).astype(code)
        low = positive.view(kind).astype(np.float64)
        high = (positive + code(1)).view(kind).astype(np.float64)
        finite = np.isfinite(low) & np.isfinite(high)
        middle = ((low + high) / 2)[finite].astype(np.float32)
        patterns = rng.integers(0, 2**32, 300, dtype=np.uint32).view(np.float32)
        # Most random patterns are far outside the range: some more inside.
        inside = (rng.standard_normal(300) * 2.0 ** rng.integers(-26, 17, 300)).astype(np.float32)
        special = np.array([0, -0.0, np.inf, -np.inf, 65504, 65519.996, 65520, 65536, 448, 464,
                            464.00003, 480, 57344, 61439.996, 61440, 3.4e38, 1e-45, -1e-45, 5.9e-8,
                            2.9802322e-8, 2.9802326e-8], dtype=np.float32)
        source = np.concatenate([middle, np.nextafter(middle, np.float32(0)),
                                 np.nextafter(middle, np.float32(np.inf)), patterns, inside,
                                 special])
        source = np.concatenate([source, -source])
        source = source[~np.isnan(source)]
        with np.errstate(over="ignore"):
            rounded = source.astype(kind)
        tensors[dtype + ".source"] = source
        tensors[dtype + ".rounded"] = rounded
    save("floats.safetensors", tensors)


def npy():
    def write(name, x, version=None):
        with open(os.path.join(here, name), "wb") as file:
            np.lib.format.write_array(file, x, version=version)

    grid = np.arange(24).reshape(2, 3, 4)
    write("f4.npy", grid.astype("<f4") / 8)
    write("f8_big.npy", grid.astype(">f8") / 8)
    write("i2_fortran.npy", np.asfortranarray(grid.astype("<i2") - 5))
    write("i8_big_fortran.npy", np.asfortranarray(grid.astype(">i8") * -(2**40)))
    write("u4_v2.npy", grid.astype("<u4"), (2, 0))
    write("u1_v3.npy", grid.astype("u1"), (3, 0))
    write("f2.npy", (grid.astype("<f2") - 12) / 4)
    write("bool.npy", grid % 3 == 0)
    write("scalar.npy", np.array(2.5))
    write("empty.npy", np.zeros((0, 3), dtype="<f4"))
    write("complex.npy", np.array([1 + 2j]))
    write("record.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i2")]))


if __name__ == "__main__":
    dtypes()
    floats()
    npy()
