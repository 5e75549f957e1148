"""`resnet10`: ML4pXRDs' ResNet-10 in one dimension, residual blocks 1, 1, 1, 1."""

from powderlens.models.ml4pxrds.resnet import resnet_body, resnet_head

body = resnet_body((1, 1, 1, 1), bottleneck=False)
head = resnet_head
