"""CUDA's words in a user's file mean on the CPU what they mean on a GPU."""

from pathlib import Path

import numpy as np
import pytest
from dlcli_kernels import emulate
from dlcli_kernels.emulate import EmulationError, Emulator, unit
from dlcli_kernels.raw import Source, running_on

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(bool(emulate.problem()), reason=emulate.problem() or "-"),
]
FILE = Path(__file__).parent / "emulated" / "words.cu"


def launch(kernel, grid, block, *args, **options):
    with running_on(Emulator()):
        Source("emulated.tests", FILE.name, folder=str(FILE.parent)).kernel(kernel)(
            grid, block, *args, **options
        )


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def to_bfloat16(x):
    """x rounded to bfloat16, as float32."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def test_halves_are_added_and_multiplied_with_one_rounding():
    x, pairs, w = normal(64).astype(np.float16), normal(64, seed=1).astype(np.float16), normal(64)
    x[:4] = np.float16([6e-8, 65504, -0.0, np.inf])  # the least, the most
    y, z = np.zeros(64, np.float16), np.zeros(64, np.uint16)
    launch("halves", 1, 64, y, x, pairs, z.view("V2"), w)
    plus_one = (pairs.astype(np.float64) + 1).astype(np.float16)
    want = (x.astype(np.float64) * 0.5 + plus_one).astype(np.float16)
    np.testing.assert_array_equal(y, want)
    got = (z.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(got, to_bfloat16(to_bfloat16(w) * np.float32(3)))


def test_a_struct_by_value_a_lambda_and_a_table_of_constants():
    x, y = normal(4, 5), np.zeros(32, np.float32)
    shape = np.array((4, 5, 0.5), [("rows", "i4"), ("cols", "i4"), ("scale", "f4")])[()]
    launch("lambdas", 1, 32, y, x, shape)
    np.testing.assert_allclose(y, np.tile(x[:, :4].sum(1) * 0.5 + 10, 8), rtol=1e-6)


def test_grids_and_blocks_have_three_dimensions():
    y = np.zeros(24 * 105, np.int32)
    launch("three_dimensions", (2, 3, 4), (3, 5, 7), y)
    np.testing.assert_array_equal(y.reshape(24, 105), np.arange(24)[:, None] * 1000 + range(105))


def test_dynamic_shared_memory_of_the_whole_file_has_all_its_bytes():
    y, n = np.zeros(1, np.float32), (227 << 10) // 4
    launch("large_shared", 1, 1024, y, n, shared=4 * n)
    assert y[0] == 2 * n - 5


def test_intrinsics_give_what_the_manual_says(capfd):
    x, y = normal(32), np.zeros((32, 16))
    launch("intrinsics", 1, 32, y, x)
    lane = np.arange(32)
    want = {
        0: np.sin(x),
        1: np.cos(x),
        2: x[lane ^ 1],
        3: np.minimum(lane + 1, 31),
        4: np.full(32, 496),
        5: x,
        6: x,
        7: np.zeros(32),
        8: [int(f"{i:05b}"[::-1], 2) for i in lane],
        9: np.full(32, 0x77553311),
        10: np.zeros(32),
        11: x.astype(np.float64) ** 2 + 1,
        12: 0x11111111 << lane % 4,
        13: np.full(32, 3),
        14: np.ones(32),
        15: x.astype(np.float64) + 1,
    }
    for column, values in want.items():
        np.testing.assert_allclose(y[:, column], values, rtol=1e-6, err_msg=str(column))
    assert capfd.readouterr().out == "printed 7\n"


def test_a_variable_that_nobody_has_set_is_no_small_number():
    y = np.ones(1, np.float32)
    launch("unset_local", 1, 1, y, 3)
    assert abs(y[0]) > 1e30


def test_kernels_are_found_by_name_where_they_are_of_c_linkage():
    found = {k.name: k for k in unit.kernels(FILE.read_text())}
    assert set(found) == {
        *("halves", "lambdas", "three_dimensions", "large_shared", "intrinsics", "unset_local"),
    }
    assert found["halves"].most_threads == "(EACH * 64)"
    launch("made_by_a_macro", 1, 4, y := np.zeros(4, np.float32))
    np.testing.assert_array_equal(y, 2)
    with pytest.raises(EmulationError, match='has no extern "C" kernel not_linked_as_c'):
        launch("not_linked_as_c", 1, 4, y)


def test_kernels_in_blocks_of_c_linkage_and_namespaces_are_found():
    text = """
    namespace a { extern "C" { /* __global__ void gone(int) {} */
    __global__ void __launch_bounds__(max(32, N), 2) first(float* __restrict__ y, const int* x) {}
    __global__ void declared(int* y);
    template <int N> __global__ void shape(int* y) {}
    } }
    extern "C" __global__ void second() { }
    """
    assert unit.kernels(text) == [
        unit.Found("first", "a::first", "(max(32, N))", "10"),
        unit.Found("second", "second", "0", "0"),
    ]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("__device__ float sums[4];", "sums"),
        ("int x; static __device__ int count = 0;", "count"),
        ("__device__ const float table[2] = {1, 2};", None),
        ("__constant__ float table[2] = {1, 2};", None),
        ("__device__ float f(float x) { return x; }", None),
        ("struct S { __device__ float& at(int i); float x; };", None),
    ],
)
def test_a_variable_in_global_memory_is_found(line, name):
    found = unit.variable_on_device("\n" + line)
    assert found == (name and (2, name))


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("#pragma unroll", "#pragma GCC unroll 64"),
        ("  #pragma unroll 4", "#pragma GCC unroll 4"),
        ("#pragma unroll (8)", "#pragma GCC unroll 8"),
        ("#pragma unroll N * 2", "#pragma GCC unroll 64"),
        ("#pragma unroll 1000", "#pragma GCC unroll 64"),
        ('_Pragma("unroll 2") for', '_Pragma("GCC unroll 64") for'),
        (
            "{ extern __shared__ float s[]; }",
            "{ float* const s = static_cast<float*>(dlcli_dynamic_shared()); }",
        ),
        (
            "{ extern __shared__ __align__(16) unsigned char s[]; }",
            "{ unsigned char* const s = static_cast<unsigned char*>(dlcli_dynamic_shared()); }",
        ),
        ("// extern __shared__ float s[];", "// extern __shared__ float s[];"),
    ],
)
def test_what_gcc_reads_otherwise_is_put_as_it_takes_it(line, made):
    assert unit.preprocess(line) == made
