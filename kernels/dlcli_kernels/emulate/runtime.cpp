// The emulator's runtime: blocks one after the other, a fibre per thread, barriers and collectives.
//
// A fibre runs until it waits or ends; the scheduler, on the caller's stack, then resumes the next
// in the order that was asked for. Nothing runs in parallel: a run is repeatable, and what depends on
// an order that CUDA does not promise shows as a difference between orders or as a reported race.
#include "scheduler.h"

#include <algorithm>
#include <random>

namespace dlcli {

State S;

void wait_at(Status status, const char* file, int line, const void* pc) {
    Fibre& f = *S.fibre;
    f.status = status;
    f.file = file;
    f.line = line;
    f.pc = pc;
    leave(f);
}

namespace {

constexpr size_t ALIGNMENT = 1024;  // of dynamic shared memory, as bulk copies want it

bool same_place(const Fibre& a, const Fibre& b) {
    return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file));
}

// Releases the lanes of a warp that all wait in one collective.
void release_warp(Block& block, unsigned warp) {
    unsigned first = warp * 32, end = std::min(first + 32, S.threads), arrived = 0, exist = 0;
    Fibre* one = nullptr;
    for (unsigned i = first; i < end; i++) {
        Fibre& f = block.fibres[i];
        exist |= 1u << (i - first);
        if (f.status != AT_COLLECTIVE) continue;
        arrived |= 1u << (i - first);
        one = one ? one : &f;
    }
    if (!one) return;
    for (unsigned left = arrived; left;) {  // disjoint masks may wait at the same time
        unsigned lane = __builtin_ctz(left), mask = block.fibres[first + lane].mask & exist;
        if (!(mask >> lane & 1)) {
            S.fibre = &block.fibres[first + lane];
            report(S.fibre->pc, "a lane calls a collective whose mask leaves it out");
            return;
        }
        if ((mask & arrived) == mask) {
            bool memory = false;
            for (unsigned l = 0; l < 32; l++) {
                if (!(mask >> l & 1)) continue;
                Fibre& f = block.fibres[first + l];
                if ((f.mask & exist) != mask || !same_place(f, block.fibres[first + lane])) {
                    report_two(f.pc, block.fibres[first + lane].pc,
                               "lanes of one warp wait in different collectives");
                    return;
                }
                f.status = READY;
                memory |= f.orders_memory;
            }
            if (memory) sync_warp(block, warp, mask);
        }
        left &= ~mask;
    }
}

// What is wrong where no thread of a block can go on.
void report_stuck(Block& block) {
    Fibre *barrier = nullptr, *other = nullptr;
    unsigned waiting = 0, done = 0;
    for (unsigned i = 0; i < S.threads; i++) {
        Fibre& f = block.fibres[i];
        if (f.status == DONE) {
            done++;
        } else if (!barrier) {
            barrier = &f;
            waiting++;
        } else if (!same_place(f, *barrier) || f.status != barrier->status) {
            other = other ? other : &f;
        } else {
            waiting++;
        }
    }
    S.fibre = barrier;
    char text[200];
    const char* what = barrier->status == AT_COLLECTIVE ? "divergent collective"
                       : barrier->status == AT_MBARRIER ? "a phase of a barrier that never ends"
                                                        : "divergent barrier";
    if (other) {
        snprintf(text, sizeof text, "%s: %u threads wait here, %u elsewhere, %u have ended", what, waiting,
                 S.threads - waiting - done, done);
        report_two(barrier->pc, other->pc, text);
    } else {
        snprintf(text, sizeof text, "%s: %u of %u threads wait here, %u have ended", what, waiting, S.threads,
                 done);
        report(barrier->pc, text);
    }
}

enum Outcome { ENDED, AT_GRID, POLLING, FAILED };

