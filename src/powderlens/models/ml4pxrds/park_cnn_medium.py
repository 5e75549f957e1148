"""`park_cnn_medium`: Park's network of 2017 in its 101-label version, hidden dense layers of 4040 and 202."""

from powderlens.models.ml4pxrds.park_cnn import park_body, park_head

body = park_body
head = park_head(4040, 202)
