"""NVRTC: every architecture, what kernels use, errors with file and line; no GPU is needed."""

import pytest
from dlcli_kernels import cuda_compile, raw
from dlcli_kernels.cuda import PROBE
from dlcli_kernels.cuda_compile import CompileError, CompilerMissing, Resources

pytestmark = [
    pytest.mark.nvrtc,
    pytest.mark.skipif(bool(cuda_compile.problem()), reason=cuda_compile.problem()),
]

REVERSE = """
#include "size.cuh"
extern "C" __global__ void reverse(float* x) {
    __shared__ float s[SIZE];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = s[SIZE - 1 - threadIdx.x];
}
"""
SPILLING = """
extern "C" __global__ void __launch_bounds__(1024) spills(float* x, int n) {
    float v[200];
    for (int i = 0; i < 200; i++) v[i] = x[i * n + threadIdx.x];
    for (int j = 0; j < n; j++)
        for (int i = 0; i < 200; i++) v[i] = v[i] * v[(i * 7) % 200] + 1;
    for (int i = 0; i < 200; i++) x[i * n + threadIdx.x] = v[i];
}
"""


def compiled(text, headers=None, constants=(), arch="sm_90"):
    return cuda_compile.compile(text, "family/kernel.cu", headers or {}, constants, arch)


@pytest.mark.parametrize("arch", [*raw.ARCHS, "sm_90a", "sm_120"])
def test_machine_code_is_made_for_every_architecture(arch):
    cubin = compiled(PROBE.text(), arch=arch)
    assert cubin.image.startswith(b"\x7fELF")
    assert 0 < cubin.resources["probe"].registers < 32
    assert cubin.resources["probe"].spills == 0
    assert cubin.advice == ()


def test_headers_in_memory_and_constants_are_seen_by_the_source():
    cubin = compiled(REVERSE, {"size.cuh": "#define SIZE (HALF * 2)\n"}, [("HALF", 64)])
    used = cubin.resources["reverse"]
    assert used.shared == 128 * 4
    assert used.barriers == 1


def test_a_kernel_that_needs_too_many_registers_is_seen_to_spill():
    used = compiled(SPILLING, arch="sm_80").resources["spills"]
    assert used.registers in (32, 64)  # what 1,024 threads leave for each
    assert used.spill_stores > 0
    assert used.spills == used.spill_stores + used.spill_loads
    assert used.stack > 0


@pytest.mark.parametrize("header", ["cuda_bf16.h", "cuda_fp16.h", "mma.h", "cooperative_groups.h"])
def test_cudas_own_headers_are_found_without_a_toolkit(header):
    text = f'#include <{header}>\nextern "C" __global__ void k(float* x) {{ x[0] = 1; }}'
    assert "k" in compiled(text).resources


def test_instructions_of_hopper_need_its_exact_architecture():
    text = 'extern "C" __global__ void k() { asm volatile("wgmma.fence.sync.aligned;"); }'
    assert "k" in compiled(text, arch="sm_90a").resources
    with pytest.raises(CompileError, match=r"family/kernel\.cu: .*not supported.*\[sm_90\]"):
        compiled(text, arch="sm_90")


def test_an_error_names_file_and_line():
    with pytest.raises(CompileError) as raised:
        compiled('\n\nextern "C" __global__ void k(float* x) { x[0] = missing; }')
    assert str(raised.value) == 'family/kernel.cu:3: error: identifier "missing" is undefined'


def test_an_error_in_a_header_names_the_header():
    with pytest.raises(CompileError, match=r'^bad\.cuh:2: error: identifier "absent"'):
        compiled('#include "bad.cuh"\n', {"bad.cuh": "\n__device__ int f() { return absent; }"})


def test_only_the_first_messages_are_kept():
    lines = "".join(f"    missing_{i}();\n" for i in range(9))
    with pytest.raises(CompileError) as raised:
        compiled(f"__global__ void k() {{\n{lines}}}\n")
    assert len(str(raised.value).splitlines()) == cuda_compile.MOST_MESSAGES


def test_a_missing_header_and_an_unknown_architecture_are_compile_errors():
    with pytest.raises(CompileError, match=r"family/kernel\.cu:1: .*absent\.cuh"):
        compiled('#include "absent.cuh"\n')
    with pytest.raises(CompileError, match=r"gpu-architecture.*\[sm_12345\]"):
        compiled(PROBE.text(), arch="sm_12345")


def test_denormals_survive_and_division_is_rounded_correctly():
    """With our options, whatever NVRTC's defaults are or become."""
    from cuda.bindings import nvrtc

    text = b'extern "C" __global__ void k(float* x) { x[0] = x[1] / x[2] + sqrtf(x[3]) * x[4]; }'
    _, program = nvrtc.nvrtcCreateProgram(text, b"k.cu", 0, [], [])
    options = [b"--gpu-architecture=sm_90", *(o.encode() for o in cuda_compile.OPTIONS)]
    nvrtc.nvrtcCompileProgram(program, len(options), options)
    ptx = bytearray(nvrtc.nvrtcGetPTXSize(program)[1])
    nvrtc.nvrtcGetPTX(program, ptx)
    nvrtc.nvrtcDestroyProgram(program)
    assert all(exact in ptx for exact in (b"div.rn.f32", b"sqrt.rn.f32", b"fma.rn.f32"))
    assert b"ftz" not in ptx
    assert b"approx" not in ptx


def test_without_nvrtc_the_message_says_what_to_install(monkeypatch):
    from cuda.bindings import nvrtc

    def not_found():
        raise RuntimeError("no libnvrtc.so\nsearched everywhere")

    monkeypatch.setattr(nvrtc, "nvrtcVersion", not_found)
    cuda_compile.version.cache_clear()
    try:
        with pytest.raises(CompilerMissing, match=r"\(no libnvrtc\.so\): pip install"):
            cuda_compile.version()
        assert cuda_compile.problem().count("\n") == 0
    finally:
        cuda_compile.version.cache_clear()


def test_the_assemblers_report_is_read_for_every_kernel():
    log = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_90a'
ptxas info    : Function properties for helper
    16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Function properties for first
    8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 2 barriers, 24 bytes cumulative stack size, 96 bytes smem
ptxas info    : Compiling entry function 'second' for 'sm_90a'
ptxas info    : Function properties for second
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, 380 bytes cmem[0]
"""
    assert cuda_compile.read_resources(log) == {
        "first": Resources(40, 24, 4, 8, 96, 2),
        "second": Resources(12),
    }
