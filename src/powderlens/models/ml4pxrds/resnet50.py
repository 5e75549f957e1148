"""`resnet50`: ML4pXRDs' ResNet-50 in one dimension, bottleneck blocks 3, 4, 6, 3."""

from powderlens.models.ml4pxrds.resnet import resnet_body, resnet_head

body = resnet_body((3, 4, 6, 3), bottleneck=True, small_average=3)
head = resnet_head
