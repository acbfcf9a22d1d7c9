// The emulator's model of Hopper's asynchronous instructions: barriers in shared memory, bulk copies that
// arrive at them, and products of a warpgroup straight from shared memory.
//
// A copy's data come into place when the phase of its barrier ends, not before, and a product is computed
// when it is waited for, not before: what does not wait computes with what stood there, or is reported.
// Copies mark the words that they go to; products look whether their operands have arrived.
#include "scheduler.h"

namespace dlcli {
namespace {

struct Map {  // what target.py puts into the 128 bytes of a tensor map
    const unsigned char* base;
    long long rows, cols;
    int box_rows, box_cols, swizzle, item;
};

struct Operand {
    uintptr_t start, far, group;
    bool deep;
    explicit Operand(uint64_t d, bool deep)
        : start((d & 0x3fff) << 4), far((d >> 16 & 0x3fff) << 4), group((d >> 32 & 0x3fff) << 4), deep(deep) {}
    // Where element (row, k) lies in dynamic shared memory, in bytes.
    uintptr_t at(int row, int k) const {
        uintptr_t plain = deep ? start + row / 8 * group + row % 8 * 128 + k * 2
                               : start + row / 64 * far + k / 8 * group + k % 8 * 128 + row % 64 * 2;
        return plain ^ (plain >> 7 & 7) << 4;
    }
    float value(int row, int k) const {
        uint16_t bits;
        memcpy(&bits, S.dynamic + at(row, k), 2);
        uint32_t wide = static_cast<uint32_t>(bits) << 16;
        float v;
        memcpy(&v, &wide, 4);
        return v;
    }
};

MBarrier& barrier_at(const void* bar, const void* pc) {
    auto found = S.block->barriers.find(reinterpret_cast<uintptr_t>(bar));
    if (found == S.block->barriers.end()) wrong(pc, "a barrier in shared memory is used before it is initialised");
    MBarrier& b = found->second;
    if (b.epoch == S.block->epoch && b.tid != S.tid)
        wrong(pc, "race: uses a barrier that another thread initialises, with no barrier of the block between");
    return b;
}

Map map_of(const unsigned char* bytes) {
    Map map;
    memcpy(&map, bytes, sizeof map);
    return map;
}

void deliver(const BulkCopy& copy) {
    Map map = map_of(copy.map);
    uintptr_t to = copy.to - S.dynamic;
    for (int r = 0; r < map.box_rows; r++)
        for (int c = 0; c < map.box_cols; c++, to += map.item) {
            long long row = copy.row + r, col = copy.col + c;
            uintptr_t at = to ^ (to >> 7 & (map.swizzle / 16 - (map.swizzle > 0))) << 4;
            bool inside = row >= 0 && row < map.rows && col >= 0 && col < map.cols;
            if (inside) memcpy(S.dynamic + at, map.base + (row * map.cols + col) * map.item, map.item);
            else memset(S.dynamic + at, 0, map.item);
        }
    for (uintptr_t word = copy.to - S.dynamic; word < to; word += 4) {
        Cell& c = dynamic_cell(word);
        c.arriving = 0;
        c.written = 0xf;
        c.write.epoch = c.read.epoch = c.parts = 0;  // ordered by the barrier that it arrived at
    }
}

void end_phase_if_complete(MBarrier& b) {
    if (b.pending || b.bytes) return;
    for (const BulkCopy& copy : b.copies) deliver(copy);
    b.copies.clear();
    b.pending = b.count;
    b.phase++;
}

void check_arrived(const Operand& operand, int rows, const void* pc) {
    for (int row = 0; row < rows; row++)
        for (int k = 0; k < 16; k++) {
            uintptr_t at = operand.at(row, k);
            if (at + 2 > S.dynamic_bytes) wrong(pc, "an operand of wgmma lies outside of dynamic shared memory");
            Cell& c = dynamic_cell(at);
            fresh(c);
            if (c.arriving) wrong(pc, "an operand of wgmma is still arriving: its barrier was not waited for");
            if (!c.written) wrong(pc, "an operand of wgmma lies where nobody has written");
        }
}

void multiply(const Wgmma& w) {
    Operand a(w.a, w.a_deep), b(w.b, w.b_deep);
    if (S.tid % 128 == 0) {
        check_arrived(a, 64, w.pc);
        check_arrived(b, 128, w.pc);
    }
    int row = S.tid % 128 / 32 * 16 + S.fibre->lane / 4;
    float rows[2][16];
    for (int k = 0; k < 16; k++) rows[0][k] = a.value(row, k), rows[1][k] = a.value(row + 8, k);
    for (int j = 0; j < 64; j += 4)
        for (int e = 0; e < 2; e++) {
            float upper = w.add ? w.d[j + e] : 0, lower = w.add ? w.d[j + 2 + e] : 0;
            for (int k = 0; k < 16; k++) {
                float v = b.value(j * 2 + S.fibre->lane % 4 * 2 + e, k);
                upper += rows[0][k] * v;
                lower += rows[1][k] * v;
            }
            w.d[j + e] = upper;
            w.d[j + 2 + e] = lower;
        }
}

// Whether a product that nobody has waited for yet may read these bytes.
bool in_use(const unsigned char* begin, size_t bytes) {
    for (unsigned i = 0; i < S.threads; i += 32)
        for (const Wgmma& w : S.block->fibres[i].wgmmas)
            for (int which = 0; which < 2; which++) {
                Operand o(which ? w.b : w.a, which ? w.b_deep : w.a_deep);
                for (int row = 0; row < (which ? 128 : 64); row += 8)
                    for (int k = 0; k < 16; k += 8)
                        if (S.dynamic + o.at(row, k) - begin < static_cast<ptrdiff_t>(bytes) &&
                            S.dynamic + o.at(row, k) >= begin)
                            return true;
            }
    return false;
}

}  // namespace

bool passed(Block& block, const Fibre& f) {
    return (block.barriers.at(f.barrier).phase & 1) != f.parity;
}

}  // namespace dlcli

