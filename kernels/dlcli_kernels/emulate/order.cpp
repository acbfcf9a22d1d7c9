// Which accesses are ordered: by barriers, by __syncwarp, and by atomic operations with fences.
//
// A thread that calls __threadfence and then an atomic operation (or a volatile write) on a word releases
// what it did, what its block did before the last barrier, and what it knew of others; after a barrier, what
// others of its block had fenced before it, too. Whoever reads that
// word later by an atomic or volatile access knows all of this; a fence after it is not asked for, as in
// the "last block" of the CUDA programming guide. Barriers pass knowledge on to a warp or to the block.
#include <algorithm>
#include <unordered_map>

#include "scheduler.h"

namespace dlcli {

struct Release {
    std::vector<Access> by;  // the threads, where their fences stand
    bool of_block;           // __threadfence_block: for threads of the same block
    std::vector<Seen> seen;  // what the threads knew
};

namespace {

std::unordered_map<uintptr_t, std::vector<std::shared_ptr<const Release>>> releases;

bool covers(const Release& r, const Access& a) {
    if (r.of_block && a.block != S.block->number) return false;
    return std::any_of(r.by.begin(), r.by.end(), [&](const Access& by) {
        if (by.block != a.block || a.epoch != by.epoch) return by.block == a.block && a.epoch < by.epoch;
        return a.tid == by.tid || (a.warp == by.warp && a.order < by.order);
    });
}

void add(std::vector<Seen>& known, const Seen& more) {
    for (Seen& s : known)
        if (s.address == more.address) {
            s.count = std::max(s.count, more.count);
            return;
        }
    known.push_back(more);
}

}  // namespace

// Whether __syncwarp orders what `lanes` of the running warp did before what the running thread does now.
bool in_warp_order(const Access& a, unsigned lanes) {
    const std::vector<unsigned>& syncs = S.block->syncs[S.warp];
    unsigned lane = S.tid % 32;
    for (unsigned left = lanes & ~(1u << lane); left; left &= left - 1) {
        unsigned reached = left & -left;
        for (size_t k = a.order; k < syncs.size() && !(reached >> lane & 1); k++)
            if (syncs[k] & reached) reached |= syncs[k];
        if (!(reached >> lane & 1)) return false;
    }
    return true;
}

// Whether the running thread knows of an access by way of atomic operations.
bool known(const Access& a) {
    std::vector<Seen> open = S.fibre->seen;
    open.insert(open.end(), S.block->seen.begin(), S.block->seen.end());
    std::unordered_map<uintptr_t, size_t> looked_at;
    while (!open.empty()) {
        Seen s = open.back();
        open.pop_back();
        size_t& from = looked_at[s.address];
        const auto& all = releases[s.address];
        for (size_t i = s.count; i-- > from;) {  // the newest first: it covers most
            if (covers(*all[i], a)) return true;
            open.insert(open.end(), all[i]->seen.begin(), all[i]->seen.end());
        }
        from = std::max(from, s.count);
    }
    return false;
}

void fence(bool of_block) {
    Release made{{access_now(S.image_begin)}, of_block, S.fibre->seen};
    for (const Seen& s : S.block->seen) add(made.seen, s);
    S.fibre->fence = std::make_shared<const Release>(std::move(made));
    S.block->fenced = true;
}

void release(uintptr_t address, bool fenced) {
    auto before = S.fibre->fence;
    if (fenced) fence(false);
    for (const auto& made : {S.fibre->fence, fenced ? nullptr : S.block->fence}) {
        if (!made) continue;
        S.released = true;
        releases[address].push_back(made);
    }
    if (fenced) S.fibre->fence = before;
}

void acquire(uintptr_t address) {
    if (!S.released) return;
    auto found = releases.find(address);
    if (found != releases.end()) add(S.fibre->seen, {address, found->second.size()});
}

void sync_warp(Block& block, unsigned warp, unsigned mask) {
    block.syncs[warp].push_back(mask);
    if (!S.released) return;
    std::vector<Seen> all;
    for (unsigned left = mask; left; left &= left - 1)
        for (const Seen& s : block.fibres[warp * 32 + __builtin_ctz(left)].seen) add(all, s);
    for (unsigned left = mask; left; left &= left - 1)
        block.fibres[warp * 32 + __builtin_ctz(left)].seen = all;
}

void sync_block(Block& block) {
    block.epoch = ++S.epochs;
    for (auto& masks : block.syncs) masks.clear();
    if (block.fenced) {  // what each has fenced before the barrier, any of them may release after it
        Release all{{}, false, {}};
        for (const Fibre& f : block.fibres) {
            if (!f.fence || f.fence->of_block) continue;
            all.by.push_back(f.fence->by[0]);
            for (const Seen& s : f.fence->seen) add(all.seen, s);
        }
        block.fence = std::make_shared<const Release>(std::move(all));
    }
    if (!S.released) return;
    for (Fibre& f : block.fibres) {
        for (const Seen& s : f.seen) add(block.seen, s);
        f.seen.clear();
    }
}

void forget_order() {
    releases.clear();
    S.released = false;
}

}  // namespace dlcli
