// What the files of the emulator's runtime share: its records, and what each offers to the others.
#pragma once
#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "runtime.h"

namespace dlcli {

enum Status { READY, AT_BARRIER, AT_GRID_BARRIER, AT_COLLECTIVE, AT_MBARRIER, DONE };
enum Order { FORWARD, REVERSE, SHUFFLED };

// What a thread knows of others' accesses by way of atomic operations (order.cpp): the first `count`
// releases to the word at `address`.
struct Seen { uintptr_t address; size_t count; };

struct Copy { unsigned char* to; const unsigned char* from; unsigned bytes, valid, group; };

// hopper.cpp: a bulk copy under way; a barrier in shared memory; a product that was not waited for.
struct BulkCopy { unsigned char* to; unsigned char map[128]; int col, row; };
struct MBarrier {
    unsigned count = 0, pending = 0, phase = 0;  // arrivals of a phase, and those that are still to come
    long long bytes = 0;                         // expected and not copied yet
    uint32_t epoch = 0;                          // when it was initialised, and by whom
    uint16_t tid = 0;
    std::vector<BulkCopy> copies;
};
struct Wgmma { float* d; uint64_t a, b; bool a_deep, b_deep, add; unsigned group; const void* pc; };

// fibre.cpp: a stack of STACK bytes, its lowest page a guard; taken from those that were given back.
constexpr size_t STACK = 128 * 1024, GUARD = 4096;
struct Stack {
    char* base = nullptr;
    void* context = nullptr;  // what the fibre on it goes on with
    Stack() = default;
    Stack(Stack&& other) noexcept { std::swap(base, other.base), std::swap(context, other.context); }
    ~Stack();
    bool map();  // false: the system gives no more
};

struct Fibre {
    Stack stack;
    Status status = READY;
    Index index{};
    int lane = 0;
    const char* file = nullptr;  // where it waits
    int line = 0;
    const void* pc = nullptr;
    unsigned mask = 0;  // of its collective
    bool orders_memory = false;
    unsigned turn = 0;  // which set of deposits its next collective uses
    std::vector<Copy> copies;  // asynchronous ones that have not arrived
    unsigned groups = 0;       // of them, committed so far
    std::vector<Wgmma> wgmmas;
    unsigned wgmma_groups = 0;
    uintptr_t barrier = 0;  // in shared memory, that it waits for, until the phase of `parity` has ended
    unsigned parity = 0;
    unsigned polls = 0;  // atomic and volatile accesses so far
    std::vector<Seen> seen;
    std::shared_ptr<const struct Release> fence;  // what its last fence makes known
};

// The last access of its kind to a cell. An epoch is what lies between two barriers of one block; each has
// a number of its own. Within it __syncwarp orders lanes of one warp: `order` counts those before.
struct Access {
    uint32_t epoch, block, pc, order;
    uint16_t tid, warp;  // MANY of them
    bool atomic;         // or volatile: does not race with its kind
};
constexpr uint16_t MANY = 0xffff;
constexpr uint32_t MANY_BLOCKS = 0xffffffff;

// A word of shared memory, or an element of a buffer (of a word of one, if it is larger).
struct alignas(64) Cell {
    Access write, read;
    uint32_t lanes;    // of one warp, that read since read.order
    uint32_t parts;    // 1 + where cells of its single bytes stand, if it was ever accessed in part
    uint32_t owner;    // shared memory: the first epoch of the block that what follows is true of
    uint8_t arriving;  // an asynchronous copy has been issued and not waited for
    uint8_t written;   // which bytes hold a value
};
using Parts = std::vector<std::array<Cell, 4>>;

struct Block {
    unsigned number = 0;
    Index index{};
    uint32_t epoch = 0, first_epoch = 0;
    int votes = 0, new_votes = 0;
    std::vector<Fibre> fibres;
    std::vector<std::vector<unsigned>> syncs;  // of each warp in this epoch: the masks, in order
    std::vector<Seen> seen;                    // what all threads know since the last barrier
    std::shared_ptr<const struct Release> fence;  // what all had fenced before it
    bool fenced = false;                       // any of them, in this launch
    std::vector<unsigned char> deposits, dynamic, shared;
    std::vector<Cell> cells;
    Parts parts;
    std::map<uintptr_t, MBarrier> barriers;
};

struct Buffer {
    unsigned char *begin, *end;
    int argument;
    int writable;
    int grain;  // bytes that one cell stands for: an element's, at most 4
};

struct Report {
    char what[256];
    const void* pc[2];       // where, and the earlier access where there are two
    Index thread[2], block[2];
    int count;               // of places
    long long offset;        // bytes from the start of `argument`, where the report is of a buffer
    int argument;            // -1: none
};

struct Launch {
    const Entry* entry;
    void** args;
    unsigned char *values_begin, *values_end;  // what args point to
    Index grid, block;
    size_t dynamic_bytes;
    unsigned char *static_begin, *static_end;
    unsigned char *image_begin, *image_end;  // of the kernel's library: its constants
    const Buffer* buffers;
    int buffer_count;
    int cooperative;
    int order;
    unsigned seed;
    unsigned long long budget;  // accesses to memory before a kernel counts as endless
};

struct State {
    const Entry* entry;
    void** args;
    unsigned char *values_begin, *values_end;
    Index grid, block_extent;
    unsigned threads;
    size_t dynamic_bytes, static_bytes;
    unsigned char *static_begin, *dynamic;
    unsigned char *image_begin, *image_end;
    int order;
    bool failed, inside;     // inside: a fibre runs
    bool cooperative, released;  // released: an atomic operation has followed a fence
    uint32_t epochs, phase;  // phase: the first epoch after the last barrier of the grid
    unsigned long long switches;
    unsigned yields, arrived;  // arrived: blocks at the grid's barrier
    const void* pc;          // of the last access
    unsigned long long budget;
    Fibre* fibre;
    Block* block;
    uint32_t syncs;          // of the running warp in this epoch
    uint16_t tid, warp;
    Report found;
};
extern State S;

// memory.cpp: the cell of a word of dynamic shared memory, `at` bytes from its beginning.
inline Cell& dynamic_cell(uintptr_t at) { return S.block->cells[S.static_bytes / 4 + 2 + at / 4]; }

// What an earlier block left in a cell counts no more.
inline void fresh(Cell& c) {
    if (c.owner == S.block->first_epoch) return;
    c = Cell{};
    c.owner = S.block->first_epoch;
}

// Checks of accesses at the line of `pc`.
void read(const void* p, size_t size, const void* pc);
void write(const void* p, size_t size, const void* pc);
void read_volatile(const void* p, size_t size, const void* pc);
void write_volatile(const void* p, size_t size, const void* pc);
void read_and_write(const void* p, size_t size, const void* pc);  // an atomic operation
Index index_of(unsigned tid);
void set_buffers(const Buffer* buffers, int count);

// Notes what is wrong; the launch ends when the scheduler is reached. `wrong` goes there.
void report(const void* pc, const char* what);
void report_two(const void* pc, const void* earlier, const char* what);
[[noreturn]] void wrong(const void* pc, const char* what);

// The cell of a word of shared memory, null elsewhere. Static words come first, dynamic ones after them.
inline Cell* shared_cell(uintptr_t address, size_t size, const void* pc) {
    auto begin = reinterpret_cast<uintptr_t>(S.static_begin);
    if (address - begin < S.static_bytes) {
        if (address - begin + size > S.static_bytes) wrong(pc, "reaches past the end of shared memory");
        return &S.block->cells[address / 4 - begin / 4];
    }
    uintptr_t at = address - reinterpret_cast<uintptr_t>(S.dynamic);
    if (at >= S.dynamic_bytes) return nullptr;
    if (at + size > S.dynamic_bytes) wrong(pc, "reaches past the end of dynamic shared memory");
    return &dynamic_cell(at);
}

// order.cpp: whether an earlier access is ordered before what the running thread does now.
// lanes: who did it, of its warp.
bool in_warp_order(const Access& a, unsigned lanes);
bool known(const Access& a);
inline bool in_order(const Access& a, unsigned lanes) {
    if (a.epoch < S.phase) return true;
    if (a.block == S.block->number) {
        if (a.epoch != S.block->epoch || a.tid == S.tid) return true;
        if (a.warp == S.warp && a.order < S.syncs && in_warp_order(a, lanes)) return true;
    }
    return __builtin_expect(S.released, 0) && known(a);
}
inline Access access_now(const void* pc) {
    auto offset = static_cast<uint32_t>(static_cast<const unsigned char*>(pc) - S.image_begin);
    return {S.block->epoch, S.block->number, offset, S.syncs, S.tid, S.warp, false};
}
inline unsigned lane_bit(const Access& a) { return 1u << (a.tid % 32); }
void fence(bool of_block);
void release(uintptr_t address, bool fenced);  // unless fenced: what the last fence made known
void acquire(uintptr_t address);
void sync_warp(Block& block, unsigned warp, unsigned mask);
void sync_block(Block& block);
void forget_order();

// fibre.cpp: makes a fibre ready to begin the kernel; goes on with it; goes back to the scheduler.
bool prepare(Fibre& f);  // false: there is no stack for it
void enter(Fibre& f);
void leave(Fibre& f);
[[noreturn]] void stop_fibre();
void leave_from_signal(void* context);  // once its handler has returned

// faults.cpp: what the processor reports, and a clock, end a launch while one of these lives.
struct Guard {
    Guard();
    ~Guard();
};

// The running fibre waits; the scheduler resumes another.
void wait_at(Status status, const char* file, int line, const void* pc);

// hopper.cpp: whether the barrier that a fibre waits for lets it go on.
bool passed(Block& block, const Fibre& f);

}  // namespace dlcli
