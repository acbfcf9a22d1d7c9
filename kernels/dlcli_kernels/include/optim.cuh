// One element under an optimiser step, in registers: p and its states from the gradient. Rates and the other
// settings are float32 by then; what they come from is float64.
#pragma once

// What p shrinks by, and the L2 and L1 terms that the gradient gets.
struct Penalty {
    float shrink, l2, l1;
    __device__ __forceinline__ Penalty(double lr, double weight_decay, double l1, int decoupled)
        : shrink(decoupled ? static_cast<float>(1 - lr * weight_decay) : 1.0f),
          l2(decoupled ? 0.0f : static_cast<float>(weight_decay)),
          l1(static_cast<float>(l1)) {}
    __device__ __forceinline__ float gradient(float g, float w) const {
        if (l2 != 0) g += l2 * w;  // selections: 0 · ∞ would be a NaN
        if (l1 != 0) g += w > 0 ? l1 : w < 0 ? -l1 : l1 * w;  // the last: 0, or the NaN that w is
        return g;
    }
};

struct Sgd {
    Penalty penalty;
    float rate;
    __device__ __forceinline__ void update(float& p, float g, float&, float&, float&) const {
        float w = p * penalty.shrink;
        p = w - rate * penalty.gradient(g, w);
    }
};

struct Momentum {
    Penalty penalty;
    float rate, momentum, take;
    bool first, nesterov;
    __device__ __forceinline__ void update(float& p, float g, float& m, float&, float&) const {
        float w = p * penalty.shrink, d = penalty.gradient(g, w);
        m = first ? d : momentum * m + take * d;
        p = w - rate * (nesterov ? d + momentum * m : m);
    }
};

struct RmsProp {
    Penalty penalty;
    float rate, keep, take, eps, momentum;
    bool centered;
    __device__ __forceinline__ void update(float& p, float g, float& v, float& m, float& mean) const {
        float w = p * penalty.shrink, d = penalty.gradient(g, w);
        v = keep * v + take * d * d;
        mean = keep * mean + take * d;
        float spread = centered ? v - mean * mean : v;
        spread = spread < 0 ? 0.0f : spread;  // below 0 by rounding alone; a NaN stays
        d /= sqrtf(spread) + eps;
        m = d + momentum * m;
        p = w - rate * m;
    }
};

struct Adam {
    Penalty penalty;
    float rate, unbias, keep1, take1, keep2, take2, eps;
    __device__ __forceinline__ Adam(Penalty penalty, const float (&scalars)[2], double beta1, double beta2, double eps)
        : penalty(penalty), rate(scalars[0]), unbias(scalars[1]), keep1(static_cast<float>(beta1)),
          take1(static_cast<float>(1 - beta1)), keep2(static_cast<float>(beta2)),
          take2(static_cast<float>(1 - beta2)), eps(static_cast<float>(eps)) {}
    // The rate with the first moment's bias taken out, and what takes out the second's, for step `number`.
    static __device__ __forceinline__ void unbiased(float (&scalars)[2], double lr, double number, double beta1,
                                                    double beta2) {
        scalars[0] = static_cast<float>(lr / (1 - pow(beta1, number)));
        scalars[1] = static_cast<float>(1 / sqrt(1 - pow(beta2, number)));
    }
    __device__ __forceinline__ void update(float& p, float g, float& m, float& v, float&) const {
        float w = p * penalty.shrink, d = penalty.gradient(g, w);
        m = keep1 * m + take1 * d;
        v = keep2 * v + take2 * d * d;
        p = w - rate * (m / (sqrtf(v) * unbias + eps));
    }
};
