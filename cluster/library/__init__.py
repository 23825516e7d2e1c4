"""The instruction library as people use it: listing, importing, distilling, removing bullets."""
