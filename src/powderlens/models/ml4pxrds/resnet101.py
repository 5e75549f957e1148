"""`resnet101`: ML4pXRDs' ResNet-101 in one dimension, bottleneck blocks 3, 4, 23, 3."""

from powderlens.models.ml4pxrds.resnet import resnet_body, resnet_head

body = resnet_body((3, 4, 23, 3), bottleneck=True, small_average=5)
head = resnet_head
