"""Search-match by d-I lists and key lines, which SimXRD (appendix B.3) describes and does not measure."""
