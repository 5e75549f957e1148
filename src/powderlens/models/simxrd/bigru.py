"""BiGRU: four GRU layers in both directions, as in the SimXRD benchmark. One intensity a step."""

from torch import nn

from powderlens.models.simxrd.recurrent import recurrent_body

body = recurrent_body(nn.GRU, bidirectional=True)
