"""Tables of labelled crystals; curated, compared, described, generated."""
