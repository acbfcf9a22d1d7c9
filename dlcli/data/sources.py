"""Where published datasets are downloaded from, and what they must be: pinned sizes and hashes.

A dataset whose files' hashes are not known is not here: `dlcli data get` says where to find it.
SHA-256 where the files themselves were hashed; MD5 as the publisher, or the usual loaders, state
it: enough against damage on the way, which is what a hash is for here beside HTTPS.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Remote:
    """A file. name: below the dataset's folder. urls: the first that answers is taken. algorithm,
    digest: "sha256" or "md5", in hexadecimal. size: in bytes, None if it is not known. most: bytes
    that are read at most. unpack: a tar archive, from which the folder is made.
    """

    name: str
    urls: tuple[str, ...]
    algorithm: str
    digest: str
    size: int | None = None
    most: int = 512 * MIB
    unpack: bool = False


def _idx(hosts: tuple[str, ...], files: dict[str, tuple[int, str]]) -> tuple[Remote, ...]:
    return tuple(
        Remote(name, tuple(host + name for host in hosts), "sha256", digest, size)
        for name, (size, digest) in files.items()
    )


_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_FASHION = ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",)
SOURCES: dict[str, tuple[Remote, ...]] = {
    "mnist": _idx(
        _MNIST,
        {
            "train-images-idx3-ubyte.gz": (
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            "train-labels-idx1-ubyte.gz": (
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            "t10k-images-idx3-ubyte.gz": (
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        },
    ),
    "fashion-mnist": _idx(
        _FASHION,
        {
            "train-images-idx3-ubyte.gz": (
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            "train-labels-idx1-ubyte.gz": (
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            "t10k-images-idx3-ubyte.gz": (
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        },
    ),
    "tinyshakespeare": (
        Remote(
            "input.txt",
            (
                "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
                "input.txt",
            ),
            "sha256",
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            1_115_394,
        ),
    ),
    "cifar10": (
        Remote(
            "cifar-10-binary.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
            "md5",
            "c32a1d4ab5d03f1284b67883e8d87530",
            unpack=True,
        ),
    ),
    "imdb": (  # read as it is: the archive is not unpacked
        Remote(
            "aclImdb_v1.tar.gz",
            ("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",),
            "md5",
            "7c2ac02c03563afcf9b574c7e56c153a",
        ),
    ),
}
