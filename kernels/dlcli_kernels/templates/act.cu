// An activation to start from: out = f(x), each element by itself, one thread for each.
//
// Memory is what it costs: 8 bytes for each element, and a few operations. The next step: let a thread
// read and write four elements at once, as a float4.
#include "activation.cuh"  // activate(z, act): relu, tanh, …; numbered as the host does

extern "C" __global__ void my_act(float* out, const float* x, int n, int act) {
    int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < n) out[i] = activate(x[i], act);  // the last block reaches beyond the array
}
