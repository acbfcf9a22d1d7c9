// Where a compiled kernel's accesses to memory arrive.
//
// Kernels are compiled with -fsanitize=thread, which calls __tsan_read4(address) and the like before each
// access that others may see; these calls end here rather than in a library, and so does what
// -fsanitize=bounds, alignment, shift and integer-divide-by-zero find. memcpy and its like, which the
// compiler does not look into, are linked to the checked ones below.
#include <algorithm>

#include "scheduler.h"

namespace dlcli {
namespace {

constexpr unsigned PATIENCE = 64;  // polls until others get a turn

// A thread that polls a word until another writes it must let the other run.
void poll() {
    if (++S.fibre->polls % PATIENCE) return;
    S.yields++;
    S.fibre->status = READY;
    leave(*S.fibre);
}

void volatile_read(const void* p, size_t size, const void* pc) {
    poll();
    read_volatile(p, size, pc);
    acquire(reinterpret_cast<uintptr_t>(p));
}

void volatile_write(const void* p, size_t size, const void* pc) {
    write_volatile(p, size, pc);
    release(reinterpret_cast<uintptr_t>(p), false);
}

void arrive(const Copy& copy, const void* pc) {
    Cell* cell = shared_cell(reinterpret_cast<uintptr_t>(copy.to), copy.bytes, pc);
    for (unsigned i = 0; i < copy.bytes / 4; i++) {
        cell[i].arriving = 0;
        uint32_t from = cell[i].write.pc;  // others may read it after the next barrier, not before
        cell[i].write = access_now(pc);
        cell[i].write.pc = from;
        cell[i].parts = 0;
    }
    memcpy(copy.to, copy.from, copy.valid);
    memset(copy.to + copy.valid, 0, copy.bytes - copy.valid);
}

}  // namespace
}  // namespace dlcli

using namespace dlcli;
#define CALLER __builtin_return_address(0)
#define TSAN_ACCESS(size)                                                                          \
    void __tsan_read##size(void* p) { dlcli::read(p, size, CALLER); }                              \
    void __tsan_write##size(void* p) { dlcli::write(p, size, CALLER); }                            \
    void __tsan_unaligned_read##size(void* p) { dlcli::read(p, size, CALLER); }                    \
    void __tsan_unaligned_write##size(void* p) { dlcli::write(p, size, CALLER); }                  \
    void __tsan_volatile_read##size(void* p) { volatile_read(p, size, CALLER); }                   \
    void __tsan_volatile_write##size(void* p) { volatile_write(p, size, CALLER); }                 \
    void __tsan_unaligned_volatile_read##size(void* p) { volatile_read(p, size, CALLER); }         \
    void __tsan_unaligned_volatile_write##size(void* p) { volatile_write(p, size, CALLER); }

extern "C" {
TSAN_ACCESS(1)
TSAN_ACCESS(2)
TSAN_ACCESS(4)
TSAN_ACCESS(8)
TSAN_ACCESS(16)
void __tsan_read_range(void* p, size_t size) { dlcli::read(p, size, CALLER); }
void __tsan_write_range(void* p, size_t size) { dlcli::write(p, size, CALLER); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

void __ubsan_handle_out_of_bounds(void*, void*) { wrong(CALLER, "an index is outside of its array"); }
void __ubsan_handle_type_mismatch_v1(void*, void*) {
    wrong(CALLER, "an address is not aligned for its type, or is null");
}
void __ubsan_handle_divrem_overflow(void*, void*, void*) { wrong(CALLER, "divides by zero"); }
void __ubsan_handle_shift_out_of_bounds(void*, void*, void*) {
    wrong(CALLER, "shifts by less than zero or by more bits than there are");
}

void* __wrap_memcpy(void* to, const void* from, size_t size) {
    if (size) dlcli::read(from, size, CALLER), dlcli::write(to, size, CALLER);
    return memcpy(to, from, size);
}
void* __wrap_memmove(void* to, const void* from, size_t size) {
    if (size) dlcli::read(from, size, CALLER), dlcli::write(to, size, CALLER);
    return memmove(to, from, size);
}
void* __wrap_memset(void* to, int value, size_t size) {
    if (size) dlcli::write(to, size, CALLER);
    return memset(to, value, size);
}

void dlcli_check_read(const void* p, size_t size) { dlcli::read(p, size, CALLER); }
void dlcli_check_write(const void* p, size_t size) { dlcli::write(p, size, CALLER); }
void dlcli_check_atomic(const void* p, size_t size) {
    poll();
    read_and_write(p, size, CALLER);
    acquire(reinterpret_cast<uintptr_t>(p));
    release(reinterpret_cast<uintptr_t>(p), false);
}
int dlcli_is_shared(const void* p) { return shared_cell(reinterpret_cast<uintptr_t>(p), 1, CALLER) != nullptr; }
void dlcli_fence(int of_block) { fence(of_block); }

void dlcli_async_copy(void* to, const void* from, unsigned bytes, unsigned valid) {
    if ((bytes != 4 && bytes != 8 && bytes != 16) || valid > bytes)
        wrong(CALLER, "an asynchronous copy moves 4, 8 or 16 bytes");
    auto address = reinterpret_cast<uintptr_t>(to);
    if (address % bytes || (valid && reinterpret_cast<uintptr_t>(from) % bytes))
        wrong(CALLER, "an asynchronous copy's address is not aligned to its size");
    if (valid) dlcli::read(from, valid, CALLER);
    Cell* cell = shared_cell(address, bytes, CALLER);
    if (!cell) wrong(CALLER, "an asynchronous copy goes outside of shared memory");
    dlcli::write(to, bytes, CALLER);
    for (unsigned i = 0; i < bytes / 4; i++) cell[i].arriving = 1;
    S.fibre->copies.push_back({static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), bytes,
                               valid, S.fibre->groups});
}

void dlcli_async_commit() { S.fibre->groups++; }

void dlcli_async_wait(unsigned left) {
    auto& copies = S.fibre->copies;
    auto pending = std::stable_partition(copies.begin(), copies.end(), [&](const Copy& c) {
        return c.group + left < S.fibre->groups;
    });
    for (auto copy = copies.begin(); copy != pending; ++copy) arrive(*copy, CALLER);
    copies.erase(copies.begin(), pending);
}
}
