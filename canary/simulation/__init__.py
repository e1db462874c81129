"""A declared plan, walked by the product's own decisions over studies that are drawn at random."""
