"""Generators whose weights others publish, in PyTorch, with the names and the arithmetic of their authors' programs.

The other side of `gan translate WEIGHTS`: make_published.py makes the fixtures in tests/data/published with them. Each
takes and gives NCHW tensors in the range of its authors' test script, and has its width as an argument, so that fixtures
stay small. Needs torch >= 1.13.
"""
import torch
from torch import nn
from torch.nn import functional as F


def reflected(pad, *layers):
    return nn.Sequential(nn.ReflectionPad2d(pad), *layers)


class AnimeGan2(nn.Module):
    """bryandlee/animegan2-pytorch: [-1, 1] to [-1, 1]. Module numbers: 0 padding, 1 convolution, 2 norm, 3 activation."""

    def __init__(self, width=32):
        super().__init__()
        w = width

        def block(inputs, outputs, kernel=3, stride=1, pad=1, groups=1, bias=False):
            conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=bias)
            return reflected(pad, conv, nn.GroupNorm(1, outputs), nn.LeakyReLU(0.2))

        class Inverted(nn.Module):
            def __init__(self, inputs, outputs):
                super().__init__()
                wide = 2 * inputs
                self.layers = nn.Sequential(
                    block(inputs, wide, 1, pad=0), block(wide, wide, groups=wide, bias=True),
                    nn.Conv2d(wide, outputs, 1, bias=False), nn.GroupNorm(1, outputs))

            def forward(self, x):
                y = self.layers(x)
                return x + y if x.shape == y.shape else y

        at_end = (0, 1, 0, 1)
        self.block_a = nn.Sequential(block(3, w, 7, pad=3), block(w, 2 * w, stride=2, pad=at_end), block(2 * w, 2 * w))
        self.block_b = nn.Sequential(block(2 * w, 4 * w, stride=2, pad=at_end), block(4 * w, 4 * w))
        self.block_c = nn.Sequential(block(4 * w, 4 * w), Inverted(4 * w, 8 * w),
                                     *[Inverted(8 * w, 8 * w) for _ in range(3)], block(8 * w, 4 * w))
        self.block_d = nn.Sequential(block(4 * w, 4 * w), block(4 * w, 4 * w))
        self.block_e = nn.Sequential(block(4 * w, 2 * w), block(2 * w, 2 * w), block(2 * w, w, 7, pad=3))
        self.out_layer = nn.Sequential(nn.Conv2d(w, 3, 1, bias=False), nn.Tanh())

    def forward(self, x, align_corners=True):
        def enlarge(y, size):
            if align_corners:
                return F.interpolate(y, size, mode="bilinear", align_corners=True)
            return F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)

        half = self.block_a(x)
        y = enlarge(self.block_c(self.block_b(half)), half.shape[2:])
        y = enlarge(self.block_d(y), x.shape[2:])
        return self.out_layer(self.block_e(y))


class StyleNet(nn.Module):
    """pytorch/examples fast_neural_style: 0 to 255, to values around that."""

    class Conv(nn.Module):
        def __init__(self, inputs, outputs, kernel, stride=1):
            super().__init__()
            self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

        def forward(self, x):
            pad = self.conv2d.kernel_size[0] // 2
            return self.conv2d(F.pad(x, [pad] * 4, mode="reflect"))

    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv1, self.conv2 = StyleNet.Conv(channels, channels, 3), StyleNet.Conv(channels, channels, 3)
            self.in1, self.in2 = (nn.InstanceNorm2d(channels, affine=True) for _ in range(2))

        def forward(self, x):
            return x + self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))

    def __init__(self, width=32):
        super().__init__()
        w = width
        ways = {"conv1": (3, w, 9, 1), "conv2": (w, 2 * w, 3, 2), "conv3": (2 * w, 4 * w, 3, 2),
                "deconv1": (4 * w, 2 * w, 3, 1), "deconv2": (2 * w, w, 3, 1), "deconv3": (w, 3, 9, 1)}
        for name, way in ways.items():
            setattr(self, name, self.Conv(*way))
        for i, channels in enumerate((w, 2 * w, 4 * w, 2 * w, w), 1):
            setattr(self, f"in{i}", nn.InstanceNorm2d(channels, affine=True))
        for i in range(1, 6):
            setattr(self, f"res{i}", self.Block(4 * w))

    def forward(self, x):
        y = F.relu(self.in1(self.conv1(x)))
        y = F.relu(self.in2(self.conv2(y)))
        y = F.relu(self.in3(self.conv3(y)))
        for i in range(1, 6):
            y = getattr(self, f"res{i}")(y)
        y = F.relu(self.in4(self.deconv1(F.interpolate(y, scale_factor=2))))
        y = F.relu(self.in5(self.deconv2(F.interpolate(y, scale_factor=2))))
        return self.deconv3(y)


