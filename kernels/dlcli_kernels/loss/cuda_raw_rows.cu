// Cross-entropy by rows, fused with the softmax: forward reads the logits once and writes two numbers per
// row, backward reads them once and writes the gradient once. For the labels' backward the row's log Σ exp
// is given, and it needs no reduction but Σ w.
//
// The label IGNORED gives 0, any other outside 0 … columns − 1 gives NaN, and nothing is read for it.
#include "rows.cuh"

constexpr long long IGNORED = -100;

__device__ __forceinline__ bool in_range(long long label, int columns) { return label >= 0 && label < columns; }
__device__ __forceinline__ float outside(long long label) { return label == IGNORED ? 0.0f : NAN; }

extern "C" {

// loss = (1 − ε) w[y] (lse − x[y]) + ε/K Σ w (lse − x); `lse` and `weight` may be null.
__global__ void __launch_bounds__(512, 2) labels(float* __restrict__ out, float* __restrict__ lse,
                                              const float* __restrict__ x, const int64_t* __restrict__ y,
                                              const float* __restrict__ weight, int rows, int columns,
                                              float smoothing, int team_size) {
    for_rows<1>({x}, rows, columns, team_size, [&](const Team& team, int row, const Row* in) {
        float top = largest(team, in[0]), logarithm = logf(exponentials(team, in[0], top));
        double spread = 0;
        if (smoothing != 0)
            spread = total(team, [&](int i, int j) {
                float term = logarithm - (in[0](i, j) - top);
                return weight ? double(weight[j]) * term : double(term);
            });
        if (team.rank != 0 || team.count == 0) return;
        if (lse) lse[row] = top + logarithm;
        long long label = y[row];
        if (!in_range(label, columns)) {
            out[row] = outside(label);
            return;
        }
        float own = logarithm - (x[(size_t)row * columns + label] - top);
        float loss = (1 - smoothing) * (weight ? weight[label] : 1.0f) * own;
        out[row] = smoothing != 0 ? loss + float(smoothing / columns * spread) : loss;
    });
}

// dxⱼ = dout · (a pⱼ − b wⱼ − (1−ε) w[y] 1[j=y]) with b = ε/K, a = (1−ε) w[y] + b Σw. For j = y, p − 1 is
// computed as one number.
__global__ void __launch_bounds__(512) labels_grad(float* __restrict__ out, const float* __restrict__ x,
                                                   const int64_t* __restrict__ y, const float* __restrict__ weight,
                                                   const float* __restrict__ lse, const float* __restrict__ dout,
                                                   int rows, int columns, float smoothing, int team_size) {
    for_rows<1>({x}, rows, columns, team_size, [&](const Team& team, int row, const Row* in) {
        float b = smoothing / columns, weights = columns;
        bool smooth = smoothing != 0;
        if (smooth && weight) weights = float(total(team, [&](int i, int j) { return weight[j]; }));
        if (team.count == 0) return;
        float* to = out + (size_t)row * columns;
        long long label = y[row];
        if (!in_range(label, columns)) {
            team.write(to, [&](int i, int j) { return outside(label); });
            return;
        }
        float e = lse[row], d = dout[row], own = (1 - smoothing) * (weight ? weight[label] : 1.0f);
        team.write(to, [&](int i, int j) {
            float z = in[0](i, j) - e, p = expf(z);
            float dz = own * (j == label ? expm1f(z) : p);
            if (smooth) dz += b * (p * weights - (weight ? weight[j] : 1.0f));
            return d * dz;
        });
    });
}

// loss = Σ t (lse − x)
__global__ void __launch_bounds__(512, 1) soft(float* __restrict__ out, const float* __restrict__ x,
                                            const float* __restrict__ target, int rows, int columns,
                                            int team_size) {
    for_rows<2>({x, target}, rows, columns, team_size, [&](const Team& team, int row, const Row* in) {
        const Row &z = in[0], &t = in[1];
        float top = largest(team, z), logarithm = logf(exponentials(team, z, top));
        double loss = total(team, [&](int i, int j) { return double(t(i, j)) * (logarithm - (z(i, j) - top)); });
        if (team.rank == 0 && team.count) out[row] = float(loss);
    });
}

// dx = dout · (p Σt − t)
__global__ void __launch_bounds__(512) soft_grad(float* __restrict__ out, const float* __restrict__ x,
                                                 const float* __restrict__ target, const float* __restrict__ dout,
                                                 int rows, int columns, int team_size) {
    for_rows<2>({x, target}, rows, columns, team_size, [&](const Team& team, int row, const Row* in) {
        const Row &z = in[0], &t = in[1];
        float top = largest(team, z), sum = exponentials(team, z, top);
        float share = float(total(team, [&](int i, int j) { return t(i, j); })) / sum;
        if (team.count == 0) return;
        float d = dout[row];
        team.write(out + (size_t)row * columns,
                   [&](int i, int j) { return d * (expf(z(i, j) - top) * share - t(i, j)); });
    });
}
}
