"""Tables of the benchmark: made from records alone, the papers' figures beside ours."""