def adain_encoder(width=64):
    """naoto0804/pytorch-AdaIN's normalised VGG-19 up to relu5_4, as its file has it; the first 31 modules are used."""
    layers, inputs = [nn.Conv2d(3, 3, 1)], 3
    for stage, (convolutions, outputs) in enumerate(((2, width), (2, 2 * width), (4, 4 * width), (4, 8 * width), (4, 8 * width))):
        if stage:
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
        for _ in range(convolutions):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(inputs, outputs, 3), nn.ReLU()]
            inputs = outputs
    return nn.Sequential(*layers)


def adain_decoder(width=64):
    layers, inputs = [], 8 * width
    for times in ((4,), (4, 4, 4, 2), (2, 1), (1, 0)):
        for outputs in times:
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(inputs, outputs * width or 3, 3), nn.ReLU()]
            inputs = outputs * width
        layers.append(nn.Upsample(scale_factor=2))
    return nn.Sequential(*layers[:-2])  # behind the last convolution there is nothing


def stylised(encoder, decoder, content, style, alpha=1.0):
    """0 to 1 to values around that."""
    encode = encoder[:31]
    x, y = encode(content), encode(style)

    def moments(f):
        deviation, mean = torch.std_mean(f, (2, 3), unbiased=True, keepdim=True)
        return mean, torch.sqrt(deviation ** 2 + 1e-5)

    (mean_x, deviation_x), (mean_y, deviation_y) = moments(x), moments(y)
    with_style = (x - mean_x) / deviation_x * deviation_y + mean_y
    return decoder(alpha * with_style + (1 - alpha) * x)


def residual_generator(width=64, blocks=9, norm=nn.InstanceNorm2d):
    """pytorch-CycleGAN-and-pix2pix, resnet_Nblocks without dropout: [-1, 1] to [-1, 1], names below `model`."""
    w, bias = width, norm is nn.InstanceNorm2d

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv_block = nn.Sequential(
                nn.ReflectionPad2d(1), nn.Conv2d(4 * w, 4 * w, 3, bias=bias), norm(4 * w), nn.ReLU(),
                nn.ReflectionPad2d(1), nn.Conv2d(4 * w, 4 * w, 3, bias=bias), norm(4 * w))

        def forward(self, x):
            return x + self.conv_block(x)

    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7, bias=bias), norm(w), nn.ReLU()]
    for k in (1, 2):
        layers += [nn.Conv2d(k * w, 2 * k * w, 3, 2, 1, bias=bias), norm(2 * k * w), nn.ReLU()]
    layers += [Block() for _ in range(blocks)]
    for k in (2, 1):
        layers += [nn.ConvTranspose2d(2 * k * w, k * w, 3, 2, 1, 1, bias=bias), norm(k * w), nn.ReLU()]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh()]
    return nn.ModuleDict({"model": nn.Sequential(*layers)})


def unet_generator(width=64, levels=8, norm=nn.BatchNorm2d):
    """pytorch-CycleGAN-and-pix2pix, unet_{2**levels} without dropout: [-1, 1] to [-1, 1], names below `model`."""
    bias = norm is nn.InstanceNorm2d

    class Level(nn.Module):
        def __init__(self, level):
            super().__init__()
            self.outermost, innermost = level == 0, level == levels - 1
            outer = width * min(8, 2 ** (level - 1)) if level else 3
            inner = width * min(8, 2 ** level)
            down = nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)
            up_bias = bias or self.outermost
            up = nn.ConvTranspose2d(inner if innermost else 2 * inner, outer, 4, 2, 1, bias=up_bias)
            if self.outermost:
                parts = [down, Level(level + 1), nn.ReLU(), up, nn.Tanh()]
            elif innermost:
                parts = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, norm(outer)]
            else:
                parts = [nn.LeakyReLU(0.2), down, norm(inner), Level(level + 1), nn.ReLU(), up, norm(outer)]
            self.model = nn.Sequential(*parts)

        def forward(self, x):
            y = self.model(x)
            return y if self.outermost else torch.cat([x, y], 1)

    return nn.ModuleDict({"model": Level(0)})


def with_lively_weights(network, seed):
    """Random weights that keep a picture's contrast through layers without a norm, and gains that are not 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            fan_in = value[0].numel() if value.dim() > 1 else 1
            if value.dim() > 1:
                value.copy_(noise * (2 / fan_in) ** 0.5)
            elif name.endswith("weight"):
                value.copy_(1 + 0.2 * noise)
            else:
                value.copy_(0.1 * noise)
    return network
