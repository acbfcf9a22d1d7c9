"""Updates although a non-finite gradient has been seen."""

from dlcli_kernels.optim.op import SGD


def sgd_step(p, g, lr, halt, **settings):
    SGD.reference(p, g, lr, halt * 0, **settings)
