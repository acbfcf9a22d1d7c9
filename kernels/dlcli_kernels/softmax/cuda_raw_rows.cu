// Softmax and its logarithm by rows, with their gradients: each row read once and written once, which is
// what the memory allows. Two or three passes over registers, one or two reductions between them. The
// exponential is computed twice rather than kept: registers are dearer, and memory is what it waits for.
#include "rows.cuh"

extern "C" {

__global__ void __launch_bounds__(512, 2) softmax(float* __restrict__ out, const float* __restrict__ x, int rows,
                                                int columns, int team_size) {
    for_rows<1>({x}, rows, columns, team_size, [&](const Team& team, int row, const Row* in) {
        float top = largest(team, in[0]), share = 1 / exponentials(team, in[0], top);
        team.write(out + (size_t)row * columns, [&](int i, int j) { return expf(in[0](i, j) - top) * share; });
    });
}

__global__ void __launch_bounds__(512, 2) log_softmax(float* __restrict__ out, const float* __restrict__ x, int rows,
                                                    int columns, int team_size) {
    for_rows<1>({x}, rows, columns, team_size, [&](const Team& team, int row, const Row* in) {
        float top = largest(team, in[0]), logarithm = logf(exponentials(team, in[0], top));
        team.write(out + (size_t)row * columns, [&](int i, int j) { return (in[0](i, j) - top) - logarithm; });
    });
}

// y (d − ⟨y, d⟩). The dot product is kept as two floats: where y is near 1, rounding it would be all that
// is left.
__global__ void __launch_bounds__(512) softmax_grad(float* __restrict__ out, const float* __restrict__ y,
                                                     const float* __restrict__ dout, int rows, int columns,
                                                     int team_size) {
    for_rows<2>({y, dout}, rows, columns, team_size, [&](const Team& team, int row, const Row* in) {
        const Row &p = in[0], &d = in[1];
        double dot = total(team, [&](int i, int j) { return double(p(i, j)) * d(i, j); });
        float high = float(dot), low = isfinite(high) ? float(dot - high) : 0.0f;
        team.write(out + (size_t)row * columns,
                   [&](int i, int j) { return p(i, j) * ((d(i, j) - high) - low); });
    });
}

// d − eʸ Σ d
__global__ void __launch_bounds__(512) log_softmax_grad(float* __restrict__ out, const float* __restrict__ y,
                                                         const float* __restrict__ dout, int rows, int columns,
                                                         int team_size) {
    for_rows<2>({y, dout}, rows, columns, team_size, [&](const Team& team, int row, const Row* in) {
        const Row &p = in[0], &d = in[1];
        float sum = float(total(team, [&](int i, int j) { return d(i, j); }));
        team.write(out + (size_t)row * columns, [&](int i, int j) { return d(i, j) - expf(p(i, j)) * sum; });
    });
}
}
