"""LSTM: four LSTM layers, as in the SimXRD benchmark. One intensity a step."""

from torch import nn

from powderlens.models.simxrd.recurrent import recurrent_body

body = recurrent_body(nn.LSTM)