// Runs the threads of a block until they have all ended or wait for the grid, or for what another block
// writes.
Outcome run(Block& block, std::vector<unsigned>& order, std::mt19937& random) {
    for (;;) {
        if (S.order == SHUFFLED) std::shuffle(order.begin(), order.end(), random);
        S.yields = 0;
        for (unsigned i : order) {
            Fibre& f = block.fibres[i];
            if (f.status != READY) continue;
            S.fibre = &f;
            S.tid = i;
            S.warp = i / 32;
            S.syncs = block.syncs[S.warp].size();
            S.switches++;
            S.inside = true;
            enter(f);
            S.inside = false;
            if (S.failed) return FAILED;
        }
        unsigned at_barrier = 0, at_grid = 0, done = 0;
        bool mixed = false;
        const Fibre& first = block.fibres[0];
        for (unsigned i = 0; i < S.threads; i++) {
            const Fibre& f = block.fibres[i];
            at_barrier += f.status == AT_BARRIER;
            at_grid += f.status == AT_GRID_BARRIER;
            done += f.status == DONE;
            if (f.status == AT_BARRIER || f.status == AT_GRID_BARRIER) mixed |= !same_place(f, first);
        }
        if (done == S.threads) return ENDED;
        if (at_grid == S.threads && !mixed) return AT_GRID;
        if (at_barrier == S.threads && !mixed) {
            block.votes = block.new_votes;
            block.new_votes = 0;
            sync_block(block);
            for (Fibre& f : block.fibres) f.status = READY;
            continue;
        }
        if (at_barrier + at_grid + done < S.threads)
            for (unsigned w = 0; w * 32 < S.threads; w++) release_warp(block, w);
        if (S.failed) return FAILED;
        bool ready = false;
        for (unsigned i = 0; i < S.threads; i++) {
            Fibre& f = block.fibres[i];
            if (f.status == AT_MBARRIER && passed(block, f)) f.status = READY;
            ready |= f.status == READY;
        }
        if (!ready) {
            report_stuck(block);
            return FAILED;
        }
        if (S.yields && S.cooperative) return POLLING;
    }
}

void begin(Block& block, unsigned number) {
    block.number = number;
    block.index = {number % S.grid.x, number / S.grid.x % S.grid.y, number / S.grid.x / S.grid.y};
    block.first_epoch = block.epoch = ++S.epochs;
    block.syncs.assign((S.threads + 31) / 32, {});
    block.seen.clear();
    block.fence.reset();
    block.fenced = false;
    block.parts.clear();
    block.deposits.resize(2 * 64 * 32 * block.syncs.size());
    block.votes = block.new_votes = 0;
    block.barriers.clear();
    block.fibres.resize(S.threads);
    block.dynamic.resize(S.dynamic_bytes + ALIGNMENT);
    std::fill(block.dynamic.begin(), block.dynamic.end(), 0xff);  // NaN in every float type
    block.cells.resize((S.static_bytes + S.dynamic_bytes) / 4 + 4);
    for (unsigned i = 0; i < S.threads; i++) {
        Fibre& f = block.fibres[i];
        f.status = READY;
        f.index = index_of(i);
        f.lane = i % 32;
        f.turn = 0;
        f.copies.clear();
        f.groups = 0;
        f.polls = 0;
        f.seen.clear();
        f.fence.reset();
        f.wgmmas.clear();
        f.wgmma_groups = 0;
        if (!prepare(f)) {
            S.fibre = &f;
            S.block = &block;
            auto* start = reinterpret_cast<const char*>(S.entry->call);
            report(start + 1, "the emulator gets no memory for the stacks of its threads");
            return;
        }
    }
}

void activate(Block& block) {
    S.block = &block;
    uintptr_t start = (reinterpret_cast<uintptr_t>(block.dynamic.data()) + ALIGNMENT - 1) & ~uintptr_t(ALIGNMENT - 1);
    S.dynamic = reinterpret_cast<unsigned char*>(start);
}

std::vector<unsigned> sequence(unsigned n) {
    std::vector<unsigned> order(n);
    for (unsigned i = 0; i < n; i++) order[i] = S.order == REVERSE ? n - 1 - i : i;
    return order;
}

void run_one_by_one(std::vector<unsigned>& blocks, std::vector<unsigned>& threads, std::mt19937& random) {
    static Block block;
    for (unsigned number : blocks) {
        memset(S.static_begin, 0xff, S.static_bytes);
        begin(block, number);
        if (S.failed) return;
        activate(block);
        Outcome outcome = run(block, threads, random);
        if (outcome == AT_GRID) report(block.fibres[0].pc, "grid_sync in a launch that is not cooperative");
        if (S.failed) return;
    }
}

