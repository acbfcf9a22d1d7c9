// The emulator's checks of memory: every load and store of a kernel, as the compiler reports them.
//
// Kernels are compiled with -fsanitize=thread, which calls __tsan_read4(address) and the like before
// each access that others may see; these calls end here rather than in a library. A word of shared
// memory remembers who wrote and who read it last, and in which epoch (between which barriers): an
// access of another thread in the same epoch, one of the two a store, is a race. A word of a writable
// buffer remembers the block, too: blocks are not ordered at all. What -fsanitize=bounds, alignment
// and integer-divide-by-zero find ends here as well.
#include "scheduler.h"

#include <algorithm>

namespace dlcli {
namespace {

constexpr uint16_t MANY = 0xffff;            // a word was read by several threads
constexpr uint16_t MANY_WARPS = 0xffff;      // … of several warps
constexpr uint32_t MANY_BLOCKS = 0xffffffff; // … of several blocks

struct GlobalAccess { uint32_t block, epoch, phase, pc; uint16_t tid, order, warp; };
struct GlobalCell { GlobalAccess write, read; };

std::vector<Buffer> buffers;
std::vector<std::vector<GlobalCell>> global_cells;

uint32_t offset_of(const void* pc) { return static_cast<const unsigned char*>(pc) - S.image_begin; }
uint16_t order_now() { return static_cast<uint16_t>(S.block->warp_epochs[S.warp]); }
uint8_t bytes_at(uintptr_t address, size_t size) { return ((1u << size) - 1) << (address & 3); }

void describe(int which, const void* pc, Index thread, Index block) {
    S.found.pc[which] = pc;
    S.found.thread[which] = thread;
    S.found.block[which] = block;
    S.found.count = which + 1;
}

void begin_report(const void* pc, const char* what) {
    S.failed = true;
    snprintf(S.found.what, sizeof S.found.what, "%s", what);
    S.found.argument = -1;
    describe(0, pc, S.fibre->index, S.block->index);
}

constexpr Index UNKNOWN{~0u, ~0u, ~0u};

[[noreturn]] void race(const void* pc, const char* what, uint32_t earlier, unsigned tid, uint32_t block) {
    begin_report(pc, what);
    Index thread = tid < S.threads ? S.block->fibres[tid].index : UNKNOWN;
    Index other = block == MANY_BLOCKS ? UNKNOWN
                                       : Index{block % S.grid.x, block / S.grid.x % S.grid.y,
                                               block / S.grid.x / S.grid.y};
    describe(1, S.image_begin + earlier, thread, other);
    stop_fibre();
}

[[noreturn]] void wrong(const void* pc, const char* what) {
    begin_report(pc, what);
    stop_fibre();
}

// --- shared memory ---------------------------------------------------------------------------------

void fresh(Cell& c) {
    if (c.owner == S.block->first_epoch) return;
    c = Cell{};
    c.owner = S.block->first_epoch;
}

void check_arrived(const Cell& c, const void* pc) {
    if (c.arriving)
        race(pc, "shared memory is used before the asynchronous copy into it was waited for", c.write_pc,
             c.write_tid, S.block->number);
}

void check_against_write(const Cell& c, uint8_t bytes, const void* pc, const char* what) {
    if (c.write_epoch != S.block->epoch || c.write_tid == S.tid || !(c.write_bytes & bytes)) return;
    if (c.write_tid / 32u == S.warp && c.write_order != order_now()) return;
    race(pc, what, c.write_pc, c.write_tid, S.block->number);
}

void shared_read(Cell& c, uint8_t bytes, const void* pc) {
    fresh(c);
    check_arrived(c, pc);
    check_against_write(c, bytes, pc,
                        "race: reads shared memory that another thread writes, with no barrier between");
    if ((c.written & bytes) != bytes) wrong(pc, "reads shared memory that nobody has written");
    if (c.read_epoch != S.block->epoch) {
        c.read_epoch = S.block->epoch;
        c.read_tid = S.tid;
        c.read_warp = S.warp;
        c.read_bytes = 0;
    } else if (c.read_tid != S.tid) {
        c.read_tid = MANY;
        if (c.read_warp != S.warp) c.read_warp = MANY_WARPS;
    }
    c.read_order = order_now();
    c.read_pc = offset_of(pc);
    c.read_bytes |= bytes;
}

void shared_write(Cell& c, uint8_t bytes, const void* pc) {
    fresh(c);
    check_arrived(c, pc);
    check_against_write(c, bytes, pc,
                        "race: two threads write one word of shared memory with no barrier between");
    if (c.read_epoch == S.block->epoch && c.read_tid != S.tid && (c.read_bytes & bytes) &&
        !(c.read_warp == S.warp && c.read_order != order_now()))
        race(pc, "race: writes shared memory that another thread reads, with no barrier between", c.read_pc,
             c.read_tid, S.block->number);
    c.write_epoch = S.block->epoch;
    c.write_tid = S.tid;
    c.write_order = order_now();
    c.write_pc = offset_of(pc);
    c.write_bytes = bytes;
    c.written |= bytes;
}

void shared_atomic(Cell& c, uint8_t bytes, const void* pc) {  // atomic operations do not race each other
    fresh(c);
    check_arrived(c, pc);
    if ((c.written & bytes) != bytes) wrong(pc, "reads shared memory that nobody has written");
}

using SharedCheck = void (*)(Cell&, uint8_t, const void*);

// The shared word at an address, or null: static words come first, dynamic ones after them.
inline Cell* cell_at(uintptr_t address, size_t size, const void* pc) {
    auto begin = reinterpret_cast<uintptr_t>(S.static_begin);
    if (address - begin < S.static_bytes) return &S.block->cells[address / 4 - begin / 4];
    uintptr_t at = address - reinterpret_cast<uintptr_t>(S.dynamic);
    if (at >= S.dynamic_bytes) return nullptr;
    if (at + size > S.dynamic_bytes) wrong(pc, "reaches past the end of dynamic shared memory");
    return &S.block->cells[S.static_bytes / 4 + 2 + at / 4];
}

template <SharedCheck check>
inline bool in_shared(uintptr_t address, size_t size, const void* pc) {
    Cell* cell = cell_at(address, size, pc);
    if (!cell) return false;
    for (size_t done = 0; done < size; cell++) {
        size_t part = std::min<size_t>(4 - ((address + done) & 3), size - done);
        check(*cell, bytes_at(address + done, part), pc);
        done += part;
    }
    return true;
}

// --- buffers ---------------------------------------------------------------------------------------

[[noreturn]] void outside(uintptr_t address, size_t size, bool write, const void* pc) {
    const Buffer* nearest = nullptr;
    long long best = 1ll << 62, from_start = 0;
    for (const Buffer& b : buffers) {
        auto begin = reinterpret_cast<uintptr_t>(b.begin), end = reinterpret_cast<uintptr_t>(b.end);
        long long away = address < begin ? begin - address : address + size - end;
        if (away < best) best = away, nearest = &b, from_start = static_cast<long long>(address - begin);
    }
    if (S.dynamic_bytes && address - reinterpret_cast<uintptr_t>(S.dynamic) < S.dynamic_bytes + 65536)
        wrong(pc, "reaches past the end of dynamic shared memory");
    char text[160];
    snprintf(text, sizeof text, "%s %zu bytes outside of every array", write ? "writes" : "reads", size);
    begin_report(pc, text);
    if (nearest) {
        S.found.argument = nearest->argument;
        S.found.offset = from_start;
    }
    stop_fibre();
}

void global_access(GlobalCell& c, bool write, const void* pc) {
    Block& block = *S.block;
    auto clashes = [&](const GlobalAccess& a) {
        if (a.phase != S.phase) return false;
        if (a.block != block.number) return true;
        if (a.epoch != block.epoch || a.tid == S.tid) return false;
        return !(a.warp == S.warp && a.order != order_now());
    };
    if (clashes(c.write))
        race(pc, write ? "race: two threads write one element, in blocks or threads that nothing orders"
                       : "race: reads an element that another thread writes, and nothing orders the two",
             c.write.pc, c.write.block == block.number ? c.write.tid : MANY, c.write.block);
    if (write && clashes(c.read))
        race(pc, "race: writes an element that another thread reads, and nothing orders the two", c.read.pc,
             c.read.block == block.number ? c.read.tid : MANY, c.read.block);
    GlobalAccess now{block.number, block.epoch, S.phase, offset_of(pc), S.tid, order_now(),
                     static_cast<uint16_t>(S.warp)};
    if (write) {
        c.write = now;
        return;
    }
    const GlobalAccess& last = c.read;
    if (last.phase == S.phase) {  // several readers: the least that a later write must be ordered after
        if (last.block != block.number) now.block = MANY_BLOCKS;
        else if (last.epoch == block.epoch && last.tid != S.tid) {
            now.tid = MANY;
            if (last.warp != S.warp) now.warp = MANY_WARPS;
        }
    }
    c.read = now;
}

// Constants of the kernel's file, the arguments themselves, and what lanes deposited in a collective.
bool is_own(uintptr_t address) {
    auto within = [&](const void* begin, const void* end) {
        return address >= reinterpret_cast<uintptr_t>(begin) && address < reinterpret_cast<uintptr_t>(end);
    };
    const auto& deposits = S.block->deposits;
    return within(S.image_begin, S.image_end) || within(S.args, S.args + S.entry->count) ||
           within(S.values_begin, S.values_end) || within(deposits.data(), deposits.data() + deposits.size());
}

void in_buffer(uintptr_t address, size_t size, bool write, bool atomic, const void* pc) {
    for (size_t i = 0; i < buffers.size(); i++) {
        const Buffer& b = buffers[i];
        uintptr_t at = address - reinterpret_cast<uintptr_t>(b.begin);
        if (at >= static_cast<uintptr_t>(b.end - b.begin)) continue;
        if (at + size > static_cast<uintptr_t>(b.end - b.begin)) break;
        if (write && !b.writable) wrong(pc, "writes to an array that the kernel declares const");
        if (b.writable && !atomic)
            for (uintptr_t cell = at / b.grain; cell <= (at + size - 1) / b.grain; cell++)
                global_access(global_cells[i][cell], write, pc);
        if (i) {
            std::swap(buffers[i], buffers[0]);  // the next access is likely to be of the same array
            std::swap(global_cells[i], global_cells[0]);
        }
        return;
    }
    if (!write && is_own(address)) return;
    outside(address, size, write, pc);
}

inline bool on_stack(uintptr_t address) {
    return address - reinterpret_cast<uintptr_t>(S.fibre->stack) < S.fibre->stack_size;
}

inline void spend(const void* pc) {
    if (!S.budget--) wrong(pc, "does not end: more accesses to memory than any case needs");
}

inline void read(const void* p, size_t size, const void* pc) {
    auto address = reinterpret_cast<uintptr_t>(p);
    spend(pc);
    if (in_shared<shared_read>(address, size, pc) || on_stack(address)) return;
    in_buffer(address, size, false, false, pc);
}

inline void write(const void* p, size_t size, const void* pc) {
    auto address = reinterpret_cast<uintptr_t>(p);
    spend(pc);
    if (in_shared<shared_write>(address, size, pc) || on_stack(address)) return;
    in_buffer(address, size, true, false, pc);
}

void arrive(const Copy& copy, const void* pc) {
    Cell* cell = cell_at(reinterpret_cast<uintptr_t>(copy.to), copy.bytes, pc);
    for (unsigned i = 0; i < copy.bytes / 4; i++) {
        cell[i].arriving = 0;
        cell[i].write_epoch = S.block->epoch;  // others may read it after the next barrier, not before
        cell[i].write_tid = S.tid;
        cell[i].write_order = order_now();
    }
    memcpy(copy.to, copy.from, copy.valid);
    memset(copy.to + copy.valid, 0, copy.bytes - copy.valid);
}

}  // namespace

void report(const void* pc, const char* what) { begin_report(pc, what); }

void report_two(const void* pc, const void* earlier, const char* what) {
    begin_report(pc, what);
    describe(1, earlier, UNKNOWN, UNKNOWN);
}

void set_buffers(const Buffer* given, int count) {
    buffers.assign(given, given + count);
    global_cells.resize(count);
    for (int i = 0; i < count; i++) {
        global_cells[i].clear();
        if (given[i].writable) global_cells[i].resize((given[i].end - given[i].begin) / given[i].grain + 1);
    }
}

}  // namespace dlcli

