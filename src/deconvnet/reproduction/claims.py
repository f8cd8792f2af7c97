"""The claims of Zeiler & Fergus (2013), one entry each: what they say, their figure, and the rule that judges ours.

The rules were written before the runs that they judge, and are not changed after. They are not blind:
docs/reproduction.md says what was known. They have three values: a difference that is smaller than twice its standard
error decides nothing, and the claim is then not testable at this scale. ``SIGMAS`` and the limits that the rules name
are this project's; the paper gives none.

A claim reads the runs of the parts that it names (:mod:`deconvnet.reproduction` makes them), nothing else.
"""

from __future__ import annotations

from deconvnet.reproduction.evidence import Claim
from deconvnet.reproduction.judging_diagnosis import (
    clipping_is_needed,
    covering_hurts_the_class,
    covering_hurts_the_map,
    fewer_dead,
    learned_correspondence,
    middle_is_back,
    middle_is_missing,
    object_is_located,
    parts_change_alike,
    projection_tells_where,
    stride_folds,
    upper_layer_tells_less,
)
from deconvnet.reproduction.judging_features import (
    first_layer_jumps,
    jumps_are_other_photos,
    lower_settle_first,
    not_to_rotation,
    output_is_stable,
    pictures_need_weights,
    upper_layer_is_linear,
    upper_layer_moves_less,
    upper_maps_know_classes,
    upper_settle_late,
)
from deconvnet.reproduction.judging_networks import (
    average_is_better,
    better_than_alexnet,
    both_overfit,
    depth_matters,
    mostly_connected,
    on_imagenet,
    sizes_matter_little,
    small,
    wider_is_better,
)
from deconvnet.reproduction.judging_transfer import deeper_is_better, few_photos_do, not_here, pretrained_is_better