// All blocks take turns at their barriers; a block's static shared memory is swapped in and out.
void run_together(std::vector<unsigned>& numbers, std::vector<unsigned>& threads, std::mt19937& random) {
    static std::vector<Block> blocks;
    blocks.resize(numbers.size());
    for (unsigned i = 0; i < numbers.size(); i++) {
        begin(blocks[i], numbers[i]);
        if (S.failed) return;
        blocks[i].shared.assign(S.static_bytes, 0xff);
    }
    std::vector<Outcome> outcomes(numbers.size(), POLLING);
    for (;;) {
        for (unsigned i = 0; i < numbers.size(); i++) {
            if (outcomes[i] != POLLING) continue;
            Block& block = blocks[i];
            memcpy(S.static_begin, block.shared.data(), S.static_bytes);
            activate(block);
            outcomes[i] = run(block, threads, random);
            if (S.failed) return;
            memcpy(block.shared.data(), S.static_begin, S.static_bytes);
        }
        auto count = [&](Outcome o) { return static_cast<size_t>(std::count(outcomes.begin(), outcomes.end(), o)); };
        if (count(POLLING)) continue;
        if (count(ENDED) == numbers.size()) return;
        if (count(ENDED)) {
            size_t waiting = std::find(outcomes.begin(), outcomes.end(), AT_GRID) - outcomes.begin();
            S.block = &blocks[waiting];
            S.fibre = &S.block->fibres[0];
            report(S.fibre->pc, "divergent grid barrier: some blocks have ended");
            return;
        }
        S.phase = S.epochs + 1;
        S.arrived = 0;
        for (unsigned i = 0; i < numbers.size(); i++) {
            sync_block(blocks[i]);
            for (Fibre& f : blocks[i].fibres) f.status = READY;
            outcomes[i] = POLLING;
        }
    }
}

}  // namespace

}  // namespace dlcli

using namespace dlcli;
#define CALLER __builtin_return_address(0)

extern "C" {

Index dlcli_thread_index() { return S.fibre->index; }
Index dlcli_block_index() { return S.block->index; }
Index dlcli_block_extent() { return S.block_extent; }
Index dlcli_grid_extent() { return S.grid; }
void* dlcli_dynamic_shared() { return S.dynamic; }
int dlcli_lane_index() { return S.fibre->lane; }
unsigned dlcli_lanes() {
    unsigned in_warp = S.threads - S.warp * 32;
    return in_warp < 32 ? (1u << in_warp) - 1 : ~0u;
}

void dlcli_block_barrier(const char* file, int line) { wait_at(AT_BARRIER, file, line, CALLER); }
void dlcli_grid_barrier(unsigned* counter, const char* file, int line) {
    if (!S.tid && S.cooperative) {
        unsigned blocks = S.grid.x * S.grid.y * S.grid.z;
        read_and_write(counter, sizeof *counter, CALLER);
        if ((*counter)++ % blocks != S.arrived++)
            wrong(CALLER, "grid_sync: its counter was not zero before the launch, or something else writes to it");
    }
    wait_at(AT_GRID_BARRIER, file, line, CALLER);
}

int dlcli_block_count(const char* file, int line, int predicate) {
    S.block->new_votes += predicate != 0;
    wait_at(AT_BARRIER, file, line, CALLER);
    return S.block->votes;
}

const unsigned char* dlcli_collective(
    unsigned mask, const void* deposit, size_t size, bool memory, const char* file, int line) {
    Fibre& f = *S.fibre;
    // Two sets of deposits in turn: a lane may be one collective ahead of another, never two.
    unsigned char* all = S.block->deposits.data() + (S.warp * 2 + (f.turn++ & 1)) * 64 * 32;
    if (size) memcpy(all + 64 * f.lane, deposit, size);
    f.mask = mask;
    f.orders_memory = memory;
    wait_at(AT_COLLECTIVE, file, line, CALLER);
    return all;
}

void dlcli_fail(const char* what) {
    wrong(CALLER, what);
}

// Runs one launch; 0 if it ended well, otherwise see dlcli_report_*.
int dlcli_launch(const Launch* launch) {
    S.entry = launch->entry;
    S.args = launch->args;
    S.values_begin = launch->values_begin;
    S.values_end = launch->values_end;
    S.grid = launch->grid;
    S.block_extent = launch->block;
    S.threads = launch->block.x * launch->block.y * launch->block.z;
    S.dynamic_bytes = launch->dynamic_bytes;
    S.static_begin = launch->static_begin;
    S.static_bytes = launch->static_end - launch->static_begin;
    S.image_begin = launch->image_begin;
    S.image_end = launch->image_end;
    S.order = launch->order;
    S.failed = S.inside = false;
    S.cooperative = launch->cooperative;
    S.budget = launch->budget;
    S.phase = S.epochs + 1;
    S.switches = 0;
    S.arrived = 0;
    forget_order();
    set_buffers(launch->buffers, launch->buffer_count);
    std::mt19937 random(launch->seed);
    std::vector<unsigned> blocks = sequence(S.grid.x * S.grid.y * S.grid.z), threads = sequence(S.threads);
    if (S.order == SHUFFLED) std::shuffle(blocks.begin(), blocks.end(), random);
    Guard guard;
    (launch->cooperative ? run_together : run_one_by_one)(blocks, threads, random);
    fflush(stdout);  // what the kernel printed
    return S.failed;
}

const Report* dlcli_report() { return &S.found; }
}
