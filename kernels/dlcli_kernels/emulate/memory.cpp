// The emulator's checks of memory: every load and store of a kernel ends here.
//
// A cell stands for a word of shared memory or an element of a writable buffer, and remembers who wrote
// and who read it last. An access that order.cpp does not know to be ordered after an earlier one of
// another thread, one of the two a store, is a race; also where both would write the same value.
#include <sys/mman.h>

#include <algorithm>

#include "scheduler.h"

namespace dlcli {
namespace {

std::vector<Buffer> buffers;
std::vector<std::vector<Cell>> buffer_cells;
Parts buffer_parts;

enum Kind { READ, WRITE, VOLATILE_READ, VOLATILE_WRITE, ATOMIC };
constexpr bool loads(Kind kind) { return kind == READ || kind == VOLATILE_READ || kind == ATOMIC; }
constexpr bool stores(Kind kind) { return kind == WRITE || kind == VOLATILE_WRITE || kind == ATOMIC; }

constexpr Index UNKNOWN{~0u, ~0u, ~0u};

void describe(int which, const void* pc, Index thread, Index block) {
    S.found.pc[which] = pc;
    S.found.thread[which] = thread;
    S.found.block[which] = block;
    S.found.count = which + 1;
}

Index block_index(unsigned number) {
    return {number % S.grid.x, number / S.grid.x % S.grid.y, number / S.grid.x / S.grid.y};
}

[[noreturn]] void clash(const void* pc, const char* what, const Access& earlier) {
    report(pc, what);
    describe(1, S.image_begin + earlier.pc, earlier.tid == MANY ? UNKNOWN : index_of(earlier.tid),
             earlier.block == MANY_BLOCKS ? UNKNOWN : block_index(earlier.block));
    stop_fibre();
}

struct Words { const char *write_write, *write_read, *read_write; };
constexpr Words SHARED{"race: two threads write one word of shared memory with no barrier between",
                       "race: writes shared memory that another thread reads, with no barrier between",
                       "race: reads shared memory that another thread writes, with no barrier between"};
constexpr Words BUFFER{"race: two threads write one element, in blocks or threads that nothing orders",
                       "race: writes an element that another thread reads, and nothing orders the two",
                       "race: reads an element that another thread writes, and nothing orders the two"};

// A read joins the readers that it is not ordered after; a later write must be ordered after them all.
inline void join(Cell& c, const Access& now) {
    Access& read = c.read;
    bool mine = read.block == now.block;
    bool same = mine && read.epoch == now.epoch && read.tid == now.tid;
    if (same || in_order(read, c.lanes)) {
        bool atomic = now.atomic && (!same || read.atomic);
        read = now;
        read.atomic = atomic;
        c.lanes = lane_bit(now);
        return;
    }
    read.atomic &= now.atomic;
    read.pc = now.pc;
    read.epoch = now.epoch;
    read.order = now.order;
    read.tid = MANY;
    if (!mine) read.block = MANY_BLOCKS;
    if (read.warp != now.warp) read.warp = MANY;
    c.lanes |= lane_bit(now);
}

template <Kind kind>
inline void check(Cell& c, const void* pc, const Words& words) {
    constexpr bool writes = stores(kind), atomic = kind != READ && kind != WRITE;
    const Block& b = *S.block;
    auto clashes = [&](const Access& a, unsigned lanes) {
        if (a.epoch < S.phase || (a.block == b.number && (a.epoch != b.epoch || a.tid == S.tid))) return false;
        return !(atomic && a.atomic) && !in_order(a, lanes);
    };
    if (clashes(c.write, lane_bit(c.write))) clash(pc, writes ? words.write_write : words.read_write, c.write);
    if (writes && clashes(c.read, c.lanes)) clash(pc, words.write_read, c.read);
    Access now = access_now(pc);
    now.atomic = atomic;
    if (writes) c.write = now;
    else join(c, now);
}

// The same for the bytes that the bits of `bytes` stand for, of a cell of `full`.
template <Kind kind>
inline void check_bytes(Cell& c, unsigned bytes, unsigned full, Parts& parts, const void* pc, const Words& words) {
    if (__builtin_expect(bytes == full && !c.parts, 1)) return check<kind>(c, pc, words);
    if (!c.parts) {
        parts.push_back({c, c, c, c});
        c.parts = parts.size();
    }
    for (int i = 0; i < 4; i++)
        if (bytes >> i & 1) check<kind>(parts[c.parts - 1][i], pc, words);
}

// --- shared memory ---------------------------------------------------------------------------------

template <Kind kind>
inline bool in_shared(uintptr_t address, size_t size, const void* pc) {
    Cell* cell = shared_cell(address, size, pc);
    if (!cell) return false;
    for (size_t done = 0; done < size; cell++) {
        size_t part = std::min<size_t>(4 - ((address + done) & 3), size - done);
        unsigned bytes = ((1u << part) - 1) << ((address + done) & 3);
        fresh(*cell);
        if (cell->arriving)
            clash(pc, "shared memory is used before the asynchronous copy into it was waited for", cell->write);
        check_bytes<kind>(*cell, bytes, 0xf, S.block->parts, pc, SHARED);
        if (loads(kind) && (cell->written & bytes) != bytes) wrong(pc, "reads shared memory that nobody has written");
        if (stores(kind)) cell->written |= bytes;
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
    bool null = address < 1 << 16;
    snprintf(text, sizeof text, "%s %zu bytes %s", write ? "writes" : "reads", size,
             null ? "at a null pointer" : "outside of every array");
    report(pc, text);
    if (nearest && !null) {
        S.found.argument = nearest->argument;
        S.found.offset = from_start;
    }
    stop_fibre();
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

template <Kind kind>
inline void in_buffer(uintptr_t address, size_t size, const void* pc) {
    constexpr bool write = stores(kind);
    for (size_t i = 0; i < buffers.size(); i++) {
        const Buffer& b = buffers[i];
        uintptr_t at = address - reinterpret_cast<uintptr_t>(b.begin);
        if (at >= static_cast<uintptr_t>(b.end - b.begin)) continue;
        if (at + size > static_cast<uintptr_t>(b.end - b.begin)) break;
        if (write && !b.writable) wrong(pc, "writes to an array that the kernel declares const");
        if (b.writable) {
            unsigned grain = b.grain, full = (1u << grain) - 1;
            for (uintptr_t done = 0; done < size;) {
                unsigned in = (at + done) % grain, part = std::min<size_t>(grain - in, size - done);
                check_bytes<kind>(buffer_cells[i][(at + done) / grain], ((1u << part) - 1) << in, full,
                                  buffer_parts, pc, BUFFER);
                done += part;
            }
        }
        if (i) {
            std::swap(buffers[i], buffers[0]);  // the next access is likely to be of the same array
            std::swap(buffer_cells[i], buffer_cells[0]);
        }
        return;
    }
    if (!write && is_own(address)) return;
    outside(address, size, write, pc);
}

template <Kind kind> inline void access_of(const void* p, size_t size, const void* pc) {
    auto address = reinterpret_cast<uintptr_t>(p);
    S.pc = pc;
    if (!S.budget--) wrong(pc, "does not end: more accesses to memory than any case needs");
    if (in_shared<kind>(address, size, pc)) return;
    if (address - reinterpret_cast<uintptr_t>(S.fibre->stack.base) < STACK) return;
    in_buffer<kind>(address, size, pc);
}

}  // namespace

void read(const void* p, size_t size, const void* pc) { access_of<READ>(p, size, pc); }
void write(const void* p, size_t size, const void* pc) { access_of<WRITE>(p, size, pc); }
void read_volatile(const void* p, size_t size, const void* pc) { access_of<VOLATILE_READ>(p, size, pc); }
void write_volatile(const void* p, size_t size, const void* pc) { access_of<VOLATILE_WRITE>(p, size, pc); }
void read_and_write(const void* p, size_t size, const void* pc) { access_of<ATOMIC>(p, size, pc); }

Index index_of(unsigned tid) {
    Index extent = S.block_extent;
    return {tid % extent.x, tid / extent.x % extent.y, tid / extent.x / extent.y};
}

void report(const void* pc, const char* what) {
    S.failed = true;
    snprintf(S.found.what, sizeof S.found.what, "%s", what);
    S.found.argument = -1;
    describe(0, pc, S.fibre->index, S.block->index);
}

void report_two(const void* pc, const void* earlier, const char* what) {
    report(pc, what);
    describe(1, earlier, UNKNOWN, UNKNOWN);
}

void wrong(const void* pc, const char* what) {
    report(pc, what);
    stop_fibre();
}

void set_buffers(const Buffer* given, int count) {
    buffers.assign(given, given + count);
    buffer_parts.clear();
    buffer_cells.resize(count);
    for (int i = 0; i < count; i++) {
        buffer_cells[i].clear();
        if (given[i].writable) buffer_cells[i].resize((given[i].end - given[i].begin) / given[i].grain + 1);
    }
}

}  // namespace dlcli

// Room for argument number `slot` of a launch, where the next is 64 GB away if the system allows: an index of
// 32 bits that misses one array does not land in another. Null: there is none. It stays for the next launch.
extern "C" void* dlcli_place(int slot, size_t bytes) {
    struct Slot { void* at; size_t bytes; };
    static std::vector<Slot> slots;
    if (slots.size() <= static_cast<size_t>(slot)) slots.resize(slot + 1);
    Slot& s = slots[slot];
    if (s.bytes >= bytes && s.at) return s.at;
    if (s.at) munmap(s.at, s.bytes);
    size_t rounded = (bytes + (bytes >> 1) + 0x10000) & ~size_t(0xffff);  // never nothing, which cannot be mapped
    auto* wanted = reinterpret_cast<void*>((uintptr_t(1) << 44) + (uintptr_t(slot) << 36) + (uintptr_t(1) << 35));
    for (int flags : {MAP_FIXED_NOREPLACE, 0}) {
        void* at = mmap(wanted, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
        s = {at == MAP_FAILED ? nullptr : at, rounded};
        if (s.at) break;
    }
    return s.at;
}