CLAIMS = (
    Claim(
        "imagenet-error", "Table 2", "One ZFNet errs in 38.4 % of ImageNet 2012's validation photos (top-1).", "38.4 %",
        "within one point, on data of 1,000 classes; any other data cannot tell",
        ("average",), on_imagenet,
    ),
    Claim(
        "better-than-alexnet", "Table 2", "ZFNet errs less than AlexNet trained alike.", "38.4 against 40.5 %",
        "of the held-out photos that only one of the two names rightly, more are ZFNet's, with p < 0.05 (two-sided "
        "sign test over photos; it says nothing about other seeds)",
        ("average",), better_than_alexnet,
    ),
    Claim(
        "averaging", "Table 2", "Averaging several networks errs less than one.", "36.7 (five) against 38.4 %",
        "the same test, of the average against the best of its networks",
        ("average",), average_is_better,
    ),
    Claim(
        "mostly-connected", "Sec. 5.1", "The fully connected layers hold most of the parameters.", "no figure",
        "more than half of the parameters of ZFNet as published (224 px, 1,000 classes) are not in convolutions",
        ("compare",), mostly_connected, learned=False,
    ),
    Claim(
        "depth", "Table 3", "Without layers 3, 4, 6 and 7 it is dramatically worse: depth as a whole matters.",
        "71.3 against 40.5 %; alone +4.9 and +4.3 points",
        "the rise of the held-out error is larger than those of removing 3 and 4 and of removing 6 and 7 together, by "
        "more than two standard errors",
        ("ablate",), depth_matters,
    ),
    Claim(
        "without-3-4", "Table 3", "Removing two middle layers makes a relatively small difference.",
        "45.4 against 40.5 %",
        "the error rises by less than a third of what removing all four layers costs (the paper: a sixth), by more "
        "than two standard errors",
        ("ablate",), small("remove-3-4"),
    ),
    Claim(
        "without-6-7", "Table 3", "Removing layers 6 and 7 only gives a slight increase in error.",
        "44.8 against 40.5 %", "the same rule", ("ablate",), small("remove-6-7"),
    ),
    Claim(
        "without-7", "Table 3", "Removing layer 7 makes little difference.", "40.0 against 40.5 %", "the same rule",
        ("ablate",), small("remove-7"),
    ),
    Claim(
        "connected-sizes", "Table 3", "The size of layers 6 and 7 makes little difference.",
        "+1.8 and +0.4 points",
        "with half and twice the units the error moves by at most five points, two standard errors included",
        ("ablate",), sizes_matter_little,
    ),
    Claim(
        "wider", "Table 3", "More maps in layers 3 to 5 give a useful gain.", "37.5 against 38.4 %",
        "the error falls by more than two standard errors", ("ablate",), wider_is_better,
    ),
    Claim(
        "overfitting", "Table 3", "More maps and larger layers 6 and 7 together over-fit.",
        "training 10.0 against 18.8, validation 38.3 against 37.5 %",
        "against more maps alone, the training error is lower and the held-out error higher by more than two standard "
        "errors",
        ("ablate",), both_overfit,
    ),
    Claim(
        "class-specific", "Fig. 2", "Layers 4 and 5 are more class-specific than the lower ones.", "no figure",
        "the share of a map's strongest nine photos that are of one class, mean over live maps, is larger in conv4 and "
        "conv5 than in each of conv1 to conv3",
        ("mine",), upper_maps_know_classes,
    ),
    Claim(
        "from-weights", "Sec. 2.1", "A projection shows what excites the map, through learned filters.", "no figure",
        "with random weights in the upper half of the layers up to conv5, the projection is no more like the unchanged "
        "one (rank correlation of magnitudes) than another photo's, plus 0.1 (Adebayo et al. 2018; not the paper's "
        "test)",
        ("sanity",), pictures_need_weights,
    ),
    Claim(
        "jumps", "Fig. 4", "Sudden jumps come from a change of the photo that excites the map most.", "no figure",
        "in every layer above the first, successive pictures of a map are more alike where its photo stayed than where "
        "it changed",
        ("evolve",), jumps_are_other_photos,
    ),
    Claim(
        "lower-first", "Fig. 4", "The lower layers converge within a few epochs, the upper ones later.", "no figure",
        "between first and last snapshot, pictures of one unit change less in the two lowest layers than in the two "
        "highest, by more than when noise changes the weights of all layers alike",
        ("evolve", "evolve-control"), lower_settle_first,
    ),
    Claim(
        "upper-late", "Fig. 4", "The upper layers only develop after 40 to 50 epochs (of 70).", "40 of 70 epochs",
        "the cosine of pictures with the last snapshot stays at 0.9 only after four sevenths of the epochs in the two "
        "highest layers, and earlier in the lowest",
        ("evolve",), upper_settle_late,
    ),
    Claim(
        "first-layer-jumps", "Fig. 5", "Small transformations have a dramatic effect in layer 1.", "no figure",
        "the smallest step (5 of 224 px, 0.05, 10 degrees) brings at least half of the largest distance, in all three",
        ("invariance",), first_layer_jumps,
    ),
    Claim(
        "upper-layer-less", "Fig. 5", "They have a lesser one in layer 7.", "no figure",
        "that share is at most half of layer 1's, for translation and scale",
        ("invariance",), upper_layer_moves_less,
    ),
    Claim(
        "upper-layer-linear", "Fig. 5", "Layer 7 is quasi-linear for translation and scaling.", "no figure",
        "r² of distance and step, mean over photos, is at least 0.7 for both", ("invariance",), upper_layer_is_linear,
    ),
    Claim(
        "output-stable", "Fig. 5", "The output is stable to translations and scalings.", "no figure",
        "at least three quarters of the class's probability are kept, mean over photos and steps, for both",
        ("invariance",), output_is_stable,
    ),
    Claim(
        "not-rotation", "Fig. 5", "In general the output is not invariant to rotation.", "no figure",
        "less than three quarters are kept, and less than for translation and scale", ("invariance",), not_to_rotation,
    ),
    Claim(
        "rotational-symmetry", "Fig. 5", "... except for an object with rotational symmetry.", "one photo",
        "photos must be marked as symmetric, which none here is", (),
        not_here("photos are drawn at random; docs/invariance.md has two round things"),
    ),
    Claim(
        "missing-middle", "Fig. 6", "AlexNet's first layer has very high and low frequencies, little between.",
        "no figure",
        "less than 20 % of the filters' power lies between 1/8 and 1/4 cycle per pixel; not testable if the training "
        "started from smoothed noise",
        ("diagnose",), middle_is_missing,
    ),
    Claim(
        "middle-back", "Fig. 6", "ZFNet's smaller kernels and stride cover the middle frequencies.", "no figure",
        "a larger share there than in AlexNet's; not testable if the training started from smoothed noise",
        ("diagnose",), middle_is_back,
    ),
    Claim(
        "aliasing", "Fig. 6", "AlexNet's stride of 4 causes aliasing, ZFNet's of 2 much less.", "no figure",
        "of the energy of the first layer's answer, ZFNet's stride folds at most half the share of AlexNet's",
        ("diagnose",), stride_folds,
    ),
    Claim(
        "fewer-dead", "Fig. 6", "ZFNet's first layer has fewer dead features.", "no figure",
        "the share of dead maps and faint filters is lower, by more than two standard errors",
        ("diagnose",), fewer_dead,
    ),
    Claim(
        "second-layer", "Fig. 6", "ZFNet's second layer is cleaner, without AlexNet's aliasing artefacts.", "no figure",
        "judged by eye, on diagnose/diagnosis.png", ("diagnose",),
        not_here("no number stands for it: look at diagnose/diagnosis.png"),
    ),
    Claim(
        "clipping", "Sec. 3, Fig. 6", "Without renormalising filters a few of them dominate the first layer.",
        "RMS radius 0.1",
        "trained without, the largest RMS is more than four times the median, and more than with it",
        ("train-unclipped", "diagnose"), clipping_is_needed,
    ),
    Claim(
        "covered-object", "Fig. 7", "Covering the object, the probability of its class drops significantly.",
        "3 photos", "at the worst position at most half is left, median over the photos that are named rightly",
        ("occlude",), covering_hurts_the_class,
    ),
    Claim(
        "covered-map", "Fig. 7", "Covering what the projection shows, the map's activity drops strongly.", "3 photos",
        "at the worst position at most half of the total activity is left, median over photos", ("occlude",),
        covering_hurts_the_map,
    ),
    Claim(
        "covered-projection", "Fig. 7", "... so that the projection shows what stimulates the map.", "3 photos",
        "rank correlation, over positions, of the loss of activity with what the square covers of the projection, "
        "median at least 0.5",
        ("occlude",), projection_tells_where,
    ),
    Claim(
        "localised", "Sec. 4.2", "The network locates the object, it does not just use its surroundings.", "3 photos",
        "covering and uncovering pixels in the map's order moves the class's probability earlier than the map's values "
        "in random places do (areas of deletion and insertion), both by more than two standard errors over photos "
        "(Petsiuk et al. 2018; not the paper's test)",
        ("occlude",), object_is_located,
    ),
    Claim(
        "correspondence", "Table 1", "In layer 5, eyes and nose change features more alike than random regions.",
        "0.067, 0.069, 0.079 against 0.107",
        "every part of every group has a lower mean sign change than random regions, with p < 0.05 (permutation test)",
        ("correspond",), parts_change_alike,
    ),
    Claim(
        "correspondence-7", "Table 1", "In layer 7 the parts are about as different as random regions.",
        "0.069, 0.068, 0.069 against 0.073",
        "every part's mean is within one deviation of the random regions'", ("correspond",), upper_layer_tells_less,
    ),
    Claim(
        "correspondence-learned", "Sec. 4.3", "So the network establishes some correspondence implicitly.",
        "no control",
        "in layer 5, of the features that a part changes in both photos fewer change in opposite directions than with "
        "random regions (p < 0.05), and not so with each layer's weights shuffled, in most parts",
        ("correspond", "correspond-control"), learned_correspondence,
    ),
    Claim(
        "pretrained", "Table 4", "Features learned elsewhere do far better than training from scratch.",
        "83.8 against 22.8 % (15 a class), 86.5 against 46.5 % (30)",
        "softmax on the last layer against the same network trained on these photos alone: higher for every number of "
        "photos, by more than two standard errors over test photos",
        ("transfer",), pretrained_is_better,
    ),
    Claim(
        "few-photos", "Table 5, Fig. 9", "A few photos a class are enough.",
        "6 a class beat the best other method with 60",
        "ours: pretrained with the smallest number beats training from scratch with the largest, by more than two "
        "standard errors (the other method is not here)",
        ("transfer",), few_photos_do,
    ),
    Claim(
        "deeper", "Table 7", "The deeper the layer, the better its features.", "44.8, 66.2, 72.3, 76.6, 86.2 % (SVM)",
        "SVM, most photos: layer 5 above layer 1, and none of layers 2 to 5 below the one before it, each by more than "
        "two standard errors",
        ("transfer",), deeper_is_better,
    ),
    Claim(
        "pascal", "Table 6", "On PASCAL 2012 the features do worse than the best, better on some classes.",
        "79.0 against 82.2 % mean", "needs PASCAL VOC 2012", (),
        not_here("needs ImageNet's features and PASCAL VOC 2012: deconvnet transfer --labels"),
    ),
    Claim(
        "duplicates", "Sec. 5.2", "44 photos of Caltech-101 also lie in ImageNet.", "44 of 9,144",
        "needs ImageNet 2012", (), not_here("needs ImageNet 2012: deconvnet transfer --seen"),
    ),
)  # fmt: skip
"""All claims, in the order of networks, features, occlusion, correspondence and transfer."""
