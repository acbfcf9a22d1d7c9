#!/usr/bin/env bash
# Verifies, benchmarks and trains on this machine's GPU, then writes README.md's table.
#
#     bash bench/gpu.sh [--stage steps|verify|bench|train] [--family matmul] [--minutes 25]
#
# Needs the packages of `pip install '.[cuda12]'` or '.[cuda13]'; PyTorch beside them for the ratios to
# cuDNN. Figures go to bench/results/<gpu>.json; what was not measured is written as not measured.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH="$PWD:$PWD/kernels${PYTHONPATH:+:$PYTHONPATH}"
export NVIDIA_TF32_OVERRIDE=0 # float32 means float32, the vendor's too
python=${PYTHON:-python3}

nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,temperature.gpu --format=csv || {
    echo "there is no NVIDIA GPU or no driver here: nothing is measured" >&2
    exit 5
}
"$python" bench/gpu.py "$@"
"$python" bench/readme.py
