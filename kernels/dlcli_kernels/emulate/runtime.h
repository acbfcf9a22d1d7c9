// What the emulator's runtime offers to a kernel compiled for the CPU (C linkage; see runtime.cpp).
#pragma once
#include <cstddef>
#include <cstdint>

namespace dlcli {

struct Index { unsigned x, y, z; };

// One parameter of a kernel, for the check of what it is called with.
enum Kind : int { SIGNED, UNSIGNED, FLOATING, POINTER, CONST_POINTER, OTHER };
struct Param { int kind; int size; int to_kind; int to_size; };  // to_*: what a pointer points to

struct Entry {
    const char* name;
    void (*call)(void** args);
    const Param* params;
    int count;
    int most_threads;        // of __launch_bounds__; 0: none
    const char* restricted;  // for each parameter whether it is __restrict__, 0 or 1
};

}  // namespace dlcli

extern "C" {
dlcli::Index dlcli_thread_index() __attribute__((const));
dlcli::Index dlcli_block_index() __attribute__((const));
dlcli::Index dlcli_block_extent() __attribute__((const));
dlcli::Index dlcli_grid_extent() __attribute__((const));
void* dlcli_dynamic_shared() __attribute__((const));
int dlcli_lane_index() __attribute__((const));
unsigned dlcli_lanes() __attribute__((const));  // those of the warp that exist

// Waits for every thread of the block (of the grid). Two threads must wait at the same line. counter: counts the
// blocks that have arrived, from a multiple of all of them on.
void dlcli_block_barrier(const char* file, int line);
void dlcli_grid_barrier(unsigned* counter, const char* file, int line);

// A collective of the lanes in `mask`: deposits `size` bytes (at most 64), waits until all of them
// have, and gives the deposits, 64 bytes per lane, valid until the warp's next collective. `memory`:
// also orders the lanes' accesses to memory, as __syncwarp does and a shuffle does not.
const unsigned char* dlcli_collective(
    unsigned mask, const void* deposit, size_t size, bool memory, const char* file, int line);

// A copy of `bytes` into shared memory, `valid` of them from `from`, the rest zeros, that arrives at
// the wait and not before.
void dlcli_async_copy(void* to, const void* from, unsigned bytes, unsigned valid);
void dlcli_async_commit();
void dlcli_async_wait(unsigned groups_left);

// Hopper's barriers in shared memory, bulk copies and products of a warpgroup (hopper.cpp; include/tma.cuh and
// wgmma.cuh). bytes: that are copied in this phase. d: 64 results of the thread.
unsigned dlcli_shared_address(const void* p);
void dlcli_mbarrier_init(void* bar, unsigned count);
void dlcli_mbarrier_arrive(void* bar, unsigned bytes);
void dlcli_mbarrier_wait(void* bar, unsigned parity, const char* file, int line);
void dlcli_tma_load(void* to, const unsigned char* map, int col, int row, void* bar);
void dlcli_wgmma(float* d, uint64_t a, uint64_t b, int a_deep, int b_deep, int add);
void dlcli_wgmma_commit();
void dlcli_wgmma_wait(unsigned groups_left);

// Checks an access that the compiler does not see, such as an atomic operation's.
void dlcli_check_read(const void* address, size_t size);
void dlcli_check_write(const void* address, size_t size);
void dlcli_check_atomic(const void* address, size_t size);
int dlcli_is_shared(const void* address);
void dlcli_fence(int of_block);  // __threadfence, __threadfence_block
[[noreturn]] void dlcli_fail(const char* what);
}
