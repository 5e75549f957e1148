"""AlphaDiffract: a ConvNeXt in one dimension."""