using namespace dlcli;
#define CALLER __builtin_return_address(0)

extern "C" {

unsigned dlcli_shared_address(const void* p) {
    uintptr_t at = static_cast<const unsigned char*>(p) - S.dynamic;
    if (at > S.dynamic_bytes) wrong(CALLER, "the address of something that is not in dynamic shared memory");
    return static_cast<unsigned>(at);
}

void dlcli_mbarrier_init(void* bar, unsigned count) {
    if (reinterpret_cast<uintptr_t>(bar) % 8) wrong(CALLER, "a barrier's address is not aligned to 8 bytes");
    dlcli_check_write(bar, 8);
    MBarrier b;
    b.count = b.pending = count;
    b.epoch = S.block->epoch;
    b.tid = S.tid;
    S.block->barriers[reinterpret_cast<uintptr_t>(bar)] = b;
}

void dlcli_mbarrier_arrive(void* bar, unsigned bytes) {
    MBarrier& b = barrier_at(bar, CALLER);
    release(reinterpret_cast<uintptr_t>(bar), true);
    if (!b.pending) wrong(CALLER, "more arrivals at a barrier than it was initialised for");
    b.bytes += bytes;
    b.pending--;
    end_phase_if_complete(b);
}

void dlcli_mbarrier_wait(void* bar, unsigned parity, const char* file, int line) {
    barrier_at(bar, CALLER);
    Fibre& f = *S.fibre;
    f.barrier = reinterpret_cast<uintptr_t>(bar);
    f.parity = parity & 1;
    if (!passed(*S.block, f)) wait_at(AT_MBARRIER, file, line, CALLER);
    acquire(f.barrier);
}

void dlcli_tma_load(void* to, const unsigned char* bytes, int col, int row, void* bar) {
    Map map = map_of(bytes);
    auto* begin = static_cast<unsigned char*>(to);
    size_t size = static_cast<size_t>(map.box_rows) * map.box_cols * map.item;
    uintptr_t at = begin - S.dynamic;
    if (at % 128) wrong(CALLER, "a bulk copy goes to an address that is not aligned to 128 bytes");
    if (at + size > S.dynamic_bytes) wrong(CALLER, "a bulk copy goes outside of dynamic shared memory");
    if (in_use(begin, size)) wrong(CALLER, "a bulk copy overwrites an operand of a wgmma that was not waited for");
    for (size_t word = 0; word < size; word += 4) {
        Cell& c = dynamic_cell(at + word);
        fresh(c);
        if (c.arriving) wrong(CALLER, "two bulk copies into the same place at the same time");
        c.arriving = 1;
    }
    MBarrier& b = barrier_at(bar, CALLER);
    BulkCopy copy{begin, {}, col, row};
    memcpy(copy.map, bytes, sizeof copy.map);
    b.copies.push_back(copy);
    b.bytes -= static_cast<long long>(size);
    end_phase_if_complete(b);
}

void dlcli_wgmma(float* d, uint64_t a, uint64_t b, int a_deep, int b_deep, int add) {
    if (a >> 62 != 1 || b >> 62 != 1) wrong(CALLER, "only operands with a swizzle of 128 bytes are emulated");
    S.fibre->wgmmas.push_back({d, a, b, a_deep != 0, b_deep != 0, add != 0, S.fibre->wgmma_groups, CALLER});
}

void dlcli_wgmma_commit() { S.fibre->wgmma_groups++; }

void dlcli_wgmma_wait(unsigned left) {
    auto& products = S.fibre->wgmmas;
    size_t done = 0;
    while (done < products.size() && products[done].group + left < S.fibre->wgmma_groups) multiply(products[done++]);
    products.erase(products.begin(), products.begin() + done);
}
}
