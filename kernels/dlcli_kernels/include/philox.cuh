// Philox4x32-10 (Salmon et al. 2011): a block of four words is a function of a key and a counter, as
// philox.py has it. No state: whoever computes a block, in any order, gets the same.
#pragma once
#include "dlcli.cuh"

// Key and counter of one request: two key words, then words 1–3 of the counter.
struct PhiloxRequest {
    uint32_t key0, key1, word1, word2, word3;
};

__device__ __forceinline__ PhiloxRequest philox_request(const uint32_t* rng) {
    return {rng[0], rng[1], rng[2], rng[3], rng[4]};
}

// The words of block number `block` of the request.
__device__ __forceinline__ uint4 philox_block(const PhiloxRequest& r, uint32_t block) {
    constexpr uint32_t M0 = 0xD2511F53, M1 = 0xCD9E8D57, W0 = 0x9E3779B9, W1 = 0xBB67AE85;
    uint32_t c0 = block, c1 = r.word1, c2 = r.word2, c3 = r.word3, k0 = r.key0, k1 = r.key1;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = __umulhi(M0, c0), low0 = M0 * c0, high1 = __umulhi(M1, c2), low1 = M1 * c2;
        c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += W0, k1 += W1;
    }
    return make_uint4(c0, c1, c2, c3);
}
