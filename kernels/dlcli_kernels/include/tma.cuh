// Bulk copies from global to shared memory (TMA, sm_90) and the barriers in shared memory that they arrive
// at: PTX on the GPU, the emulator's model otherwise.
//
// A barrier counts arrivals of threads and bytes of copies. When both are complete its phase ends and the
// next begins: phases have the parities 0, 1, 0, …, and mbarrier_wait(bar, p) returns once the phase of
// parity p has ended (at once for p = 1 on a new barrier).
#pragma once
#include "dlcli.cuh"

// How a copy sees its matrix: a parameter `const __grid_constant__ TensorMap map`, from raw.TensorMap.
#ifdef DLCLI_EMULATE
struct TensorMap { unsigned char bytes[128]; };

__device__ __forceinline__ uint32_t shared_address(const void* p) { return dlcli_shared_address(p); }
__device__ __forceinline__ void mbarrier_init(uint64_t* bar, int count) { dlcli_mbarrier_init(bar, count); }
__device__ __forceinline__ void mbarrier_init_done() {}
__device__ __forceinline__ void mbarrier_arrive(uint64_t* bar) { dlcli_mbarrier_arrive(bar, 0); }
__device__ __forceinline__ void mbarrier_expect(uint64_t* bar, int bytes) { dlcli_mbarrier_arrive(bar, bytes); }
#define mbarrier_wait(bar, parity) dlcli_mbarrier_wait(bar, parity, __FILE__, __LINE__)
__device__ __forceinline__ void tma_load(void* to, const TensorMap& map, int col, int row, uint64_t* bar) {
    dlcli_tma_load(to, map.bytes, col, row, bar);
}
template <int REGISTERS> __device__ __forceinline__ void fewer_registers() {}
template <int REGISTERS> __device__ __forceinline__ void more_registers() {}
#else
struct alignas(64) TensorMap { unsigned char bytes[128]; };

__device__ __forceinline__ uint32_t shared_address(const void* p) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
__device__ __forceinline__ void mbarrier_init(uint64_t* bar, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(count) : "memory");
}
// Makes new barriers known to copies; a barrier of the block makes them known to its threads.
__device__ __forceinline__ void mbarrier_init_done() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void mbarrier_arrive(uint64_t* bar) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(bar)) : "memory");
}
// Arrives, and says how many bytes are copied in this phase.
__device__ __forceinline__ void mbarrier_expect(uint64_t* bar, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(bar)), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void mbarrier_wait(uint64_t* bar, uint32_t parity) {
    uint32_t ended = 0;
    while (!ended)
        asm volatile(
            "{\n.reg .pred p;\n"
            "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
            "selp.u32 %0, 1, 0, p;\n}"
            : "=r"(ended)
            : "r"(shared_address(bar)), "r"(parity)
            : "memory");
}
// Starts copying the map's box that begins at (row, col) to shared memory, on a boundary of 128 bytes (1024
// with a swizzle of 128 that shall begin with it). What lies outside of the matrix is zeros; it counts.
__device__ __forceinline__ void tma_load(void* to, const TensorMap& map, int col, int row, uint64_t* bar) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], "
        "[%2];" ::"r"(shared_address(to)),
        "l"(&map), "r"(shared_address(bar)), "r"(col), "r"(row)
        : "memory");
}
// All warps of a group of 128 threads give registers back, or take more.
template <int REGISTERS> __device__ __forceinline__ void fewer_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
template <int REGISTERS> __device__ __forceinline__ void more_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
#endif
