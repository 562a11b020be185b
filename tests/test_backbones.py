"""helpers.backbones: a network that knows ImageNet, and features computed once."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.models import _meta

from helpers import backbones, datasets


@pytest.fixture(scope="module")
def net():
    return backbones.efficientnet_lite0()  # load_state_dict is strict: it fails on a missing or an unknown name


def square(name):
    """A photo, its middle cut out, as (1, 3, 224, 224)."""
    photo = torch.tensor(datasets.photo(name), dtype=torch.float32)
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    photo = photo[top : top + side, left : left + side].permute(2, 0, 1)[None]
    return F.interpolate(photo, (224, 224), mode="bilinear", antialias=True)


@pytest.mark.parametrize(
    ("name", "classes"), [("chelsea", ["Egyptian cat", "tabby", "tiger cat"]), ("coffee", ["espresso"])]
)
def test_it_recognises_photos(net, name, classes):
    probabilities = net.classify(square(name)).softmax(dim=1)[0]
    known = [_meta._IMAGENET_CATEGORIES.index(label) for label in classes]
    assert probabilities[known].sum() > 0.7


def test_random_weights_recognise_nothing():
    torch.manual_seed(0)
    probabilities = backbones.efficientnet_lite0(pretrained=False).classify(square("coffee")).softmax(dim=1)
    assert probabilities.max() < 0.1


def test_shapes_at_all_strides_also_of_odd_sizes(net):
    images = torch.rand(2, 3, 71, 100)
    for stride, found in zip(backbones.CHANNELS, net(images, tuple(backbones.CHANNELS)), strict=True):
        assert found.shape == (2, backbones.CHANNELS[stride], -(-71 // stride), -(-100 // stride))


def test_each_stride_alone_is_what_it_is_among_others(net):
    images = torch.rand(1, 3, 64, 96)
    for stride, found in zip((4, 8, 16, 32), net(images, (4, 8, 16, 32)), strict=True):
        assert torch.equal(net(images, (stride,))[0], found)


def test_one_pass_gives_what_convolution_normalisation_and_relu_give(net):
    x = torch.randn(2, 3, 33, 46)
    block = net.stem
    padded = F.pad(x, (0, 1, 1, 1))  # 46 -> 23: one column right; 33 -> 17: a row above and below
    expected = F.relu6(block.norm(F.conv2d(padded, block.conv.weight, stride=2)))
    assert torch.allclose(block(x), expected, atol=1e-4)


def test_frozen_unless_asked_and_the_same_in_train_mode():
    net = backbones.efficientnet_lite0()
    assert not any(parameter.requires_grad for parameter in net.parameters())
    images = torch.rand(1, 3, 64, 64)
    before, statistics = net(images)[-1], net.stem.norm.running_mean.clone()
    assert torch.equal(net.train()(images)[-1], before)
    assert torch.equal(net.stem.norm.running_mean, statistics)
    net.requires_grad_(True)
    sum(found.sum() for found in net(images)).backward()
    missing = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    assert all(name.startswith(("head", "classifier")) for name in missing)


def test_cached_features(net):
    images = torch.rand(5, 3, 64, 96)
    cached = backbones.cache_features(net, images.split(2), (8, 32))
    for known, found in zip(cached, net(images, (8, 32)), strict=True):
        assert known.dtype == torch.float16 and known.shape == found.shape
        assert np.allclose(known.float(), found.detach(), rtol=2e-3, atol=2e-3)
