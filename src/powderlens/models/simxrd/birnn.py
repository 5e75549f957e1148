"""BiRNN: four plain recurrent layers (tanh) in both directions, as in the SimXRD benchmark. One intensity a step."""

from torch import nn

from powderlens.models.simxrd.recurrent import recurrent_body

body = recurrent_body(nn.RNN, bidirectional=True)
