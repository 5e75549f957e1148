"""The 21 networks of the SimXRD benchmark (XRDBench, MIT): one file a network, their cards in `cards`."""
