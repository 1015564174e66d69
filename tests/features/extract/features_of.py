"""What the tests ask a backbone: the features of boxes in whole images."""

import numpy as np
from vqa_gs.features.extract.images import to_tensor
from vqa_gs.features.extract.regions import Found


def features_of(backbone, images, boxes):
    """Returns an array (n, dim) an image; images are PIL's or (3, H, W) uint8."""
    tensors = [to_tensor(image) for image in images]
    sizes = [(image.shape[2], image.shape[1]) for image in tensors]
    found = [Found(np.asarray(corners, np.float32)) for corners in boxes]
    described = backbone.extract([backbone.prepare(image) for image in tensors], sizes, found)
    return [regions.features for regions in described]
