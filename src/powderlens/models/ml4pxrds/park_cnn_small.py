"""`park_cnn_small`: Park's network of 2017 in its 7-label version, hidden dense layers of 700 and 70."""

from powderlens.models.ml4pxrds.park_cnn import park_body, park_head

body = park_body
head = park_head(700, 70)
