"""What speaks for a class, drawn over the image, as a PNG file: saliency, Grad-CAM, occlusion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcli.cli.plot import figure_at, label, plain
from dlcli.cli.plot_mistakes import show

LIGHT, OPAQUE = 0.1, 0.85  # how much of a map covers the image where it is 0, where it is highest
SHARP = 99.5  # percentile of saliency that is as bright as the brightest: single pixels stick out


def explanation(picture: Any, maps: Mapping[str, Any], path: Path, title: str) -> None:
    """picture: (H, W, C) uint8. maps: "saliency" (H, W), "grad_cam" (P, Q), which covers it, or
    None, "occlusion" (H, W). OSError: the file cannot be written.
    """
    import numpy as np

    height, width = picture.shape[:2]
    across = min(max(width / height, 0.6), 1.8)
    with figure_at(path, (4 * 2.1 * across + 0.4, 2.85)) as figure:
        seen, slope, cam, covered = figure.subplots(1, 4)
        show(seen, picture)
        seen.set_title("what the model sees", fontsize=9)
        for panel in (slope, cam, covered):
            show(panel, _faded(picture))
        found = maps["saliency"]
        _over(slope, found / max(np.percentile(found, SHARP), _tiny(found)), "inferno")
        slope.set_title("saliency", fontsize=9)
        _below(slope, "what changes the score most")
        cam.set_title("Grad-CAM", fontsize=9)
        if (found := maps["grad_cam"]) is None:
            middle = {"ha": "center", "va": "center", "transform": cam.transAxes, "fontsize": 8}
            box = {"facecolor": "white", "edgecolor": "#94a3b8", "boxstyle": "round"}
            cam.text(0.5, 0.5, "needs a convolution:\nthe model has none", bbox=box, **middle)
        else:
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            _over(cam, found / max(found.max(), _tiny(found)), "inferno", extent)
            cells = f"{found.shape[0]}×{found.shape[1]}"
            _below(cam, f"the last convolution, {cells} cells" if found.any() else "nothing")
        found = maps["occlusion"]
        _over(covered, found / max(np.abs(found).max(), _tiny(found)), "RdBu_r")
        covered.set_title("occlusion", fontsize=9)
        _below(covered, _moved(found))
        figure.suptitle(plain(label(title, 90).replace(r"\$", "$")), fontsize=10)


def _moved(found: Any) -> str:
    """What of the probability is lost and won at most where parts are covered."""
    sides = ((float(found.max()), "lost (red)"), (-float(found.min()), "won (blue)"))
    told = [f"{share:.1%} {what}" for share, what in sides if share >= 0.0005]
    return ", ".join(told) if told else "nothing is lost or won"


def _tiny(found: Any) -> float:
    """By which a map of zeros is divided."""
    import numpy as np

    return float(np.finfo(found.dtype).tiny)


def _faded(picture: Any) -> Any:
    """The image in grey and nearer to the middle, so that colours over it can be told."""
    import numpy as np

    grey = picture.astype(np.float64).mean(axis=2, keepdims=True)
    return (64 + grey / 2).astype(np.uint8)


def _over(panel: Any, values: Any, colours: str, extent: Any = None) -> None:
    """Values up to 1 (from -1, of two colours) over an image: high ones hide it most."""
    import numpy as np

    two = colours.startswith("RdBu")
    alpha = LIGHT + (OPAQUE - LIGHT) * np.clip(np.abs(values), 0, 1)
    smooth = "nearest" if extent is None else "bilinear"  # a map of few cells is no mosaic
    low = -1.0 if two else 0.0
    more = {} if extent is None else {"extent": extent}
    panel.imshow(
        values, cmap=colours, vmin=low, vmax=1.0, alpha=alpha, interpolation=smooth, **more
    )


def _below(panel: Any, text: str) -> None:
    panel.text(0.5, -0.04, text, transform=panel.transAxes, ha="center", va="top", fontsize=7.5)