using namespace dlcli;
#define CALLER __builtin_return_address(0)
#define TSAN_ACCESS(size)                                                                          \
    void __tsan_read##size(void* p) { dlcli::read(p, size, CALLER); }                              \
    void __tsan_write##size(void* p) { dlcli::write(p, size, CALLER); }                            \
    void __tsan_unaligned_read##size(void* p) { dlcli::read(p, size, CALLER); }                    \
    void __tsan_unaligned_write##size(void* p) { dlcli::write(p, size, CALLER); }

extern "C" {
TSAN_ACCESS(1)
TSAN_ACCESS(2)
TSAN_ACCESS(4)
TSAN_ACCESS(8)
TSAN_ACCESS(16)
void __tsan_volatile_read4(void* p) { dlcli::read(p, 4, CALLER); }
void __tsan_volatile_write4(void* p) { dlcli::write(p, 4, CALLER); }
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

void dlcli_check_read(const void* p, size_t size) { dlcli::read(p, size, CALLER); }
void dlcli_check_write(const void* p, size_t size) { dlcli::write(p, size, CALLER); }
void dlcli_check_atomic(const void* p, size_t size) {
    auto address = reinterpret_cast<uintptr_t>(p);
    spend(CALLER);
    if (in_shared<shared_atomic>(address, size, CALLER) || on_stack(address)) return;
    in_buffer(address, size, true, true, CALLER);
}

void dlcli_async_copy(void* to, const void* from, unsigned bytes, unsigned valid) {
    if ((bytes != 4 && bytes != 8 && bytes != 16) || valid > bytes)
        wrong(CALLER, "an asynchronous copy moves 4, 8 or 16 bytes");
    auto address = reinterpret_cast<uintptr_t>(to);
    if (address % bytes || (valid && reinterpret_cast<uintptr_t>(from) % bytes))
        wrong(CALLER, "an asynchronous copy's address is not aligned to its size");
    if (valid) dlcli::read(from, valid, CALLER);
    if (!in_shared<shared_write>(address, bytes, CALLER))
        wrong(CALLER, "an asynchronous copy goes outside of shared memory");
    Cell* cell = cell_at(address, bytes, CALLER);
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
