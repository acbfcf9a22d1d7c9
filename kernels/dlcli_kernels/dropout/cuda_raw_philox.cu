// Dropout: a Philox block of four words decides four neighbouring elements, which are one 128-bit access of
// x, one of the result and four bytes of the mask. The ten rounds are some 100 integer operations per 36
// bytes of memory traffic, half of what the arithmetic units have time for.
//
// `least`: the least word that keeps an element, up to 2³².
#include "map.cuh"
#include "philox.cuh"

struct Drop {
    float* out;
    uint8_t* mask;  // may be null
    const float* x;
    PhiloxRequest request;
    unsigned long long least;
    float by;

    __device__ __forceinline__ bool keeps(uint32_t word) const { return word >= least; }
    __device__ __forceinline__ void four(long long i) const {
        uint4 word = philox_block(request, static_cast<uint32_t>(i / 4));
        bool a = keeps(word.x), b = keeps(word.y), c = keeps(word.z), d = keeps(word.w);
        float4 v = load4(x + i);
        store4(out + i, make_float4(a ? v.x * by : 0, b ? v.y * by : 0, c ? v.z * by : 0, d ? v.w * by : 0));
        if (mask) *reinterpret_cast<uchar4*>(mask + i) = make_uchar4(a, b, c, d);
    }
    __device__ __forceinline__ void one(long long i) const {
        uint4 word = philox_block(request, static_cast<uint32_t>(i / 4));
        int at = i % 4;
        bool keep = keeps(at == 0 ? word.x : at == 1 ? word.y : at == 2 ? word.z : word.w);
        out[i] = keep ? x[i] * by : 0;
        if (mask) mask[i] = keep;
    }
};

struct DropGrad {
    float* out;
    const float* dout;
    const uint8_t* mask;
    float by;
    __device__ __forceinline__ void four(long long i) const {
        float4 v = load4(dout + i);
        uchar4 keep = *reinterpret_cast<const uchar4*>(mask + i);
        store4(out + i, make_float4(keep.x ? v.x * by : 0, keep.y ? v.y * by : 0, keep.z ? v.z * by : 0,
                                    keep.w ? v.w * by : 0));
    }
    __device__ __forceinline__ void one(long long i) const { out[i] = mask[i] ? dout[i] * by : 0; }
};

extern "C" {

__global__ void __launch_bounds__(256, 4) dropout(float* __restrict__ out, uint8_t* __restrict__ mask,
                                               const float* __restrict__ x, const uint32_t* __restrict__ rng,
                                               long long n, unsigned long long least, float by) {
    map(n, Drop{out, mask, x, philox_request(rng), least, by});
}

__global__ void __launch_bounds__(256) dropout_grad(float* __restrict__ out, const float* __restrict__ dout,
                                                    const uint8_t* __restrict__ mask, long long n, float by) {
    map(n, DropGrad{out, dout, mask, by});
}

// The next step's counter: word 1 + 1, with a carry into word 2. One thread.
__global__ void advance(uint32_t* rng) {
    if (++rng[2] == 0) ++rng[3];
}
}
