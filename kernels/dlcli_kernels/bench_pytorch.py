"""How PyTorch is asked to do what an op does: NHWC as channels_last, nothing copied.

`PYTORCH[op](torch, tensors, attrs)` gives a function that returns the outputs by name, or something
false where PyTorch has no call for these operands. Only outputs that mean the same are among them:
the places of maxima, for instance, are counted differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def _nchw(tensor: Any) -> Any:
    return tensor.permute(0, 3, 1, 2)


def _nhwc(tensor: Any) -> Any:
    return tensor.permute(0, 2, 3, 1)


def _geometry(attrs: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """(stride, padding, dilation, groups), or None for a padding that is not the same all round."""
    (top, bottom), (left, right) = attrs["padding"]
    if (top, left) != (bottom, right):
        return None
    return attrs["stride"], (top, left), attrs["dilation"], attrs["groups"]


def _act(torch: Any, act: str | None) -> Callable[[Any], Any] | None:
    table = {
        None: lambda y: y,
        "relu": torch.relu_,
        "tanh": torch.tanh_,
        "sigmoid": torch.sigmoid_,
    }
    return table.get(act)


def _conv2d(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    geometry, act = _geometry(attrs), _act(torch, attrs["act"])
    if geometry is None or act is None:
        return None
    x, w = _nchw(t["x"]), _nchw(t["w"])
    stride, padding, dilation, groups = geometry
    conv = torch.nn.functional.conv2d
    if "pool" not in attrs:
        return lambda: {"out": _nhwc(act(conv(x, w, t["b"], stride, padding, dilation, groups)))}
    pool = torch.nn.functional.max_pool2d_with_indices

    def pooled() -> Any:
        y = act(conv(x, w, t["b"], stride, padding, dilation, groups))
        return {"out": _nhwc(pool(y, attrs["pool"])[0])}

    return pooled


def _backward(torch: Any, dz: Any, x: Any, w: Any, attrs: Mapping[str, Any], mask: Any) -> Any:
    geometry = _geometry(attrs)
    if geometry is None:
        return None
    stride, padding, dilation, groups = geometry
    sizes = [dz.shape[1]] if mask[2] else None
    again = torch.ops.aten.convolution_backward
    return lambda: again(
        dz, x, w, sizes, stride, padding, dilation, False, [0, 0], groups, list(mask)
    )


def _dgrad(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    dz, w, (h, wd) = _nchw(t["dout"]), _nchw(t["w"]), attrs["size"]
    x = _nchw(t["w"].new_empty(dz.shape[0], h, wd, w.shape[1] * attrs["groups"]))
    call = _backward(torch, dz, x, w, attrs, (True, False, False))
    return call and (lambda: {"out": _nhwc(call()[0])})


def _wgrad(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    dz, x, (r, s) = _nchw(t["dout"]), _nchw(t["x"]), attrs["filters"]
    w = _nchw(t["x"].new_empty(dz.shape[1], r, s, x.shape[1] // attrs["groups"]))
    call = _backward(torch, dz, x, w, attrs, (False, True, attrs["bias"]))

    def named() -> Any:
        _, dw, db = call()
        return {"dw": _nhwc(dw), **({"db": db} if attrs["bias"] else {})}

    return call and named


def _maxpool(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    (top, bottom), (left, right) = attrs["padding"]
    if (top, left) != (bottom, right):
        return None
    x, pool = _nchw(t["x"]), torch.nn.functional.max_pool2d_with_indices
    window, stride = attrs["window"], attrs["stride"]
    return lambda: {"out": _nhwc(pool(x, window, stride, (top, left))[0])}


def _sum(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    axes, keepdims = attrs["axes"], attrs.get("keepdims", False)
    return axes and (lambda: {"out": torch.sum(t["x"], axes, keepdim=keepdims)})


def _relu(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    table = {"relu": torch.relu, "tanh": torch.tanh, "gelu": torch.nn.functional.gelu}
    act = table.get(attrs["act"])
    return act and (lambda: {"out": act(t["x"])})


def _cross_entropy(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    smoothing = attrs.get("label_smoothing", 0.0)
    loss = torch.nn.functional.cross_entropy
    return lambda: {
        "out": loss(t["x"], t["y"], t["weight"], reduction="none", label_smoothing=smoothing)
    }


def _layernorm(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    norm, x, eps = torch.nn.functional.layer_norm, t["x"], attrs.get("eps", 1e-5)
    return lambda: {"out": norm(x, x.shape[-1:], t["gamma"], t["beta"], eps)}


def _batchnorm_inference(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    if t["x"].dim() != 4:
        return None
    norm, x, eps = torch.nn.functional.batch_norm, _nchw(t["x"]), attrs.get("eps", 1e-5)
    vectors = (t["mean"], t["var"], t["gamma"], t["beta"])
    return lambda: {"out": _nhwc(norm(x, *vectors, False, 0.0, eps))}


def _embedding(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    table, ids = t["table"], t["ids"]
    inside = ids.numel() == 0 or (ids.min() >= 0 and ids.max() < len(table))
    return (lambda: {"out": torch.nn.functional.embedding(ids, table)}) if inside else None


def _lstm(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    """The layer on sequences of one feature, whose input product is next to nothing: ours takes
    these products as operands. The outputs are of other inputs, so that none is compared.
    """
    if t["lengths"] is not None or attrs["reverse"]:
        return None
    x, (h, c) = t["zx"][..., :1].contiguous(), (t["h0"][None], t["c0"][None])
    layer = torch.nn.LSTM(1, h.shape[-1], batch_first=True, device=x.device, dtype=x.dtype)

    def run() -> Any:
        with torch.no_grad():
            layer(x, (h, c))
        return {}

    return run


def _attention(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    """Heads before rows, as PyTorch has them: views."""
    if t["lengths"] is not None:
        return None
    q, k, v = (t[name].transpose(1, 2) for name in "qkv")
    attend, how = torch.nn.functional.scaled_dot_product_attention, {"scale": attrs.get("scale")}
    how["is_causal"] = attrs.get("causal", False)
    return lambda: {"out": attend(q, k, v, **how).transpose(1, 2)}


def _bmm(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    a, b = t["a"].mT if attrs.get("ta") else t["a"], t["b"].mT if attrs.get("tb") else t["b"]
    return lambda: {"out": a @ b}


def _softmax_grad(name: str) -> Callable[..., Any]:
    def build(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
        again, y, dout = getattr(torch.ops.aten, name), t["y"], t["dout"]
        return lambda: {"out": again(dout, y, -1, y.dtype)}

    return build


def _of(function: str, *operands: str, **fixed: Any) -> Callable[..., Any]:
    """An op that is one function of PyTorch's on the operands named."""

    def build(torch: Any, t: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
        run, given = getattr(torch, function), [t[name] for name in operands]
        return lambda: {"out": run(*given, **fixed)}

    return build


PYTORCH: dict[str, Callable[..., Any]] = {
    "matmul": lambda torch, t, attrs: None if attrs.get("act") or t["bias"] is not None else (
        lambda: {"out": (t["a"].T if attrs.get("ta") else t["a"])
                 @ (t["b"].T if attrs.get("tb") else t["b"])}
    ),
    "conv2d": _conv2d,
    "conv2d_pool": _conv2d,
    "conv2d_dgrad": _dgrad,
    "conv2d_wgrad": _wgrad,
    "maxpool2d": _maxpool,
    "act": _relu,
    "sum": _sum,
    "softmax_cross_entropy": _cross_entropy,
    "softmax_grad": _softmax_grad("_softmax_backward_data"),
    "log_softmax_grad": _softmax_grad("_log_softmax_backward_data"),
    "layernorm": _layernorm,
    "batchnorm_inference": _batchnorm_inference,
    "embedding": _embedding,
    "lstm_sequence": _lstm,
    "add": _of("add", "x", "y"),
    "mul": _of("mul", "x", "y"),
    "div": _of("div", "x", "y"),
    "attention": _attention,
    "bmm": _bmm,
    "softmax": _of("softmax", "x", dim=-1),
    "log_softmax": _of("log_softmax", "x", dim=-1),
}  # fmt: skip
