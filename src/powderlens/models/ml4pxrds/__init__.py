"""ML4pXRDs: Park's network in three sizes, and ResNet-10, -50 and -101 in one dimension."""
