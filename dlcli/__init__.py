"""dlcli: deep learning from the shell, on kernels that can be read, verified and benchmarked."""

__version__ = "0.1.0"
