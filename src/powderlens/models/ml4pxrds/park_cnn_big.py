"""`park_cnn_big`: Park's network of 2017 in its 230-label version, hidden dense layers of 2300 and 1150."""

from powderlens.models.ml4pxrds.park_cnn import park_body, park_head

body = park_body
head = park_head(2300, 1150)
