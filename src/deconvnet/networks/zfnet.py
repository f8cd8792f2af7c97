"""ZFNet (Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", arXiv 1311.2901v3).

Sec. 3 and Fig. 3: 7 x 7 filters with stride 2 in layer 1, stride 2 in layer 2 (Sec. 5.1), layers 3 to 5 dense; each of
layers 1 and 2 is convolved, rectified, max-pooled (3 x 3, stride 2) and only then contrast normalised; dropout 0.5 in
layers 6 and 7.

===== ==================== ======== ==================== =====================
layer filters              stride   then                 224 px -> map
===== ==================== ======== ==================== =====================
conv1 96 of 7 x 7 x 3      2        ReLU, pool, LRN      110 x 110, 55 x 55
conv2 256 of 5 x 5 x 96    2        ReLU, pool, LRN      26 x 26, 13 x 13
conv3 384 of 3 x 3 x 256   1        ReLU                 13 x 13
conv4 384 of 3 x 3 x 384   1        ReLU                 13 x 13
conv5 256 of 3 x 3 x 384   1        ReLU, pool           13 x 13, 6 x 6
fc6   4096                          ReLU, dropout
fc7   4096                          ReLU, dropout
fc8   classes
===== ==================== ======== ==================== =====================

Parameters with 1000 classes: 62,357,608. The paper gives neither padding nor rounding nor the constants of the
normalisation; this is cuda-convnet's arithmetic without padding in layers 1 and 2, which yields exactly the paper's
sizes, and Krizhevsky's constants.

Variants from circulating write-ups, kept so that they can be compared (both deviate from the paper):

``zfnet-lrn30``
    normalises over 30 and 50 maps with k=1, before pooling; pads conv1 and the pools by one; no dropout. Same
    parameters, shifted windows.
``zfnet-386m``
    conv1 padded by 2 (111 x 111), conv2 with stride 1 and padding 2, maps 512-1024-512, no normalisation: 13 x 13 x 512
    enter fc6, 386,548,840 parameters. The paper's Table 3 network with these maps is ``zfnet-wide`` (107,627,624).
"""

from __future__ import annotations

from collections.abc import Collection

from deconvnet.geometry import Window
from deconvnet.networks.eight_layers import POOL, ConvLayer, EightLayerNet, Normalization, eight_layers, three_widths


def zfnet(
    num_classes: int = 1000,
    input_size: int = 224,
    fc_width: int = 4096,
    lrn: bool = True,
    remove: Collection[int] = (),
    widths: tuple[int, int, int] = (384, 384, 256),
    dropout: float = 0.5,
    blurpool: bool = False,
) -> EightLayerNet:
    """The paper's network (Fig. 3).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    input_size : int
        Side of the square RGB input in pixels.
    fc_width : int
        Units of fc6 and fc7 (Table 3: 2048, 4096, 8192).
    lrn : bool
        Whether layers 1 and 2 are contrast normalised.
    remove : collection of int
        Layers to leave out (Table 3): (), (3, 4), (6,), (7,), (6, 7) or (3, 4, 6, 7).
    widths : (int, int, int)
        Maps of layers 3, 4, 5 (Table 3: 512, 1024, 512).
    dropout : float
        Probability in fc6 and fc7.
    blurpool : bool
        Blur before subsampling (Zhang 2019; not the paper's): in conv1, conv2 and the pools. Maps, sizes and weights
        stay the same; conv1 and conv2 cost four times as much.

    Returns
    -------
    EightLayerNet
        N x 3 x input_size x input_size -> N x num_classes scores (before softmax).

    Raises
    ------
    OptionError
        If an option is out of range.
    """
    norm = Normalization() if lrn else None
    three, four, five = three_widths(widths)
    return eight_layers(
        (
            ConvLayer(96, 7, stride=2, pool=POOL, norm=norm),
            ConvLayer(256, 5, stride=2, pool=POOL, norm=norm),
            ConvLayer(three, 3, padding=1),
            ConvLayer(four, 3, padding=1),
            ConvLayer(five, 3, padding=1, pool=POOL),
        ),
        num_classes=num_classes,
        input_size=input_size,
        fc_width=fc_width,
        remove=remove,
        dropout=dropout,
        norm_first=False,
        blurpool=blurpool,
    )


def zfnet_wide(
    num_classes: int = 1000,
    input_size: int = 224,
    fc_width: int = 4096,
    lrn: bool = True,
    remove: Collection[int] = (),
    widths: tuple[int, int, int] = (512, 1024, 512),
    dropout: float = 0.5,
    blurpool: bool = False,
) -> EightLayerNet:
    """Table 3's "512, 1024, 512 maps" in layers 3 to 5; options as in :func:`zfnet`."""
    return zfnet(num_classes, input_size, fc_width, lrn, remove, widths, dropout, blurpool)


def zfnet_lrn30(
    num_classes: int = 1000,
    input_size: int = 224,
    fc_width: int = 4096,
    lrn: bool = True,
    remove: Collection[int] = (),
    widths: tuple[int, int, int] = (384, 384, 256),
) -> EightLayerNet:
    """A write-up's network: LRN over 30 and 50 maps before padded pools, no dropout. Not the paper's.

    Options as in :func:`zfnet`.
    """
    padded = Window(3, 2, padding=1)
    three, four, five = three_widths(widths)
    return eight_layers(
        (
            ConvLayer(96, 7, stride=2, padding=1, pool=padded, norm=Normalization(30, k=1.0) if lrn else None),
            ConvLayer(256, 5, stride=2, pool=padded, norm=Normalization(50, k=1.0) if lrn else None),
            ConvLayer(three, 3, padding=1),
            ConvLayer(four, 3, padding=1),
            ConvLayer(five, 3, padding=1, pool=POOL),
        ),
        num_classes=num_classes,
        input_size=input_size,
        fc_width=fc_width,
        remove=remove,
        dropout=0.0,
        norm_first=True,
        overhang=False,
    )


def zfnet_386m(
    num_classes: int = 1000,
    input_size: int = 224,
    fc_width: int = 4096,
    remove: Collection[int] = (),
    widths: tuple[int, int, int] = (512, 1024, 512),
    dropout: float = 0.5,
) -> EightLayerNet:
    """A write-up's network: conv2 with stride 1, 512-1024-512 maps, no LRN. Not the paper's.

    Options as in :func:`zfnet`.
    """
    three, four, five = three_widths(widths)
    return eight_layers(
        (
            ConvLayer(96, 7, stride=2, padding=2, pool=POOL),
            ConvLayer(256, 5, padding=2, pool=POOL),
            ConvLayer(three, 3, padding=1),
            ConvLayer(four, 3, padding=1),
            ConvLayer(five, 3, padding=1, pool=POOL),
        ),
        num_classes=num_classes,
        input_size=input_size,
        fc_width=fc_width,
        remove=remove,
        dropout=dropout,
        norm_first=True,
        overhang=False,
    )
