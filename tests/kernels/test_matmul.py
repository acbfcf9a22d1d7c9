"""The product's ranges: along its rows, or along its columns where they are many more."""

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize(("m", "n"), [(700, 40), (40, 700)], ids=["by rows", "by columns"])
def test_the_longer_side_is_cut_and_the_bias_goes_with_the_columns(m, n, ta, tb):
    rng, k = np.random.default_rng(0), 600
    a, b, bias = (rng.standard_normal(s) for s in ((m, k), (k, n), (n,)))
    ins = [a.T.copy() if ta else a, b.T.copy() if tb else b, bias]
    op, attrs = registry.op("matmul"), {"ta": ta, "tb": tb, "act": "relu"}
    specs = [Spec.of(i) for i in ins]
    launch = Launch(op, registry.resolve(op, "cpu", specs, attrs), specs, attrs)
    assert len(launch.ranges) > 3
    assert launch.ranges[-1][1] == max(m, n)
    outs = launch.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    launch.run(outs, ins)
    np.testing.assert_allclose(outs[0], np.maximum(a @ b + bias, 0), rtol=1e-10, atol=1e-10)
